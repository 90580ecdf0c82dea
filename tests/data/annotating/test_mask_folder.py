"""Masks as PNG files: written beside images, read by a training, with the values that the folder already has."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.annotating.mask_folder import MaskFolder
from fovea.data.sources.source import find
from fovea.decoding.runs import runs_to_text, to_runs
from fovea.errors import DataError, UsageError

SIZE = (4, 6)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full(SIZE, 40 * number, np.uint8)).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(3)]


def masks(tmp_path, images):
    return MaskFolder(tmp_path / "masks", images)


def stored(tmp_path, name):
    with Image.open(tmp_path / "masks" / name) as image:
        return np.asarray(image)


def covering(columns, label="cell"):
    """Return a label that covers the first columns of four rows."""
    mask = np.zeros(SIZE, bool)
    mask[:, :columns] = True
    return {"label": label, "runs": runs_to_text(to_runs(mask))}


def test_what_is_covered_comes_back_and_is_trained_from(tmp_path, images):
    kept = masks(tmp_path, images)
    kept.put(images[0], SIZE, [covering(2)], ("cell",))
    kept.put(images[2], SIZE, [], ("cell",))
    again = masks(tmp_path, images)
    assert (again.classes, again.labelled) == (("cell",), {images[0], images[2]})
    assert again.label(images[0], SIZE) == [covering(2)] and again.label(images[2], SIZE) == []
    assert again.label(images[1], SIZE) is None
    assert stored(tmp_path, "0.png")[0].tolist() == [1, 1, 0, 0, 0, 0]
    found = find(again.data)
    assert found.classes == ("background", "cell") and len(found.parts["train"]) == 2


def test_a_label_that_is_taken_away_leaves_no_mask(tmp_path, images):
    kept = masks(tmp_path, images)
    kept.put(images[0], SIZE, [covering(2)], ("cell",))
    kept.put(images[0], SIZE, None, ("cell",))
    kept.put(images[1], SIZE, None, ("cell",))
    assert kept.labelled == set() and kept.label(images[0], SIZE) is None


def test_a_class_that_is_added_keeps_the_indices_of_the_others(tmp_path, images):
    kept = masks(tmp_path, images)
    kept.put(images[0], SIZE, [covering(2)], ("cell",))
    kept.put(images[1], SIZE, [covering(3, "rim")], ("cell", "rim"))
    assert masks(tmp_path, images).classes == ("cell", "rim")
    assert set(stored(tmp_path, "1.png").ravel().tolist()) == {0, 2} and stored(tmp_path, "0.png").max() == 1


def test_values_of_the_table_that_is_there_are_written(tmp_path, images):
    (tmp_path / "masks").mkdir()
    (tmp_path / "classes.csv").write_text("name,index\nbackground,0\ncell,200\n")
    Image.fromarray(np.full(SIZE, 200, np.uint8)).save(tmp_path / "masks" / "1.png")
    kept = masks(tmp_path, images)
    assert kept.label(images[1], SIZE) == [covering(6)]
    kept.put(images[0], SIZE, [covering(1)], ("cell",))
    assert stored(tmp_path, "0.png")[0].tolist() == [200, 0, 0, 0, 0, 0]
    with pytest.raises(UsageError, match="have no class `rim`: add it to their table first"):
        kept.put(images[0], SIZE, [covering(1, "rim")], ("cell", "rim"))


@pytest.mark.parametrize(
    ("name", "pixels", "words"),
    [
        ("0.png", np.uint8([[0, 255]]), "a class for every pixel"),
        ("0.png", np.uint8([[[128, 0, 0], [0, 0, 0]]]), "are colours"),
        ("0.gif", np.uint8([[0, 1]]), "is no PNG"),
    ],
)
def test_masks_that_could_not_be_written_back_are_refused(tmp_path, images, name, pixels, words):
    (tmp_path / "masks").mkdir()
    Image.fromarray(pixels).save(tmp_path / "masks" / name)
    with pytest.raises(DataError, match=words):
        masks(tmp_path, images)


def test_images_of_one_name_are_refused(tmp_path, images):
    with pytest.raises(DataError, match="Images of one name"):
        masks(tmp_path, [*images, str(tmp_path / "other" / "0.jpg")])
