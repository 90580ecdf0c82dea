import numpy as np
import pytest

from fovea.data.labels import are_characters, encode_labels, part_of
from fovea.errors import DataError
from fovea.texts import natural_key


def test_numbers_in_names_sort_by_value():
    assert sorted(["10", "9", "b", "a2", "a10", "a02"], key=natural_key) == ["9", "10", "a02", "a2", "a10", "b"]


def test_labels_become_indices_into_the_sorted_classes():
    labels, classes = encode_labels({"train": ["dog", "cat", "dog"], "val": ["dog"]}, task="classes")
    assert classes == ("cat", "dog")
    assert labels["train"].tolist() == [1, 0, 1] and labels["train"].dtype == np.int64
    assert labels["val"].tolist() == [1]


def test_the_classes_are_those_of_all_parts_and_those_named():
    labels, classes = encode_labels({"train": ["c"], "test": ["b", "a10"]}, task="classes", classes=["a9"])
    assert classes == ("a9", "a10", "b", "c")
    assert labels["test"].tolist() == [2, 1]


def test_a_single_class_is_a_class():
    labels, classes = encode_labels({"train": ["a", "a"]}, task="classes")
    assert classes == ("a",) and labels["train"].tolist() == [0, 0]


def test_numbers_become_float32():
    labels, classes = encode_labels({"train": ["1.5", "-2", "1e3"]}, task="number")
    assert labels["train"].tolist() == [1.5, -2, 1000] and labels["train"].dtype == np.float32
    assert classes == ()


@pytest.mark.parametrize("text", ["abc", "", "nan", "inf"])
def test_a_label_that_is_no_number_is_refused(text):
    with pytest.raises(DataError, match=f"Label `{text}` is not a number, as `--task number` requires"):
        encode_labels({"train": ["1", text]}, task="number")


@pytest.mark.parametrize(
    ("text", "part"),
    [("train", "train"), ("Training", "train"), ("valid", "val"), (" VALIDATION ", "val"), ("testing", "test")],
)
def test_parts_have_several_names(text, part):
    assert part_of(text, where="here") == part


def test_an_unknown_split_lists_the_allowed_names():
    with pytest.raises(DataError, match="here: unknown split `tset`; allowed are train, training, val, .*, testing"):
        part_of("tset", where="here")


@pytest.mark.parametrize(
    ("classes", "channels", "expected"),
    [
        ("0123456789", 1, True),
        ("ABCDEFGHIJ", 1, True),
        ("01234", 1, False),  # grades
        ("0123456789", 3, False),  # indices
        ([str(number) for number in range(12)], 1, False),
        ((), 1, False),
    ],
)
def test_ten_single_digits_or_letters_are_characters(classes, channels, expected):
    assert are_characters(tuple(classes), channels=channels) is expected
