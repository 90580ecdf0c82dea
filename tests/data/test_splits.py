import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fovea.data.dataset import Dataset, Part
from fovea.data.splits import require_trainable, split_validation, stratified, surprises
from fovea.errors import DataError, UsageError

CLASSES = ("a", "b", "c")


def of_files(counts: tuple[int, ...], order: np.ndarray | None = None) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = np.arange(len(labels)) if order is None else order
    names = tuple(f"{CLASSES[labels[index]]}/{index}.png" for index in order)
    part = Part(labels=labels[order], names=names, files=tuple(Path("/data", name) for name in names))
    return Dataset(name="x", parts={"train": part}, classes=CLASSES, channels=3, notes=("first",))


def test_every_class_keeps_its_share_and_the_note_says_so():
    split = split_validation(of_files((100, 50, 10)), fraction=0.1, seed=0)
    assert np.bincount(split.parts["val"].labels).tolist() == [10, 5, 1]
    assert np.bincount(split.parts["train"].labels).tolist() == [90, 45, 9]
    assert split.notes == ("first", "validation: 16 of 160 training images set aside (10 %), stratified, seed 0")


def test_the_two_parts_make_up_the_whole_with_labels_names_and_files_together():
    whole = of_files((7, 8, 9)).parts["train"]
    split = split_validation(of_files((7, 8, 9)), fraction=0.3, seed=5)
    rows = []
    for part in split.parts.values():
        rows += zip(part.names, part.labels.tolist(), part.files, strict=True)
    assert sorted(rows) == sorted(zip(whole.names, whole.labels.tolist(), whole.files, strict=True))


def test_the_order_of_the_files_does_not_matter():
    shuffled = of_files((20, 20, 20), np.random.default_rng(1).permutation(60))
    one = split_validation(of_files((20, 20, 20)), fraction=0.2, seed=3)
    other = split_validation(shuffled, fraction=0.2, seed=3)
    assert set(one.parts["val"].names) == set(other.parts["val"].names)


def test_the_seed_decides():
    chosen = [
        split_validation(of_files((50, 50, 50)), fraction=0.2, seed=seed).parts["val"].names for seed in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_single_image_stays_in_train_and_two_are_shared():
    split = split_validation(of_files((1, 2, 40)), fraction=0.1, seed=0)
    assert np.bincount(split.parts["val"].labels, minlength=3).tolist() == [0, 1, 4]


def test_a_class_is_never_taken_whole():
    assert len(stratified(np.zeros(3, np.int64), fraction=0.99, generator=np.random.default_rng(0))) == 2


def test_single_images_alone_make_no_validation_part():
    split = split_validation(of_files((1, 1, 1)), fraction=0.5, seed=0)
    assert list(split.parts) == ["train"] and "validation: none" in split.notes[-1]


def test_pixels_are_split_with_their_labels():
    labels = np.arange(40) % 2
    pixels = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 2, 2, 1))
    part = Part(labels=labels, names=tuple(map(str, range(40))), pixels=pixels)
    test = Part(labels=labels[:1], names=("0",), pixels=pixels[:1])
    dataset = Dataset(name="x", parts={"train": part, "test": test}, classes=("a", "b"), channels=1)
    split = split_validation(dataset, fraction=0.25, seed=0)
    assert list(split.parts) == ["train", "val", "test"] and split.parts["test"] is test
    for name in ("train", "val"):
        got = split.parts[name]
        assert got.pixels[:][:, 0, 0, 0].tolist() == [int(index) for index in got.names]
        assert (got.labels == got.pixels[:][:, 1, 1, 0] % 2).all()
    assert np.bincount(split.parts["val"].labels).tolist() == [5, 5]


def test_splitting_mapped_pixels_takes_no_memory(tmp_path):
    count = 64
    np.save(tmp_path / "x.npy", np.zeros((count, 128, 128, 3), np.uint8))
    pixels = np.load(tmp_path / "x.npy", mmap_mode="r")
    part = Part(labels=np.arange(count) % 2, names=tuple(map(str, range(count))), pixels=pixels)
    whole = Dataset(name="x", parts={"train": part}, classes=("a", "b"), channels=3)
    tracemalloc.start()
    split = split_validation(whole, fraction=0.25, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pixels.nbytes / 20 and split.parts["train"].pixels.shape == (48, 128, 128, 3)


def test_training_needs_a_train_part():
    only_test = Dataset(name="x", parts={"test": of_files((3, 3, 3)).parts["train"]}, classes=CLASSES, channels=3)
    with pytest.raises(DataError, match="`x` has no train split to learn from; it has test."):
        require_trainable(only_test)


def test_training_needs_two_classes():
    with pytest.raises(DataError, match="`x` has only one class, `a`, but at least two are needed.*give that folder"):
        require_trainable(replace(of_files((3,)), classes=("a",)))


def test_training_needs_images_of_each_class():
    require_trainable(of_files((1, 1, 1)))
    with pytest.raises(DataError, match=r"train split of `x` has no image of 2 class\(es\): `a`, `c`\. Add or repair"):
        require_trainable(of_files((0, 3, 0)))


def test_numbers_need_no_classes():
    whole = of_files((3,))
    part = replace(whole.parts["train"], labels=np.ones(3, np.float32))
    require_trainable(replace(whole, parts={"train": part}, classes=(), task="number"))


def test_numbers_are_drawn_at_random():
    labels = np.linspace(0, 1, 30, dtype=np.float32)
    part = Part(labels=labels, names=tuple(map(str, range(30))), files=tuple(Path(str(index)) for index in range(30)))
    dataset = Dataset(name="x", parts={"train": part}, classes=(), channels=3, task="number")
    split = split_validation(dataset, fraction=0.2, seed=0)
    assert len(split.parts["val"]) == 6 and split.parts["val"].labels.dtype == np.float32
    assert split.notes == ("validation: 6 of 30 training images set aside (20 %), at random, seed 0",)


def test_nothing_changes_where_there_is_nothing_to_do():
    dataset = of_files((5, 5, 5))
    assert split_validation(dataset, fraction=0, seed=0) is dataset
    split = split_validation(dataset, fraction=0.2, seed=0)
    assert split_validation(split, fraction=0.5, seed=0) is split
    only_test = Dataset(name="x", parts={"test": dataset.parts["train"]}, classes=CLASSES, channels=3)
    assert split_validation(only_test, fraction=0.2, seed=0) is only_test


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(UsageError, match=r"`--val-fraction` \(=.*\) must be at least 0 and below 1"):
        split_validation(of_files((5, 5, 5)), fraction=fraction, seed=0)


def of_labels(labels: np.ndarray, order: np.ndarray | None = None) -> Dataset:
    order = np.arange(len(labels)) if order is None else order
    names = tuple(f"{index:05}.png" for index in order)
    part = Part(labels=labels[order], names=names, files=tuple(Path("/data", name) for name in names))
    classes = tuple(map(str, range(labels.shape[1])))
    return Dataset(name="x", parts={"train": part}, classes=classes, channels=3, task="labels")


def test_several_labels_are_stratified_whatever_the_order_of_files_and_unknown_ones_count_as_absent():
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.02]).astype(np.float32)
    split = split_validation(of_labels(labels), fraction=0.2, seed=3)
    assert split.notes == ("validation: 80 of 400 training images set aside (20 %), stratified, seed 3",)
    assert {name: part.labels.shape for name, part in split.parts.items()} == {"train": (320, 6), "val": (80, 6)}
    assert (abs(split.parts["val"].labels.sum(0) - labels.sum(0) / 5) <= 1).all()
    unknown = np.where((labels == 0) & (generator.random(labels.shape) < 0.5), np.nan, labels)
    for other in (of_labels(labels, generator.permutation(400)), of_labels(unknown)):
        again = split_validation(other, fraction=0.2, seed=3)
        assert sorted(again.parts["val"].names) == list(split.parts["val"].names)
    assert split_validation(of_labels(labels), fraction=0.2, seed=4).parts["val"].names != split.parts["val"].names


def test_labels_of_single_images_make_no_validation_part():
    split = split_validation(of_labels(np.eye(3, dtype=np.float32)), fraction=0.5, seed=0)
    assert list(split.parts) == ["train"]
    assert split.notes == ("validation: none, as each image of the train split has a label that no other has",)


def test_the_share_that_was_taken_is_said_where_another_was_asked_for():
    split = split_validation(of_files((2, 2, 2)), fraction=0.1, seed=0)
    said = "validation: 10 % was requested and 50 % taken, 3 of 6 images, as each class gives at least one"
    assert split.notes == ("first", "validation: 3 of 6 training images set aside (50 %), stratified, seed 0", said)
    assert surprises(of_files((2, 2, 2)), fraction=0.1) == (said,)
    assert surprises(of_files((100, 50, 10)), fraction=0.1) == ()


def test_less_than_was_asked_for_is_said_too():
    (said,) = surprises(of_files((2, 2, 2)), fraction=0.9)
    assert said == "validation: 90 % was requested and 50 % taken, 3 of 6 images, as each class keeps at least one"


def test_classes_too_small_for_the_validation_part_are_named():
    assert surprises(of_files((10, 10, 1)), fraction=0.1) == ("validation: no image of `c`, which have too few images",)


def test_the_split_does_not_depend_on_how_a_disk_writes_accents():
    def held_out(accented):
        names = tuple(f"{letter}/{index}" for index, letter in enumerate((accented, *"bcdfghijklm")))
        part = Part(labels=np.zeros(12, np.int64), names=names, files=tuple(map(Path, names)))
        dataset = Dataset(name="x", parts={"train": part}, classes=("a",), channels=3)
        split = split_validation(dataset, fraction=0.25, seed=1)
        return [name.partition("/")[2] for name in split.parts["val"].names]

    assert held_out("\u00e9") == held_out("e\u0301")
