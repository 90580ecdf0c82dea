"""A few images of a data set: evenly over classes, by a seed, each once."""

from collections import Counter

import numpy as np
import pytest

from fovea.data.dataset import Dataset, Part
from fovea.data.sampling import drawn_evenly, resampled


def dataset_of(labels, *, task="classes", names=None, classes=("a", "b", "c")):
    labels = np.array(labels)
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    part = Part(labels=labels, names=tuple(names or map(str, range(len(labels)))), pixels=pixels)
    return Dataset(name="some", parts={"test": part}, classes=classes, channels=1, task=task)


def drawn(dataset, count, **options):
    return drawn_evenly(dataset, count, **{"seed": 0, **options}).parts["test"]


def test_every_class_has_as_many_as_there_can_be():
    dataset = dataset_of([0] * 50 + [1] * 3 + [2] * 20)
    assert Counter(drawn(dataset, 11).labels.tolist()) == {0: 4, 1: 3, 2: 4}
    assert Counter(drawn(dataset, 3).labels.tolist()) == {0: 1, 1: 1, 2: 1}


def test_a_seed_draws_the_same_and_another_others():
    dataset = dataset_of(np.repeat([0, 1, 2], 40))
    first, again, other = (drawn(dataset, 9, seed=seed).names for seed in (0, 0, 1))
    assert first == again != other
    # in the order of the data, each with its own pixels
    part = drawn(dataset, 9)
    assert list(part.names) == sorted(part.names, key=int)
    assert part.decoded[np.arange(9)].ravel().tolist() == list(map(int, part.names))


def test_where_there_are_fewer_all_are_taken():
    assert len(drawn(dataset_of([0, 1, 1]), 16)) == 3


def test_some_come_before_the_others():
    dataset = dataset_of(np.repeat([0, 1, 2], 40))
    part = drawn(dataset, 4, first={"3", "4", "100"})
    assert {"3", "4", "100"} < set(part.names)
    assert set(drawn(dataset, 2, first={"3", "4", "100"}).names) < {"3", "4", "100"}


def test_an_image_that_is_listed_twice_is_drawn_once():
    dataset = dataset_of([0, 0, 0, 1], names=["x", "x", "x", "y"])
    assert sorted(drawn(dataset, 4).names) == ["x", "y"]


def test_labels_take_turns_too_and_images_without_any():
    rows = [[1, 0, 0]] * 60 + [[0, 1, 1], [np.nan, 0, 0]]
    found = drawn(dataset_of(np.array(rows, np.float32), task="labels"), 4).labels.tolist()
    assert [0, 1, 1] in found and any(np.isnan(row[0]) for row in found)
    assert len(found) == 4 and sum(row == [1, 0, 0] for row in found) == 2


def test_numbers_are_drawn_from_all():
    dataset = dataset_of(np.linspace(0, 1, 60, dtype=np.float32), task="number", classes=())
    assert len(set(drawn(dataset, 8).labels.tolist())) == 8


@pytest.mark.parametrize("count", [3, 20])
def test_parts_stay_apart(count):
    part = dataset_of([0, 1] * 4).parts["test"]
    both = Dataset(name="some", parts={"train": part, "test": part}, classes=("a", "b"), channels=1)
    found = drawn_evenly(both, count, seed=0)
    # an array's images have numbers for names, in each part the same
    assert sum(map(len, found.parts.values())) == min(count, 16)


def test_a_bootstrap_sample_has_as_many_images_about_63_percent_of_them():
    names = tuple(map(str, range(2000)))
    part = Part(labels=np.arange(2000), names=names, pixels=np.zeros((2000, 1, 1, 1), np.uint8))
    drawn = resampled(part, seed=0)
    assert len(drawn) == 2000 and abs(len(set(drawn.names)) / 2000 - (1 - np.exp(-1))) < 0.03
    assert all(str(label) == name for label, name in zip(drawn.labels, drawn.names, strict=True))
    assert drawn.names == resampled(part, seed=0).names != resampled(part, seed=1).names
