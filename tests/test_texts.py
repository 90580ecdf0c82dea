"""Values as text, by hand."""

import pytest

from fovea.texts import flattened, natural_key, parse_value


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("Yes", False, True),
        ("0", True, False),
        ("-3", 8, -3),
        ("1e-3", 0.1, 0.001),
        ("adam", "sgd", "adam"),
        ("64, 32,", [8], [64, 32]),
        ("flip, shift 4", (), ("flip", "shift 4")),
        ("", [8], []),
    ],
)
def test_a_text_has_the_type_of_the_default(text, default, value):
    found = parse_value(text, default)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "default"), [("on", True), ("1.5", 8), ("x", 0.1), ("8, x", [8])])
def test_what_cannot_be_read_is_a_value_error(text, default):
    with pytest.raises(ValueError):
        parse_value(text, default)


def test_leaves_have_the_names_on_the_way_to_them():
    nested = {"a": {"b": {"c": 1}, "d": [2]}, "e": {}, "f": None}
    assert list(flattened(nested)) == [("a.b.c", 1), ("a.d", [2]), ("f", None)]
    assert list(flattened(nested, separator=" ", prefix="input ")) == [
        ("input a b c", 1),
        ("input a d", [2]),
        ("input f", None),
    ]


def test_numbers_in_names_sort_by_value():
    assert sorted(["10", "9", "b", "a2", "a10", "a02"], key=natural_key) == ["9", "10", "a02", "a2", "a10", "b"]
