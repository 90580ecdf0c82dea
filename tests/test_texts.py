"""Values as text, by hand."""

import pytest

from fovea.errors import UsageError
from fovea.texts import flattened, natural_key, parse_count, parse_value, parse_years


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


@pytest.mark.parametrize(
    ("given", "span"),
    [
        (None, (0, 10_000)),
        (2015, (2015, 2015)),
        ("2014-2016", (2014, 2016)),
        (" 2017- ", (2017, 10_000)),
        ("-2012", (0, 2012)),
    ],
)
def test_years_are_one_or_a_span(given, span):
    assert parse_years(given) == span


@pytest.mark.parametrize("given", ["", "15", "2014 2016", "20142016", "2014-2016-2018", "x"])
def test_what_is_no_span_of_years_is_refused(given):
    with pytest.raises(UsageError, match="must be a year or a span of years"):
        parse_years(given)


def test_a_span_of_years_does_not_end_before_it_begins():
    with pytest.raises(UsageError, match="write the earlier year first: 2014-2016"):
        parse_years("2016-2014")


@pytest.mark.parametrize(
    ("given", "count"), [(None, 1e99), (4000, 4000), ("300k", 3e5), ("1.5G", 1.5e9), ("2 B", 2e9), ("1e6", 1e6)]
)
def test_counts_have_units(given, count):
    assert parse_count("max_params", given) == count


@pytest.mark.parametrize("given", ["", "M", "-5", "5 T", "nan"])
def test_what_is_no_count_is_refused(given):
    with pytest.raises(UsageError, match="`max_params` .* must be a number, for example 4000000, 5M or 1.5G"):
        parse_count("max_params", given)
