"""What an evaluation adds where asked: accuracy on disturbed images, per slice of the data, over several views."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fovea.cli import run
from fovea.errors import DataError, UsageError
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.robustness import measure_robustness
from fovea.jobs.evaluate import evaluate
from fovea.metrics import wilson_interval
from fovea.registry import build
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number


@pytest.fixture
def left_edge(make_bundle, colour_folder):
    """Return a model that says red where the top left pixel is, else green, and eight images with a red left edge."""
    model = build("mlp", classes=3, c_in=3, size=4, widths=[3])
    for parameter in model.parameters():
        parameter.data.zero_()
    model.stage1.dense.weight.data[0, 0] = 6
    model.head.logits.weight.data[0, 0] = 1
    model.head.logits.bias.data[1] = 1
    folder = colour_folder("edges", count=8, red="red")
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:, 0, 0] = 255
    for file in (folder / "red").iterdir():
        Image.fromarray(pixels).save(file)
    return make_bundle("edge.safetensors", model=model), folder


@pytest.fixture
def manifest(colour_folder):
    """Return a manifest of six images, those of the camera `new` right and half of those of `old` wrongly labelled."""
    folder = colour_folder("images")
    rows = [("red/0", "red", "new"), ("red/1", "red", "new"), ("green/0", "green", "old"), ("green/1", "blue", "old")]
    lines = [f"images/{path}.png,{label},{camera}\n" for path, label, camera in [*rows, ("blue/0", "blue", "")]]
    (folder.parent / "list.csv").write_text("path,label,camera\n" + "".join(lines))
    return folder.parent / "list.csv"


def curve_of(result, name):
    (curve,) = [curve for curve in result.robustness.curves if curve.disturbance == name]
    return {point.level: point.accuracy for point in curve.points}


def test_a_shift_to_the_left_is_what_loses_a_left_edge(left_edge):
    model, folder = left_edge
    result = evaluate(model, folder, robust=True)
    moved_left = (np.random.default_rng(0).integers(4, size=8) == 2).mean()
    assert 0 < moved_left < 1
    assert curve_of(result, "shift") == {0: 1.0, 1: 1 - moved_left}
    assert (result.robustness.images, result.robustness.accuracy) == (8, 1.0)


def test_levels_ascend_with_the_images_as_they_are_among_them(left_edge):
    model, folder = left_edge
    curves = evaluate(model, folder, robust=True).robustness.curves
    assert [curve.disturbance for curve in curves] == ["shift", "scale", "rotation", "blur", "noise", "JPEG"]
    for curve in curves:
        levels = [point.level for point in curve.points]
        assert levels == sorted(levels)
        assert all(point.interval == wilson_interval(round(8 * point.accuracy), 8) for point in curve.points)
    assert curve_of(evaluate(model, folder, robust=True), "scale")[1.0] == 1.0


def test_disturbances_do_not_depend_on_the_batch(left_edge):
    model, folder = left_edge
    assert evaluate(model, folder, robust=True, batch=3) == evaluate(model, folder, robust=True)


def test_at_most_2000_images_are_disturbed(left_edge, monkeypatch):
    monkeypatch.setattr("fovea.evaluation.robustness.MOST_IMAGES", 5)
    model, folder = left_edge
    result = evaluate(model, folder, robust=True)
    assert (result.images, result.robustness.images) == (8, 5)
    assert "disturbed (5 images, 100.0 % as they are)" in result.summary()


def test_the_picture_and_the_page_show_the_curves(left_edge, tmp_path):
    model, folder = left_edge
    evaluate(model, folder, robust=True, out=tmp_path / "r.png", html=tmp_path / "r.html")
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.size == (1080, 560)
    page = (tmp_path / "r.html").read_text()
    assert "<h2>Disturbed images</h2>" in page and "<h3>Shift: accuracy, %</h3>" in page
    assert "shift 0: 100.00 % (95 % interval 67.56 % to 100.00 %)" in page
    with pytest.raises(UsageError, match=r"^`out` \(=.*r\.abc\) must end in \.png, \.jpg, \.pdf or \.svg\.$"):
        evaluate(model, folder, robust=True, out=tmp_path / "r.abc")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UsageError, match=r"`out` \(=.*folder\.svg\) is a folder; give the name of a file in it"):
        evaluate(model, folder, robust=True, out=tmp_path / "folder.svg")


class Reader:
    """A network whose output is the mean grey level, 0..1, less a half: images say which answer they get."""

    def __init__(self, target, columns=1):
        self.target, self.columns = target, columns

    def outputs(self, images, protocol, *, batch):
        grey = torch.from_numpy(np.asarray(images, np.float32).mean((1, 2, 3)) / 255)
        return (grey - 0.5)[:, None].repeat(1, self.columns)


def robustness_of(target, labels, *, columns=1):
    """Return the robustness on grey images of 8 x 8, as dark as their place among them."""
    labels, levels = np.array(labels), np.linspace(0, 255, len(labels)).astype(np.uint8)
    outcome = Outcome(
        data="d",
        split="test",
        target=target,
        outputs=torch.zeros(len(labels), columns),
        labels=labels,
        names=tuple(map(str, range(len(labels)))),
        picture=lambda index: np.full((8, 8, 1), levels[index]),
    )
    return measure_robustness(Reader(target, columns), outcome)


def test_json_of_classes_keeps_its_keys_and_their_order(left_edge):
    model, folder = left_edge
    found = json.loads(json.dumps(evaluate(model, folder, robust=True).to_dict()))["robustness"]
    assert list(found) == ["images", "accuracy", "curves"]
    assert list(found["curves"][0]) == ["disturbance", "unit", "points"]
    assert list(found["curves"][0]["points"][0]) == ["level", "accuracy", "interval"]


def test_numbers_are_followed_by_their_mean_absolute_error():
    found = robustness_of(Number(mean=0.0, std=1.0), [-0.5, -0.3, 0.5])  # the middle one is read as -0.002
    assert found.score == pytest.approx(0.298 / 3, abs=1e-3) and found.accuracy is None
    assert found.summary()[1] == "disturbed (3 images, mean absolute error 0.09935 as they are)"
    assert found.summary()[2:4] == [
        "shift            0       1       2  pixels, in one of four directions",
        "           0.09935 0.09935 0.09935",  # nothing can be seen to move on a plain image
    ]
    assert list(found.to_dict()) == ["images", "mae", "curves"]
    assert list(found.to_dict()["curves"][0]["points"][0]) == ["level", "mae", "interval"]


def test_grades_and_labels_are_followed_too():
    grades = robustness_of(Grade(names=("dark", "light")), [0, 1, 1, 1])  # of four levels two are light
    assert (grades.metric.name, grades.score) == ("mae", 0.25)
    labels = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], np.float32)
    precision = robustness_of(SeveralLabels(names=("x", "y"), thresholds=(0.5, 0.5)), labels, columns=2)
    assert (precision.metric.name, precision.score) == ("map", 0.5)  # the second lightest has the label
    assert precision.summary()[1] == "disturbed (4 images, mean average precision 50.0 % as they are)"


def test_what_is_not_defined_as_it_is_cannot_be_followed():
    target = SeveralLabels(names=("x",), thresholds=(0.5,))
    with pytest.raises(
        UsageError, match=r"^`--robust` measures the mean average precision, which is undefined for these images. .*"
    ):
        robustness_of(target, np.zeros((3, 1), np.float32))


def test_slices_by_hand(make_bundle, manifest):
    result = evaluate(make_bundle(), manifest, slice_by="camera")
    found = {entry.value: (entry.images, entry.accuracy) for entry in result.slices.values}
    assert found == {"": (1, 1.0), "new": (2, 1.0), "old": (2, 0.5)}
    assert result.slices.values[2].interval == pytest.approx((0.0945, 0.9055), abs=1e-4)
    lines = result.summary()[-4:]
    assert lines[0].split()[0] == "camera" and lines[1].split() == ["old", *"50.0 % 9.5 % to 90.5 % 2".split()]


def test_slices_are_in_json_and_page(make_bundle, manifest, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert run(["evaluate", str(make_bundle()), str(manifest), "--slice", "camera", "--html", str(page), "--json"]) == 0
    slices = json.loads(capsys.readouterr().out)["slices"]
    assert slices["column"] == "camera" and [entry["value"] for entry in slices["values"]] == ["", "new", "old"]
    assert "<h2>Accuracy by camera</h2>" in page.read_text() and "(empty)" in page.read_text()


def test_a_slice_needs_a_manifest_with_that_column(make_bundle, manifest):
    with pytest.raises(
        UsageError,
        match=(
            r"^`--slice camera` needs a CSV or Parquet manifest with that column, and `.*images` is "
            r"not one"
        ),
    ):
        evaluate(make_bundle(), manifest.parent / "images", slice_by="camera")
    with pytest.raises(
        DataError, match=r"has no column `lens`; it has `path`, `label`, `camera`\. Choose columns with `--slice`"
    ):
        evaluate(make_bundle(), manifest, slice_by="lens")


def test_the_protocol_stands_beside_the_figure(make_bundle, manifest, tmp_path, capsys):
    page = tmp_path / "page.html"
    options = ["--crops", "10", "--scales", "0.9,1.1", "--html", str(page)]
    assert run(["evaluate", str(make_bundle()), str(manifest), *options]) == 0
    text = "logits averaged over 20 views: corners and centre of each image and their mirror images at scales 0.9, 1.1"
    assert f"(whole of list, 5 images, {text})" in capsys.readouterr().out
    assert text in page.read_text()
    protocol = evaluate(make_bundle(), manifest, crops=10, scales=[0.9, 1.1]).to_dict()["protocol"]
    assert protocol == {"crops": 10, "flip": False, "scales": (0.9, 1.1), "views": 20, "text": text}
    assert evaluate(make_bundle(), manifest).to_dict()["protocol"]["text"] == ""


def test_crops_see_what_the_centre_does_not(left_edge):
    model, folder = left_edge
    assert evaluate(model, folder).accuracy == 1.0
    assert evaluate(model, folder, scales=[3.0]).accuracy == 0.0  # the edge is out of view
    assert evaluate(model, folder, scales=[3.0], crops=5).accuracy == 1.0  # two of five crops see it


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--crops", "3"], "`crops` (=3) must be one of 1, 5, 10."),
        (["--scales", "9"], "`scales` (=9) must be one or more numbers from 0.25 to 4"),
        (["--scales", "big"], "Invalid value for '--scales': big must be numbers, as 0.9,1,1.1."),
        (["--out", "r.png"], "`out` (=r.png) names the picture of --robust; add --robust, or use --html."),
        (["--robust", "--out", "nowhere/r.png"], "`out` (=nowhere/r.png): there is no folder `nowhere`; create it"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(make_bundle, manifest, capsys, options, error):
    assert run(["evaluate", str(make_bundle()), str(manifest), *options]) == 2
    assert error in capsys.readouterr().err
