"""Points of several objects in an image: each is looked for in its box, listed or found by another network."""

import json

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea.cli import run
from fovea.data.sources.annotations.objects import ENLARGED
from fovea.errors import NotFoundError, UsageError
from fovea.jobs.top_down import AskedBoxes
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.point_prediction import ObjectsPrediction, PointPrediction
from tests.support.drawn_images import SIDE, drawn

SETTINGS = {"epochs": 1, "batch": 4, "threads": 1, "precision": "float32", "size": 32, "backbone": "cifar_resnet20"}
PLACES = ((0, 0), (SIDE, 0), (0, SIDE))
"""Where the images of `photo` stand in it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("top-down")


@pytest.fixture(scope="module")
def model(place):
    data = drawn(place / "points", "points", count=4)
    return fovea.train(data, task="points", model="simple_baseline", out=place / "run", **SETTINGS).model


@pytest.fixture(scope="module")
def detector(place):
    data = drawn(place / "boxes", "boxes", count=4)
    return fovea.train(data, task="boxes", model="centres", out=place / "detector", **SETTINGS).model


@pytest.fixture(scope="module")
def photo(place, model):
    """Return a photograph of three images side by side, and these images."""
    singles = sorted((place / "points").rglob("*.png"))[:3]
    whole = np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)
    for (x, y), single in zip(PLACES, singles, strict=True):
        whole[y : y + SIDE, x : x + SIDE] = np.array(Image.open(single).convert("RGB"))
    Image.fromarray(whole).save(place / "photo.png")
    return place / "photo.png", singles


def box_within(x, y):
    """Return the box whose enlarged one is an image at a place."""
    border = (1 - 1 / ENLARGED) / 2 * SIDE + 0.1
    return x + border, y + border, x + SIDE - border, y + SIDE - border


def listed(place, rows, name="boxes.csv"):
    lines = ["path,label,x0,y0,x1,y1", *(f"photo.png,{label},{','.join(map(str, box))}" for label, box in rows)]
    (place / name).write_text("\n".join(lines) + "\n")
    return place / name


def the(results):
    (result,) = results
    assert not result.error
    return result.prediction


def test_points_in_a_box_are_those_of_the_image_that_is_there(place, model, photo):
    boxes = listed(place, [("a", box_within(*corner)) for corner in PLACES])
    found = the(fovea.predict(model, photo[0], boxes=boxes))
    alone = [each.prediction.points for each in fovea.predict(model, photo[1])]
    assert found.points.shape == (3, *alone[0].shape)
    for corner, own, single in zip(PLACES, found.points, alone, strict=True):
        np.testing.assert_allclose(own, single + [*corner, 0], atol=1e-4)
    assert found.label == "3 x a"


def test_the_mirror_image_of_each_object_is_averaged_in(place, model, photo):
    boxes = listed(place, [("a", box_within(*PLACES[1]))])
    (found,) = the(fovea.predict(model, photo[0], boxes=boxes, flip=True)).points
    alone, plain = (the(fovea.predict(model, photo[1][1], flip=flip)).points for flip in (True, False))
    np.testing.assert_allclose(found, alone + [*PLACES[1], 0], atol=1e-4)
    assert not np.allclose(alone, plain)


def test_only_boxes_of_the_named_classes_and_on_the_image_count(place, model, photo):
    rows = [("a", box_within(0, 0)), ("b", box_within(SIDE, 0)), ("b", (-9, -9, -2, -2))]
    boxes = listed(place, rows)
    assert len(the(fovea.predict(model, photo[0], boxes=boxes)).objects) == 2
    only = the(fovea.predict(model, photo[0], boxes=boxes, boxes_of=["b"]))
    assert [label for label, _ in only.scores] == ["b"]
    assert only.boxes.found[0, 1:5].tolist() == pytest.approx(box_within(SIDE, 0))


def test_what_is_written_is_read_back_as_a_sample_for_each_object(place, model, photo, tmp_path, capsys):
    boxes = listed(place, [("a", box_within(*corner)) for corner in PLACES])
    assert run(["predict", str(model), str(photo[0]), "--boxes", str(boxes), "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)[0]["objects"]
    assert {*said[0]} == {"label", "box", "points"} and len(said) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "points.json"]
    part = fovea.find(tmp_path / "points.json").parts["train"]
    assert part.names[0].endswith("photo.png #1") and len(part) == 3
    found = part.labels[0, :, :2] + part.regions[0, :2]
    np.testing.assert_allclose(found, [[point["x"], point["y"]] for point in said[0]["points"]], atol=0.01)


def test_a_network_finds_the_boxes(model, detector, photo):
    found = the(fovea.predict(model, photo[0], boxes=detector, min_score=0.0))
    expected = the(fovea.predict(detector, photo[0], min_score=0.0))
    np.testing.assert_allclose(found.boxes.found, expected.found)
    assert len(found.objects) == len(expected.found) > 0
    assert "score" in found.to_dict()["objects"][0]


def test_an_image_that_is_not_listed_is_told_of(place, model, photo):
    boxes = listed(place, [("a", box_within(0, 0))])
    first, second = fovea.predict(model, [photo[1][0], photo[0]], boxes=boxes)
    assert "lists no such image" in first.error and second.prediction is not None


def test_an_image_without_a_box_has_no_object(place, model, photo):
    boxes = place / "none.csv"
    boxes.write_text("path,label,x0,y0,x1,y1\nphoto.png,,,,,\npoints/images/00.png,a,0,0,9,9\n")
    assert the(fovea.predict(model, photo[0], boxes=boxes)).label == "nothing"


def test_what_does_not_go_together_is_refused(place, model, detector, photo):
    boxes = listed(place, [("a", box_within(0, 0))])
    for arguments, words in (
        ({"model": detector, "boxes": boxes}, "this model predicts boxes; leave it out"),
        ({"boxes": model}, "this model predicts points; give another"),
        ({"boxes": boxes, "min_score": 0.5}, "all boxes of a list are used"),
        ({"boxes": boxes, "boxes_of": ["c"]}, "Unknown class `c`"),
        ({"boxes_of": ["a"]}, "selects from `boxes`"),
    ):
        with pytest.raises(UsageError, match=words):
            list(fovea.predict(**{"model": model, "images": photo[0], **arguments}))
    with pytest.raises(NotFoundError):
        AskedBoxes(source=place / "absent.json").opened(fovea.load(model), None)


def test_objects_are_drawn_and_told_of(tmp_path):
    found = BoxPrediction.of(np.array([[0, 2.0, 2.0, 20.0, 20.0, np.nan]]), ("cat",))
    points = PointPrediction.of(np.array([[10.0, 10.0, 0.5]]), ("nose",))
    said = ObjectsPrediction.of(found, [points])
    assert (said.label, said.probability, said.scores) == ("1 x cat", 0.5, (("cat", 0.5),))
    picture = said.drawn(np.zeros((32, 32, 3), np.uint8))
    factor = picture.shape[0] // 32
    assert picture[10 * factor, 10 * factor].any() and picture[2 * factor, 15 * factor].any()
    assert not picture[30 * factor, 30 * factor].any()
    assert np.isnan(ObjectsPrediction().probability) and ObjectsPrediction().label == "nothing"


def test_an_evaluation_on_persons_tells_how_well_they_are_found_by_their_points(place, model, photo, tmp_path):
    """Points that lie where the network finds them are all found; of twice the distance from there none is."""
    boxes = [box_within(*corner) for corner in PLACES]
    found = the(fovea.predict(model, photo[0], boxes=listed(place, [("a", box) for box in boxes], "right.csv")))
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": 500,
            "keypoints": [value for x, y, _ in points.tolist() for value in (x - 0.5, y - 0.5, 2)],
        }
        for number, ((x0, y0, x1, y1), points) in enumerate(zip(boxes, found.points, strict=True), start=1)
    ]
    names = fovea.load(model).target.classes
    content = {
        "images": [{"id": 1, "file_name": "photo.png", "width": 2 * SIDE, "height": 2 * SIDE}],
        "categories": [{"id": 1, "name": "block", "keypoints": list(names)}],
        "annotations": annotations,
    }
    (place / "people.json").write_text(json.dumps(content))
    page = tmp_path / "page.html"
    result = fovea.evaluate(model, place / "people.json", split="train", html=page)
    assert (result.persons.persons, result.persons.images) == (3, 1)
    assert result.persons.scores.ap == pytest.approx(1)
    assert result.to_dict()["persons"]["ap"] == pytest.approx(1)
    assert "OKS-AP" in page.read_text() and "3 objects in 1 images" in page.read_text()
