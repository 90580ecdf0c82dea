"""Masks in folders: which belongs to which image, and what their values stand for."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.sources.annotations.mask_folders import load_masks, mask_places
from fovea.data.sources.annotations.pairs import matched
from fovea.errors import DataError, ImageError
from fovea.preprocess import VOID


def put(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array, np.uint8))
    (image if mode is None else image.convert(mode)).save(path)


def folder(root, *, images="images", masks="masks", names=("1", "2"), mask=((0, 1), (2, 255)), end=".png"):
    for name in names:
        put(root / images / f"{name}.png", np.zeros((2, 2, 3)))
        put(root / masks / f"{name}{end}", mask)
    return root


def load(root, **more):
    return load_masks(root, mask_places(root), **more)


def read(dataset, part="train", index=0):
    return dataset.parts[part].labels[index].read((2, 2)).tolist()


def test_indices_are_classes_and_255_is_void(tmp_path):
    dataset = load(folder(tmp_path))
    assert (dataset.task, dataset.classes) == ("masks", ("0", "1", "2"))
    assert dataset.parts["train"].names == ("images/1.png", "images/2.png")
    assert read(dataset) == [[0, 1], [2, VOID]]
    assert "masks contain the indices 0, 1, 2; 255 is void" in dataset.notes


@pytest.mark.parametrize(
    ("mask", "names", "indices"),
    [
        (((0, 255), (255, 0)), ("0", "255"), [[0, 1], [1, 0]]),
        (((0, 128), (255, 0)), ("0", "128", "255"), [[0, 1], [2, 0]]),
        (((1, 3), (2, 1)), ("1", "2", "3"), [[0, 2], [1, 0]]),
        (((1, 0), (0, 1)), ("0", "1"), [[1, 0], [0, 1]]),
    ],
)
def test_levels_are_classes_by_their_value(tmp_path, mask, names, indices):
    dataset = load(folder(tmp_path, mask=mask))
    assert dataset.classes == names
    assert read(dataset) == indices


def test_a_table_names_classes_colours_and_what_is_none(tmp_path):
    mask = [[(255, 0, 0), (0, 0, 255)], [(0, 0, 0), (0, 255, 0)]]
    folder(tmp_path, mask=mask)
    (tmp_path / "classes.csv").write_text("name,r,g,b\nsky,0,0,255\nVoid,0,0,0\nroad,255,0,0\nroad,0,255,0\n")
    dataset = load(tmp_path)
    assert dataset.classes == ("sky", "road")
    assert read(dataset) == [[1, 0], [VOID, 1]]


@pytest.mark.parametrize("header", ["name,index", "Label,Value", "class,level"])
def test_a_table_names_levels(tmp_path, header):
    folder(tmp_path, mask=((0, 255), (0, 0)))
    (tmp_path / "masks" / "classes.csv").write_text(f"{header}\ncell,255\nmembrane,0\n")
    dataset = load(tmp_path)
    assert dataset.classes == ("cell", "membrane")
    assert read(dataset) == [[1, 0], [1, 1]]


def test_colours_without_a_table_are_those_of_a_convention(tmp_path):
    dataset = load(folder(tmp_path / "camvid", mask=[[(128, 128, 128), (128, 64, 128)], [(0, 0, 0), (64, 0, 192)]]))
    assert dataset.classes[:4] == ("sky", "building", "pole", "road")
    assert read(dataset) == [[0, 3], [VOID, dataset.classes.index("pedestrian")]]
    with pytest.raises(
        DataError, match=r"2 colours of an unknown convention \(#010203, #040506\); put a file `classes.csv`"
    ):
        load(folder(tmp_path / "own", mask=[[(1, 2, 3), (4, 5, 6)]] * 2))


@pytest.mark.parametrize("above", [True, False])
def test_parts_are_folders_above_or_below(tmp_path, above):
    for part in ("train", "Valid", "test"):
        form = {"images": f"{part}/image", "masks": f"{part}/label"}
        folder(tmp_path, **form if above else {"images": f"image/{part}", "masks": f"label/{part}"})
    dataset = load(tmp_path)
    assert {part: len(dataset.parts[part]) for part in dataset.parts} == {"train": 2, "val": 2, "test": 2}


def test_a_folder_of_masks_beside_each_part(tmp_path):
    folder(tmp_path, images="train", masks="train_labels", end="_L.png")
    folder(tmp_path, images="val", masks="valannot")
    assert {part: len(each) for part, each in load(tmp_path).parts.items()} == {"train": 2, "val": 2}


def test_a_part_without_masks_is_told_of(tmp_path):
    folder(tmp_path, images="train/image", masks="train/label")
    put(tmp_path / "test" / "0.png", np.zeros((2, 2)))
    dataset = load(tmp_path)
    assert [*dataset.parts] == ["train"]
    assert "`test` has no masks, so it is not used as a split" in dataset.notes


def test_what_has_no_partner_is_left_out_and_told_of(tmp_path):
    folder(tmp_path)
    put(tmp_path / "images" / "lone.png", np.zeros((2, 2, 3)))
    put(tmp_path / "masks" / "spare.png", ((0, 1), (2, 255)))
    dataset = load(tmp_path)
    assert len(dataset.parts["train"]) == 2
    assert "1 images without an annotation are ignored: `images/lone.png`" in dataset.notes
    assert "1 annotations have no image: `masks/spare.png`" in dataset.notes
    (tmp_path / "none" / "images").mkdir(parents=True)
    put(tmp_path / "none" / "masks" / "b.png", ((0, 1), (2, 255)))
    with pytest.raises(DataError, match="No image in `.*none` has a mask with the same name"):
        load(tmp_path / "none")


def test_names_are_alike_without_what_all_have_in_common():
    assert matched(["21_training.tif", "22_training.tif"], ["21_manual1.gif", "22_manual1.gif"]) == {
        "21_training.tif": "21_manual1.gif",
        "22_training.tif": "22_manual1.gif",
    }
    assert matched(["img10.png", "img11.png", "img20.png"], ["lab10.png", "lab11.png"]) == {
        "img10.png": "lab10.png",
        "img11.png": "lab11.png",
    }
    assert matched(["a.png"], ["b.png", "c.png"]) == {}


def test_voc_has_lists_for_its_parts(tmp_path):
    folder(tmp_path, images="JPEGImages", masks="SegmentationClass", names=("a", "b", "c"), mask=((0, 15), (20, 255)))
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    dataset = load(tmp_path)
    assert {part: each.names for part, each in dataset.parts.items()} == {
        "train": ("JPEGImages/a.png", "JPEGImages/b.png"),
        "val": ("JPEGImages/c.png",),
    }
    assert dataset.classes[15] == "person"
    assert read(dataset) == [[0, 15], [20, VOID]]


def test_cityscapes_has_19_classes_among_its_ids(tmp_path):
    for kind, values in (
        ("labelIds", ((7, 24), (0, 33))),
        ("color", ((1, 2), (3, 4))),
        ("instanceIds", ((9,) * 2,) * 2),
    ):
        put(tmp_path / "gtFine" / "train" / "ulm" / f"ulm_000_019_gtFine_{kind}.png", values)
    put(tmp_path / "leftImg8bit" / "train" / "ulm" / "ulm_000_019_leftImg8bit.png", np.zeros((2, 2, 3)))
    dataset = load(tmp_path)
    assert len(dataset.classes) == 19
    assert read(dataset) == [[0, 11], [VOID, 18]]


def put_levels(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint16)).save(path)


def city(root, **kinds):
    """Return a folder as Cityscapes' with one image of 2 x 4 pixels."""
    for kind, values in kinds.items():
        put_levels(root / "gtFine" / "train" / "ulm" / f"ulm_000_019_gtFine_{kind}.png", values)
    put(root / "leftImg8bit" / "train" / "ulm" / "ulm_000_019_leftImg8bit.png", np.zeros((2, 4, 3)))
    return root


def objects_of(dataset):
    found = dataset.parts["train"].labels[0].true_objects()
    names = [dataset.classes[index] for index in found.classes]
    return found.numbers.tolist(), names, found.crowd.tolist()


def test_the_objects_of_voc_have_the_classes_of_the_mask(tmp_path):
    folder(tmp_path, images="JPEGImages", masks="SegmentationClass", names=("a",), mask=((15, 15, 0), (255, 2, 2)))
    put(tmp_path / "JPEGImages" / "a.png", np.zeros((2, 3, 3)))
    assert load(tmp_path).parts["train"].labels[0].counted is None
    put(tmp_path / "SegmentationObject" / "a.png", ((3, 1, 0), (255, 7, 7)))
    assert objects_of(load(tmp_path)) == ([[2, 1, 0], [0, 3, 3]], ["person", "person", "bicycle"], [False] * 3)


def test_the_objects_of_cityscapes_are_of_eight_classes_and_may_be_crowds(tmp_path):
    ids = ((24, 24, 26, 7), (29, 26, 26, 7))
    numbers = ((24000, 24001, 26, 7), (29000, 26003, 26003, 7))
    dataset = load(city(tmp_path, labelIds=ids, instanceIds=numbers))
    label = dataset.parts["train"].labels[0]
    assert [dataset.classes[index] for index in label.counted][:3] == ["person", "rider", "car"]
    assert len(label.counted) == 8
    assert objects_of(dataset) == (
        [[2, 3, 1, 0], [0, 4, 4, 0]],
        ["car", "person", "person", "car"],
        [True, False, False, False],
    )


def test_training_ids_of_cityscapes_have_names_and_give_way_to_its_ids(tmp_path):
    training, ids = ((11, 0, 255, 18),) * 2, ((24, 7, 0, 33),) * 2
    alone = load(city(tmp_path / "a", labelTrainIds=training))
    both = load(city(tmp_path / "b", labelTrainIds=training, labelIds=ids))
    assert alone.classes == both.classes and len(both.classes) == 19
    for dataset in (alone, both):
        assert dataset.parts["train"].labels[0].read((2, 4)).tolist() == [[11, 0, VOID, 18]] * 2


def test_objects_of_another_size_than_their_mask_are_told(tmp_path):
    folder(tmp_path, images="JPEGImages", masks="SegmentationClass", names=("a",), mask=((15, 0), (0, 0)))
    put(tmp_path / "SegmentationObject" / "a.png", ((1, 0, 0),))
    with pytest.raises(ImageError, match="the objects `a.png` have 3x1 pixels, but their mask has 2x2"):
        load(tmp_path).parts["train"].labels[0].true_objects()


def test_masks_in_the_order_of_a_network_that_knows_the_classes(tmp_path):
    folder(tmp_path, mask=((0, 255), (0, 0)))
    (tmp_path / "classes.csv").write_text("name,index\ncell,255\nmembrane,0\n")
    dataset = load(tmp_path, known=("membrane", "cell", "vesicle"))
    assert dataset.classes == ("membrane", "cell", "vesicle")
    assert read(dataset) == [[0, 1], [0, 0]]
    indices = load(folder(tmp_path / "plain"), known=("a", "b", "c"))
    assert (indices.classes, read(indices)) == (("a", "b", "c"), [[0, 1], [2, VOID]])


def test_a_mask_of_another_size_or_with_a_value_beyond_the_table_is_bad(tmp_path):
    folder(tmp_path)
    put(tmp_path / "masks" / "2.png", np.zeros((3, 2)))
    first, second = load(tmp_path).parts["train"].labels
    with pytest.raises(ImageError, match="the mask `2.png` has 2x3 pixels, but its image has 2x2"):
        second.read((2, 2))
    (tmp_path / "classes.csv").write_text("name,index\na,0\nb,1\n")
    first, _ = load(tmp_path).parts["train"].labels
    with pytest.raises(ImageError, match="the mask `1.png`: the value 2, on 50 % of its pixels, is not a class"):
        first.read((2, 2))


def test_a_key_changes_with_the_file_and_with_the_table(tmp_path):
    folder(tmp_path)
    first = load(tmp_path).parts["train"].labels[0].key
    (tmp_path / "classes.csv").write_text("name,index\nb,1\na,0\nc,2\nvoid,255\n")
    second = load(tmp_path).parts["train"].labels[0].key
    put(tmp_path / "masks" / "1.png", np.zeros((2, 2)), "RGB")
    assert len({first, second, load(tmp_path).parts["train"].labels[0].key}) == 3


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\n1,2\n", r"has the columns `a`, `b`; expected `name`, and `index`, or `r`, `g`, `b`, or `colour`"),
        ("name,index\na,x\n", "line 2: `x` is not a whole number from 0 to 65535"),
        ("name,r,g,b\na,256,0,0\n", "line 2: `256` is not a whole number from 0 to 255"),
        ("name,colour\na,red\n", "line 2: `red` is not a colour such as #804080"),
        ("name,index\na,1\nb,1\n", "lists the value 1 twice; keep one class for it"),
        ("name,index\na,1\n", "has 1 classes; allowed are 2 to 255"),
        ("name,index\n,1\n", "line 2: a class without a name"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, table, message):
    folder(tmp_path)
    (tmp_path / "classes.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_a_photograph_is_no_mask(tmp_path):
    folder(tmp_path, mask=np.arange(4 * 300).reshape(2, 600) % 256)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    put(tmp_path / "masks" / "1.png", noise)
    with pytest.raises(
        DataError,
        match="1.png` has 1,600 values, and all masks so far have 1,600; a mask must have one value per class",
    ):
        load(tmp_path)


def test_fingerprints_are_of_names_classes_and_masks(tmp_path):
    first, same = load(folder(tmp_path / "a")).fingerprint, load(folder(tmp_path / "b")).fingerprint
    assert first == same
    assert first != load(folder(tmp_path / "c", names=("1", "3"))).fingerprint


def test_jpeg_blurs_masks_and_is_refused(tmp_path):
    folder(tmp_path, mask=((0, 255), (255, 0)))
    noise = (np.random.default_rng(0).random((40, 40)) < 0.5) * 255
    put(tmp_path / "masks" / "1.jpg", noise)
    (tmp_path / "masks" / "1.png").unlink()
    with pytest.raises(
        DataError, match=("a mask must have one value per class. JPEG blurs class values; save masks as PNG")
    ):
        load(tmp_path)


def test_masks_that_cannot_be_decoded_say_why(tmp_path):
    folder(tmp_path, names=("1",))
    (tmp_path / "masks" / "1.png").write_bytes(b"none")
    with pytest.raises(DataError, match="No mask can be used: `.*1.png`: not a JPEG, PNG"):
        load(tmp_path)


def test_the_indices_of_segnets_camvid_have_names_where_all_are_there(tmp_path):
    mask = np.arange(12).reshape(2, 6)
    dataset = load(folder(tmp_path / "whole", images="train", masks="trainannot", mask=mask))
    assert dataset.classes[3] == "road" and dataset.classes[8:] == ("car", "pedestrian", "bicyclist")
    assert dataset.parts["train"].labels[0].read((2, 6)).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, VOID]]
    assert any("SegNet tutorial" in note for note in dataset.notes)
    assert load(folder(tmp_path / "less", images="train", masks="trainannot")).classes == ("0", "1", "2")
