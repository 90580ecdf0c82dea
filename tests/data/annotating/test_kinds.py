"""What a page may say of an image: kept as meant, or refused."""

import pytest

from fovea.data.annotating.kinds import KINDS, class_names, kind_named
from fovea.errors import UsageError

SIZE = (20, 30)
CLASSES = ("cat", "dog")


def checked(kind, given, classes=CLASSES):
    return KINDS[kind].checked(given, classes, SIZE)


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("classes", "dog", "dog"),
        ("grade", "cat", "cat"),
        ("labels", ["dog", "cat", "dog"][:2], ["cat", "dog"]),
        ("labels", [], []),
        ("number", " 3.50 ", "3.5"),
        ("number", -2, "-2"),
        ("boxes", [{"label": "cat", "box": [9, 8, 2, 3]}], [{"label": "cat", "box": [2, 3, 9, 8]}]),
        ("boxes", [{"label": "cat", "box": [-5, -5, 500, 7.123]}], [{"label": "cat", "box": [0, 0, 30, 7.12]}]),
        ("boxes", [{"label": "cat", "box": [3, 3, 3, 9]}], []),
        (
            "polygons",
            [{"label": "dog", "rings": [[0, 0, 40, 0, 40, 40], [1, 1]]}],
            [{"label": "dog", "rings": [[0, 0, 30, 0, 30, 20]]}],
        ),
        ("points", [[3, 4, 2], [99, 4, 0]], [[3, 4, 2], [0, 0, 0]]),
    ],
)
def test_a_label_is_kept_within_the_image(kind, given, kept):
    assert checked(kind, given) == kept


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("classes", "cow"),
        ("classes", ["cat"]),
        ("classes", None),
        ("labels", "cat"),
        ("labels", ["cat", "cow"]),
        ("number", "nan"),
        ("number", "1e999"),
        ("number", "many"),
        ("boxes", [{"label": "cat", "box": [1, 2, 3]}]),
        ("boxes", [{"label": "cat", "box": [1, 2, float("nan"), 4]}]),
        ("boxes", [{"label": "cat", "box": [1, 2, True, 4]}]),
        ("boxes", [{"label": "cow", "box": [1, 2, 3, 4]}]),
        ("boxes", ["cat"]),
        ("boxes", [{}] * 5001),
        ("polygons", [{"label": "cat", "rings": [[0, 0] * 10_001]}]),
        ("polygons", [{"label": "cat", "rings": 7}]),
        ("polygons", [{"label": "cat", "runs": "00"}]),
        ("brush", [{"label": "cat", "runs": "\U0001f600"}]),
        ("brush", [{"label": "cat"}]),
        ("points", [[1, 2, 2]]),
        ("points", [[1, 2, 3], [0, 0, 0]]),
        ("points", [[1, "2", 2], [0, 0, 0]]),
    ],
)
def test_what_is_no_label_is_refused(kind, given):
    with pytest.raises(UsageError):
        checked(kind, given)


def test_names_are_composed_and_stand_once():
    assert class_names([" cafe\u0301", "caf\u00e9", "", "b"], "classes") == ("caf\u00e9", "b")
    assert class_names(["any"], "number") == ()


@pytest.mark.parametrize(
    ("names", "kind", "reason"),
    [
        ([], "classes", "at least 1"),
        (["low"], "grade", "at least 2"),
        (["=1+1"], "classes", "spreadsheet"),
        (["a;b"], "labels", "which separates labels"),
        (["a\u202eb"], "boxes", "invisible characters"),
        (["a\x1b[31m"], "boxes", "invisible characters"),
        (["x" * 300], "boxes", "too long"),
        ([str(number) for number in range(6000)], "boxes", "too many"),
    ],
)
def test_names_that_a_file_could_not_give_back_are_refused(names, kind, reason):
    with pytest.raises(UsageError, match=reason):
        class_names(names, kind)


def test_markup_is_a_name_like_any_other():
    hostile = "<img src=x onerror=alert(1)>"
    assert class_names([hostile], "boxes") == (hostile,)


def test_an_unknown_kind_is_told_with_those_there_are():
    with pytest.raises(UsageError, match="polygons"):
        kind_named("<b>")
