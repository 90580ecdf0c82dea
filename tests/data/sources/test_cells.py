"""Labels and images in the cells of typed columns: understood, missing, or refused."""

import datetime
import math
from decimal import Decimal

import pytest

from fovea.data.sources.cells import image_of, label_text
from fovea.errors import DataError

NAMES = ("cat", "dog")


@pytest.mark.parametrize(
    ("value", "names", "text"),
    [
        ("cafe\u0301 ", (), "caf\u00e9"),
        (b"caf\xc3\xa9", (), "caf\u00e9"),
        (1, NAMES, "dog"),
        (1.0, NAMES, "dog"),
        (2.0, (), "2"),
        (0.5, (), "0.5"),
        (Decimal("1.50"), (), "1.5"),
        (True, (), "True"),
        (-1, (), "-1"),
        ("dog", NAMES, "dog"),
    ],
)
def test_labels_become_text(value, names, text):
    assert label_text(value, names, where="here") == text


@pytest.mark.parametrize(
    ("value", "names"), [(None, ()), (math.nan, ()), (Decimal("nan"), ()), (-1, NAMES), ("  ", ())]
)
def test_what_says_nothing_is_no_label(value, names):
    assert label_text(value, names, where="here") == ""


@pytest.mark.parametrize(
    ("value", "names", "message"),
    [
        ({"x": 1}, (), "here: `{'x': 1}` is a struct, not a label; expected text, whole numbers"),
        ([1], (), r"here: `\[1\]` is a list, not a label"),
        (datetime.date(2020, 1, 2), (), "is a date, not a label"),
        (b"c\xe9", (), "is bytes that are not UTF-8 text"),
        (math.inf, (), "here: label `inf` is not finite"),
        (2, NAMES, "here: label `2` must be from 0 to 1, the classes named in the file"),
        (0.5, NAMES, "label `0.5` must be from 0 to 1"),
        (True, NAMES, "is true or false, not a label"),
    ],
)
def test_what_is_not_understood_is_refused_and_never_made_text(value, names, message):
    with pytest.raises(DataError, match=message):
        label_text(value, names, where="here")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "iVBORw0KGgo" * 900,
            r"here: `iVBORw0KGgo.{30,80}\(9,900 characters\)` is an image as text, not a path; expected",
        ),
        ("data:image/png;base64,AAAA", "is an image as text, not a path"),
        ("x" * 5000, "is text, not a path"),
        (
            [{"bytes": b"x" * 9000}],
            r"\(9,01. characters\)` is a list, not an image; expected encoded images as bytes",
        ),
        (5, "`5` is a number, not an image"),
        ({"a": 1}, "a struct of a, not an image"),
        ({"bytes": [1, 2]}, r"`\[1, 2\]` is a list, not an image"),
    ],
)
def test_a_cell_without_an_image_is_refused_in_a_short_line(value, message):
    with pytest.raises(DataError, match=message) as caught:
        image_of(value, where="here")
    assert len(str(caught.value)) < 300
