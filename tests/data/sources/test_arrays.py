import zipfile

import numpy as np
import pytest

from fovea.data.sources.arrays import load_digits, load_npz
from fovea.data.splits import require_trainable, split_validation
from fovea.errors import DataError
from fovea.tasks.wording import Wording

NPY = b"\x93NUMPY\x01\0v\0" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n0"
LABELS = np.array([3, 7, 3, 7])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def save(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    return tmp_path / "x.npz"


def test_grey_images_and_labels_are_read(tmp_path):
    pixels = noise(4, 5, 6)
    dataset = load_npz(save(tmp_path, x_train=pixels, y_train=LABELS))
    train = dataset.parts["train"]
    assert np.array_equal(train.pixels, pixels[..., None]) and train.pixels.dtype == np.uint8
    assert train.labels.tolist() == [0, 1, 0, 1] and dataset.classes == ("3", "7")
    assert (dataset.name, dataset.channels, dataset.native_size, dataset.task) == ("x", 1, (5, 6), "classes")
    assert train.names == ("0", "1", "2", "3") and train.files is None


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("x_test", "y_test")])
def test_other_keys_are_understood(tmp_path, keys):
    dataset = load_npz(save(tmp_path, **{keys[0]: noise(4, 5, 6, 3), keys[1]: LABELS[:, None]}))
    assert list(dataset.parts) == ["test" if "test" in keys[0] else "train"] and dataset.channels == 3


def test_all_three_parts_are_read(tmp_path):
    arrays = {f"x_{part}": noise(4, 2, 2) for part in ("test", "val", "train")}
    arrays |= {f"y_{part}": LABELS for part in ("train", "val", "test")}
    assert list(load_npz(save(tmp_path, **arrays)).parts) == ["train", "val", "test"]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_part_has_several_names(tmp_path, name):
    arrays = {"x_train": noise(4, 2, 2), "y_train": LABELS, f"x_{name}": noise(4, 2, 2), f"y_{name}": LABELS}
    assert list(load_npz(save(tmp_path, **arrays)).parts) == ["train", "val"]


def test_grey_digits_are_not_to_be_mirrored(tmp_path):
    digits = load_npz(save(tmp_path, x=noise(10, 2, 2), y=np.arange(10)))
    assert digits.directional and digits.notes == ("the classes are digits or letters, so images are not mirrored",)
    named = load_npz(save(tmp_path, x=noise(10, 2, 2), y=np.arange(10), classes=[f"garment {i}" for i in range(10)]))
    assert not named.directional and named.notes == ()


def test_channels_may_come_first(tmp_path):
    pixels = noise(4, 3, 5, 6)
    dataset = load_npz(save(tmp_path, x=pixels, y=LABELS))
    assert np.array_equal(dataset.parts["train"].pixels, pixels.transpose(0, 2, 3, 1))


def test_channels_last_wins_where_both_fit(tmp_path):
    pixels = noise(4, 3, 5, 1)
    assert np.array_equal(load_npz(save(tmp_path, x=pixels, y=LABELS)).parts["train"].pixels, pixels)


def test_class_names_keep_their_order(tmp_path):
    dataset = load_npz(save(tmp_path, x=noise(4, 2, 2), y=[1, 0, 1, 0], classes=["dog", "cat"]))
    assert dataset.classes == ("dog", "cat") and dataset.parts["train"].labels.tolist() == [1, 0, 1, 0]


def test_labels_may_be_text(tmp_path):
    dataset = load_npz(save(tmp_path, x=noise(4, 2, 2), y=np.array(["dog", "cat", "dog", "cat"])))
    assert dataset.classes == ("cat", "dog") and dataset.parts["train"].labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": noise(4, 2, 2), "y": LABELS * 0}, "`x` has only one class, `0`"),
        ({"x": noise(2, 2, 2), "y": [0, 1], "classes": ["a", "b", "c"]}, r"no image of 1 class\(es\): `c`"),
        (
            {"x_train": noise(4, 2, 2), "y_train": LABELS, "x_test": noise(4, 2, 2), "y_test": LABELS + 4},
            r"no image of 1 class\(es\): `11`",
        ),
    ],
)
def test_too_few_classes_can_be_evaluated_and_not_trained(tmp_path, arrays, message):
    dataset = load_npz(save(tmp_path, **arrays))
    with pytest.raises(DataError, match=message):
        require_trainable(dataset)


def test_numbers_are_read_as_they_are(tmp_path):
    dataset = load_npz(save(tmp_path, x=noise(2, 2, 2), y=[0.5, -7.25]), task="number")
    assert dataset.task == "number" and dataset.parts["train"].labels.tolist() == [0.5, -7.25]
    assert dataset.classes == ()


def test_the_second_reading_parses_nothing_and_maps_the_file(tmp_path, monkeypatch):
    file = save(tmp_path, x=noise(4, 2, 2), y=LABELS)
    first = load_npz(file)
    monkeypatch.setattr("fovea.data.sources.arrays._parse_npz", lambda *_: pytest.fail("parsed again"))
    second = load_npz(file)
    assert isinstance(second.parts["train"].pixels, np.memmap) and not second.parts["train"].pixels.flags.writeable
    assert second.fingerprint == first.fingerprint and second.classes == first.classes
    assert np.array_equal(second.parts["train"].pixels, first.parts["train"].pixels)


def test_the_task_is_part_of_what_is_remembered(tmp_path):
    file = save(tmp_path, x=noise(4, 2, 2), y=LABELS)
    assert load_npz(file).task == "classes" and load_npz(file, task="number").task == "number"


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "one bit": lambda folder: flip(folder / "train-pixels.npy"),
    "cut": lambda folder: (folder / "train-pixels.npy").write_bytes((folder / "train-pixels.npy").read_bytes()[:-3]),
    "empty": lambda folder: (folder / "train-labels.npy").write_bytes(b""),
    "gone": lambda folder: (folder / "arrays.json").unlink(),
    "no json": lambda folder: (folder / "arrays.json").write_text("{"),
    "other json": lambda folder: (folder / "arrays.json").write_text('{"parts": ["train"]}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_in_the_cache_is_built_again(tmp_path, damage):
    pixels = noise(4, 2, 2)
    file = save(tmp_path, x=pixels, y=LABELS)
    load_npz(file)
    (folder,) = (tmp_path / "cache" / "arrays").iterdir()
    DAMAGES[damage](folder)
    assert np.array_equal(load_npz(file).parts["train"].pixels, pixels[..., None])


def test_the_fingerprint_is_of_pixels_labels_and_classes(tmp_path):
    pixels = noise(4, 2, 2)
    prints = [load_npz(save(tmp_path, x=pixels, y=LABELS)).fingerprint]
    prints.append(load_npz(save(tmp_path, x=pixels, y=LABELS[::-1].copy())).fingerprint)
    prints.append(load_npz(save(tmp_path, x=255 - pixels, y=LABELS)).fingerprint)
    prints.append(load_npz(save(tmp_path, x=pixels, y=LABELS + 1)).fingerprint)
    assert len(set(prints)) == 4
    assert load_npz(save(tmp_path, x_train=pixels, y_train=LABELS)).fingerprint == prints[0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": LABELS, "b": LABELS}, "has the keys a, b; expected `x_train` and `y_train`"),
        ({"x_val": noise(4, 2, 2), "y_val": LABELS}, "expected `x_train` and `y_train`"),
        ({"x": noise(4, 2, 2) / 255, "y": LABELS}, r"`x` is float64; pixels must be uint8, 0\.\.255. Convert .*round"),
        ({"x": noise(4, 2, 2, 4), "y": LABELS}, r"`x` has shape \(4, 2, 2, 4\); expected \(N, H, W\)"),
        ({"x": noise(4, 2), "y": LABELS}, r"`x` has shape \(4, 2\); expected"),
        ({"x": noise(0, 2, 2), "y": LABELS[:0]}, r"`x` has shape \(0, 2, 2, 1\); expected"),
        ({"x": noise(4, 2, 2), "y": LABELS[:3]}, r"`y` has shape \(3,\); expected one label for each of 4 images"),
        (
            {"x": noise(4, 2, 2), "y": np.eye(4)},
            r"`y` has shape \(4, 4\); expected one label for .*need `--task labels`",
        ),
        ({"x": noise(4, 2, 2), "y": LABELS / 2}, r"labels are fractions; convert .* or give `--task number`"),
        ({"x": noise(4, 2, 2), "y": LABELS, "classes": ["a", "b"]}, r"labels of `train` must be integers 0\.\.1"),
        ({"x": noise(2, 2, 2), "y": ["a", "b"], "classes": ["a", "b"]}, r"must be integers 0\.\.1"),
        (
            {"x_train": noise(4, 2, 2), "y_train": LABELS, "x_test": noise(4, 2, 3), "y_test": LABELS},
            "differ in height, width or channels",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load_npz(save(tmp_path, **arrays))


def test_pickled_objects_are_refused(tmp_path):
    file = save(tmp_path, x=noise(2, 2, 2), y=np.array([{}, []], dtype=object))
    with pytest.raises(DataError, match="cannot be read as an .npz of plain arrays: Object arrays cannot be loaded"):
        load_npz(file)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more", NPY])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an .npz of plain arrays: it is not a zip archive"):
        load_npz(tmp_path / "x.npz")


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits as bundled

    dataset, source = load_digits(), bundled()
    assert {name: len(part) for name, part in dataset.parts.items()} == {"train": 1438, "test": 359}
    assert dataset.directional and dataset.native_size == (8, 8) and dataset.classes == tuple("0123456789")
    assert "test: 20 % of the 1,797 images, stratified, seed 0" in dataset.notes[0]
    seen = []
    for part in dataset.parts.values():
        indices = np.array(part.names, np.int64)
        seen += indices.tolist()
        assert np.array_equal(part.labels, source.target[indices])
        assert np.array_equal(part.pixels[:][..., 0], np.round(source.images[indices] * 255 / 16))
    assert sorted(seen) == list(range(1797))


def test_digits_are_split_the_same_way_each_time():
    one, other = load_digits(), load_digits()
    assert one.fingerprint == other.fingerprint and one.parts["test"].names == other.parts["test"].names
    shares = np.bincount(one.parts["test"].labels) / np.bincount(one.parts["train"].labels)
    assert (abs(shares - 0.25) < 0.01).all()
    assert len(split_validation(one, fraction=0.1, seed=0).parts["val"]) == 143


ROWS = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_rows_of_ones_and_zeros_are_several_labels(tmp_path, dtype):
    dataset = load_npz(save(tmp_path, x=noise(4, 2, 2), y=ROWS.astype(dtype)), task="labels")
    labels = dataset.parts["train"].labels
    assert labels.tolist() == ROWS.tolist() and labels.dtype == np.float32
    assert dataset.classes == ("0", "1", "2") and dataset.task == "labels" and dataset.notes == ()


def test_several_labels_are_named_and_may_be_unknown(tmp_path):
    rows = np.where(ROWS == 1, 1, [0, np.nan, 0])
    file = save(tmp_path, x=noise(4, 2, 2), y=rows, classes=["dog", "owl", "cat"])
    for dataset in (load_npz(file, task="labels"), load_npz(file, task="labels")):  # as parsed, and from the cache
        assert dataset.classes == ("dog", "owl", "cat")
        assert np.array_equal(dataset.parts["train"].labels, rows, equal_nan=True)
        assert dataset.notes == (
            "3 of 12 labels are unknown; loss and scores ignore them",
            "no training image lacks the label `owl`, so it cannot be learned",
        )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"y": LABELS},
            r"`y` is int64 of shape \(4,\); `--task labels` needs \(4, L\): for each of the L labels 1, 0, or",
        ),
        ({"y": ROWS[:3]}, r"`y` is int64 of shape \(3, 3\); `--task labels` needs \(4, L\)"),
        ({"y": ROWS[:, :0]}, r"`y` is int64 of shape \(4, 0\)"),
        ({"y": ROWS.astype(str)}, r"`y` is <U21 of shape \(4, 3\); `--task labels` needs \(4, L\)"),
        ({"y": ROWS * 2}, "`y` contains 2; `--task labels` needs 1, 0, or NaN if a label is unknown"),
        ({"y": ROWS * 0.5}, "`y` contains 0.5; `--task labels` needs 1, 0"),
        ({"y": ROWS, "classes": ["a", "b"]}, r"shapes \(4, 3\) in `train`; `classes` has 2 different names; they need"),
        ({"y": ROWS, "classes": ["a", "b", "a"]}, "`classes` has 2 different names"),
        (
            {"y": ROWS, "x_val": noise(4, 2, 2), "y_val": ROWS[:, :2]},
            r"in `train`, \(4, 2\) in `val`; they need a column",
        ),
    ],
)
def test_rows_that_are_no_labels_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load_npz(save(tmp_path, x=noise(4, 2, 2), **arrays), task="labels")


def test_grades_are_integers_or_names_in_an_order(tmp_path):
    numbers = load_npz(save(tmp_path, x=noise(4, 2, 2), y=LABELS + 3), task="grade")
    assert numbers.classes == ("6", "10") and numbers.parts["train"].labels.tolist() == [0, 1, 0, 1]
    assert numbers.parts["train"].labels.dtype == np.int64
    file = save(tmp_path, x=noise(4, 2, 2), y=["low", "high", "low", "high"])
    named = load_npz(file, task="grade", wording=Wording(order=("low", "high")))
    assert named.classes == ("low", "high") and named.parts["train"].labels.tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match="`high`, `low` are not numbers; give their order"):
        load_npz(file, task="grade")
    with pytest.raises(DataError, match="The labels are fractions"):
        load_npz(save(tmp_path, x=noise(4, 2, 2), y=LABELS / 2), task="grade")


def test_the_names_in_a_file_are_no_order(tmp_path):
    file = save(tmp_path, x=noise(4, 2, 2), y=[0, 1, 0, 1], classes=["low", "high", "highest"])
    with pytest.raises(DataError, match="`high`, `highest`, `low` are not numbers; give their order"):
        load_npz(file, task="grade")
    dataset = load_npz(file, task="grade", wording=Wording(order=("low", "high", "highest")))
    assert dataset.classes == ("low", "high", "highest") and dataset.parts["train"].labels.tolist() == [0, 1, 0, 1]
    numbers = load_npz(save(tmp_path, x=noise(2, 2, 2), y=[0, 1], classes=["10", "9"]), task="grade")
    assert numbers.classes == ("9", "10") and numbers.parts["train"].labels.tolist() == [1, 0]


def test_two_orders_of_one_file_are_not_mixed_up_and_parsed_once(tmp_path):
    file = save(tmp_path, x=noise(4, 2, 2), y=["a", "b", "a", "b"])
    orders = [("a", "b"), ("b", "a"), ("a", "b")]
    found = [load_npz(file, task="grade", wording=Wording(order=order)) for order in orders]
    assert [dataset.classes for dataset in found] == orders
    assert [dataset.parts["train"].labels[0] for dataset in found] == [0, 1, 0]
    assert len({dataset.fingerprint for dataset in found}) == len(list((tmp_path / "cache" / "arrays").iterdir())) == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"classes": np.array("cat")}, r"`classes` has shape \(\)"),
        ({"classes": np.array([["cat", "dog"]])}, r"`classes` is <U3 of shape \(1, 2\)"),
        ({"images": np.uint8(3)}, r"`images` has shape \(\)"),
        ({"labels": np.int64(3)}, r"`labels` has shape \(\)"),
    ],
)
def test_arrays_without_an_axis_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load_npz(save(tmp_path, **{"images": noise(2, 8, 8), "labels": [0, 1], **arrays}))


@pytest.mark.parametrize("header", ["((((", "{'descr': '|u1',", "[" * 300, "{}"])
def test_a_header_that_is_no_python_is_refused(tmp_path, header):
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", content)
        archive.writestr("labels.npy", content)
    with pytest.raises(DataError, match="cannot be read as an .npz of plain arrays: "):
        load_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("order", ["<u4", ">u4"])
@pytest.mark.parametrize("number", [0x110000, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("key", ["labels", "classes"])
def test_text_of_characters_that_are_none_is_refused(tmp_path, key, number, order):
    broken = np.array([[0x61, number], [0x62, 0x63]], order).view(order.replace("u4", "U2")).reshape(2)
    arrays = {"images": noise(2, 8, 8), "labels": [0, 1], key: broken}
    with pytest.raises(DataError, match="invalid characters"):
        load_npz(save(tmp_path, **arrays))


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_of_either_byte_order_is_read(tmp_path, order):
    labels = np.array(["caf\u00e9", "\U0001f600"], f"{order}U4")
    assert load_npz(save(tmp_path, images=noise(2, 8, 8), labels=labels)).classes == ("caf\u00e9", "\U0001f600")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"classes": np.array(["crane", "dog", "crane"])},
            "`classes` has 2 different names for 3 classes: 0 and 2 are",
        ),
        ({"classes": np.array([["a", "b"]])}, r"`classes` is <U1 of shape \(1, 2\); expected the names"),
        ({"classes": np.array([b"c\xe9", b"b"])}, "the name of class 0 is"),
        (
            {"y": np.array([0, np.nan, 1, 1])},
            ("`y` has 1 rows without a label, for example row 1; remove their images"),
        ),
        ({"y": np.array(["a", "", "b", "nan"])}, "`y` has 2 rows without a label, for example row 1"),
        ({"y": np.array(["2020-01-01"] * 4, "M8[D]")}, r"`y` is datetime64\[D\]; labels must be"),
        ({"y": np.array([b"c\xe9"] * 4)}, "`y`, row 0: .* is bytes that are not UTF-8 text"),
        ({"y": np.array([0, np.inf, 1, 1])}, "`y`, row 1: label `inf` is not finite"),
    ],
)
def test_names_and_labels_that_are_none_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **{"x": noise(4, 2, 2), "y": np.array([0, 1, 0, 1]), **arrays})
    with pytest.raises(DataError, match=message):
        load_npz(tmp_path / "a.npz")


def test_a_number_beyond_float32_is_refused_with_its_row(tmp_path):
    np.savez(tmp_path / "a.npz", x=noise(4, 2, 2), y=np.array([0, 1, 1e39, 1]))
    with pytest.raises(DataError, match=r"`y`, row 2: Label `1e\+39` is outside the supported range"):
        load_npz(tmp_path / "a.npz", task="number")


def test_bytes_are_names_and_whole_fractions_are_classes(tmp_path):
    np.savez(tmp_path / "a.npz", x=noise(4, 2, 2), y=np.array([0, 1, 0, 1]), classes=np.array([b"cat", b"dog"]))
    assert load_npz(tmp_path / "a.npz").classes == ("cat", "dog")
    np.savez(tmp_path / "b.npz", x=noise(4, 2, 2), y=np.array([0.0, 1, 0, 1]))
    assert load_npz(tmp_path / "b.npz").classes == ("0", "1")
