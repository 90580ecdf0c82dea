"""Evaluating: on which part, against which classes, and what the figures are."""

import json

import numpy as np
import pytest
from onnx_files import write_onnx
from PIL import Image

from fovea.data.sources.source import find
from fovea.data.splits import split_validation
from fovea.errors import DataError, UsageError
from fovea.jobs.evaluate import evaluate
from fovea.metrics import wilson_interval
from fovea.model.bundle import load
from fovea.registry import build


@pytest.fixture
def mixed(colour_folder):
    """Eight images: red and green as they are, the four of class `blue` half blue, half red."""
    folder = colour_folder("mixed", red="red", green="green", blue="blue")
    colour_folder("more", blue="red")
    for index in range(2):
        (folder.parent / "more" / "blue" / f"{index}.png").rename(folder / "blue" / f"wrong{index}.png")
    return folder


def test_figures_by_hand(make_bundle, mixed):
    result = evaluate(make_bundle(), mixed)
    assert (result.data, result.split, result.images) == ("mixed", "whole", 8)
    assert result.accuracy == 6 / 8
    assert result.interval == wilson_interval(6, 8)
    assert result.confusion == [[2, 0, 0], [0, 2, 0], [2, 0, 2]]
    assert result.per_class["blue"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 4}
    sure, unsure = np.exp(6) / (np.exp(6) + 2), 1 / (np.exp(6) + 2)
    assert result.nll == pytest.approx(-(6 * np.log(sure) + 2 * np.log(unsure)) / 8)
    assert result.ece == pytest.approx(sure - 6 / 8)
    assert result.top5 is None and result.mae is None


def test_labels_are_matched_by_name_and_subsets_accepted(make_bundle, colour_folder):
    folder = colour_folder("some", green="green", blue="blue")
    for order, classes in [((0, 1, 2), ["red", "green", "blue"]), ((2, 0, 1), ["green", "blue", "red"])]:
        result = evaluate(make_bundle(order=order, classes=classes), folder)
        assert result.accuracy == 1
        assert result.per_class["red"]["support"] == 0


def test_classes_the_model_lacks_are_listed(make_bundle, colour_folder):
    folder = colour_folder("more", red="red", cyan="blue", gold="red")
    with pytest.raises(
        DataError, match="classes that the model does not have: `cyan`, `gold`. Its classes are `blue`, `green`, `red`"
    ):
        evaluate(make_bundle(), folder)


def test_the_part_is_test_then_val_then_whole(make_bundle, colour_folder):
    model = make_bundle()
    for part in ("train", "val", "test"):
        colour_folder(f"full/{part}")
    root = model.parent / "full"
    assert evaluate(model, root).split == "test"
    assert evaluate(model, root, split="train").split == "train"
    assert evaluate(model, root, split="whole").images == 18
    (root / "test").rename(root.parent / "set-aside")
    result = evaluate(model, root)
    assert (result.split, result.notes[-1]) == ("val", "no test split: measured on val")
    (root / "val").rename(root.parent / "set-aside-too")
    assert evaluate(model, root).split == "whole"
    with pytest.raises(DataError, match="`full` has no split `val`; it has train"):
        evaluate(model, root, split="val")
    with pytest.raises(UsageError, match="Unknown split `tset`; did you mean `test`"):
        evaluate(model, root, split="tset")


def test_the_data_of_the_training_is_split_as_it_was_then(make_bundle, colour_folder):
    folder = colour_folder("again", count=10)
    dataset = find(folder)
    data = {"fingerprint": dataset.fingerprint, "val_fraction": 0.2}
    model = make_bundle(training={"data": data, "seed": 7})
    held_out = split_validation(dataset, fraction=0.2, seed=7).parts["val"]
    result = evaluate(model, folder)
    assert (result.split, result.images) == ("val", len(held_out))
    assert "trained on" not in " ".join(result.notes)
    assert evaluate(model, folder, split="whole").notes[-1] == "the network was trained on images of this split"
    assert evaluate(make_bundle(), folder).split == "whole"


def test_flip_averages_an_image_and_its_mirror_image(make_bundle, colour_folder):
    model = build("mlp", classes=3, c_in=3, size=4, widths=[3])
    for parameter in model.parameters():
        parameter.data.zero_()
    model.stage1.dense.weight.data[0, 0] = 6  # the top left red pixel alone
    model.head.logits.weight.data[0, 0] = 1
    folder = colour_folder("flip", count=1, red="red", green="green")
    half = np.zeros((4, 4, 3), np.uint8)
    half[:, :2] = (255, 0, 0)
    Image.fromarray(half).save(folder / "red" / "0.png")
    for flip, logit in ((False, 6.0), (True, 3.0)):
        result = evaluate(make_bundle(model=model), folder, flip=flip)
        assert result.protocol.flip is flip
        assert result.nll == pytest.approx((np.log(np.exp(logit) + 2) - logit + np.log(3)) / 2)  # green: 0, 0, 0


def test_min_accuracy_decides_whether_it_passed(make_bundle, mixed):
    model = make_bundle()
    assert evaluate(model, mixed, min_accuracy=0.75).passed
    assert not evaluate(model, mixed, min_accuracy=0.76).passed
    assert evaluate(model, mixed).passed
    for wrong in (75, float("nan")):
        with pytest.raises(
            UsageError,
            match=rf"^`min_accuracy` \(={wrong}\) must be a fraction from 0 to 1, for a model with classes\.$",
        ):
            evaluate(model, mixed, min_accuracy=wrong)


def test_a_loaded_bundle_does_as_well_as_its_path(make_bundle, mixed):
    path = make_bundle()
    assert evaluate(load(path), mixed) == evaluate(path, mixed)


@pytest.fixture
def listed(tmp_path, colour_folder):
    """Return a function of labels by colour that writes a manifest of an image each, by two cameras."""
    colour_folder("images", red="red", green="green", blue="blue")

    def write(name="list.csv", **labels):
        cameras = {"red": "old", "green": "new", "blue": "new"}
        rows = "".join(f"images/{colour}/0.png,{label},{cameras[colour]}\n" for colour, label in labels.items())
        (tmp_path / name).write_text("path,label,camera\n" + rows)
        return tmp_path / name

    return write


def test_numbers_are_measured_in_their_unit(make_number_bundle, listed):
    path, data = make_number_bundle(), listed(red=41, green=40, blue=36)
    result = evaluate(path, data, slice_by="camera")
    assert (result.images, result.mae) == (3, pytest.approx(5 / 3))  # 40 is said of all
    assert result.rmse == pytest.approx(np.sqrt(17 / 3))
    assert result.accuracy is None
    assert result.summary()[0].startswith("mean absolute error 1.667, root mean squared error 2.38, R2 -")
    assert [(entry.value, entry.score) for entry in result.slices.values] == [("new", 2.0), ("old", 1.0)]
    with pytest.raises(
        UsageError,
        match=r"^`min_accuracy` \(=0.5\) works only for a model with classes, and this model predicts a number; "
        r"set a limit for mae, rmse, "
        r"r2 with `--min-score`\.$",
    ):
        evaluate(path, data, min_accuracy=0.5)


def test_grades_are_measured_by_how_far_off_they_are(make_grade_bundle, listed):
    path, data = make_grade_bundle(), listed(red=2, green=0, blue=0)
    result = evaluate(path, data, slice_by="camera", robust=True, min_accuracy=0.6, min_score={"mae": 0.3})
    assert (result.mae, result.accuracy, result.passed) == (pytest.approx(1 / 3), pytest.approx(2 / 3), False)
    assert result.shortfalls == ["mae 0.3333 is worse than --min-score mae=0.3"]
    assert [(entry.value, entry.score) for entry in result.slices.values] == [("new", 0.5), ("old", 0.0)]
    assert result.robustness.score == result.mae
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["min_scores"] == {"mae": 0.3} and found["robustness"]["mae"] == found["mae"] == result.mae
    assert list(found["slices"]["values"][0]) == ["value", "images", "mae", "interval"]


def test_labels_are_measured_by_average_precision(make_labels_bundle, listed, tmp_path):
    path, data = make_labels_bundle(), listed(red="red;blue", green="green", blue="blue")
    result = evaluate(path, data, slice_by="camera", robust=True, html=tmp_path / "page.html")
    # blue is ranked first in the blue image, and red and green share the second place: (1 + 2/3) / 2
    assert result.map == pytest.approx((1 + 1 + 5 / 6) / 3) and result.map == result.robustness.score
    assert (result.f1_micro, result.accuracy) == (pytest.approx(6 / 7), None)
    assert [(entry.value, entry.score) for entry in result.slices.values] == [("new", 1.0), ("old", 1.0)]
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert list(found["robustness"]) == ["images", "map", "curves"]
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Mean average precision by camera</h2>" in page and "<h3>Shift: mean average precision, %</h3>" in page


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (
            {"mea": 1.0},
            "`min_score` names `mea`, and this model predicts a grade: the scores are mae, kappa, accuracy, nll, ece.",
        ),
        ({"accuracy": 90}, "`min_score` accuracy (=90) must be a fraction from 0 to 1; write 90 % as 0.9."),
        ({"accuracy": -0.1}, "`min_score` accuracy (=-0.1) must be a fraction from 0 to 1; write 90 % as 0.9."),
        ({"mae": float("nan")}, "`min_score` mae (=nan) must be a finite number, for example mae=0.9."),
        ({"mae": float("inf")}, "`min_score` mae (=inf) must be a finite number, for example mae=0.9."),
        ({"mae": "0.5"}, "`min_score` mae (=0.5) must be a finite number, for example mae=0.9."),
        ({"mae": True}, "`min_score` mae (=True) must be a finite number, for example mae=0.9."),
    ],
)
def test_scores_that_cannot_be_asked_for_are_refused_before_any_work(make_grade_bundle, asked, error):
    with pytest.raises(UsageError) as caught:
        evaluate(make_grade_bundle(), "absent.csv", min_score=asked)
    assert str(caught.value) == error


def test_kappa_may_be_below_0_and_a_score_at_its_bound_passes(make_grade_bundle, listed):
    path, data = make_grade_bundle(), listed(red=2, green=0, blue=0)
    assert evaluate(path, data, min_score={"kappa": -0.5, "accuracy": 0, "mae": 1}).passed


def test_bad_files_are_left_out_and_listed(make_bundle, mixed):
    (mixed / "red" / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="--allow-bad"):
        evaluate(make_bundle(), mixed)
    result = evaluate(make_bundle(), mixed, allow_bad=True)
    assert result.images == 8
    assert [bad.name for bad in result.bad_files] == ["red/bad.png"]


def test_the_dict_is_json_without_what_does_not_apply(make_bundle, mixed):
    values = evaluate(make_bundle(), mixed, min_accuracy=0.5).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False))["accuracy"] == 0.75
    assert values["passed"] is True
    assert not {"mae", "rmse", "r2", "top5"} & values.keys()


def test_the_summary_names_part_interval_worst_class_and_mistakes(make_bundle, mixed):
    lines = evaluate(make_bundle(), mixed).summary()
    assert lines[0] == "accuracy 75.00 %, 95 % interval 40.93 to 92.85 % (whole of mixed, 8 images)"
    assert lines[4].split() == ["blue", "50.0", "%", "100.0", "%", "66.7", "%", "4"]
    assert lines[-1] == "2 x blue predicted as red"


def test_data_is_read_for_the_names_that_the_model_knows(make_bundle, mixed, monkeypatch):
    heard = []

    def source(**options):
        heard.append(options)
        raise KeyError

    monkeypatch.setattr("fovea.evaluation.parts.DataSource", source)
    with pytest.raises(KeyError):
        evaluate(make_bundle(), mixed, label_separator="|")
    assert heard[0]["known"] == ("red", "green", "blue") and heard[0]["label_separator"] == "|"


def test_how_grades_and_several_labels_are_written_is_for_models_of_them(make_bundle, mixed):
    with pytest.raises(UsageError, match=("`--order` works with `--task grade`, not `--task classes`; change one")):
        evaluate(make_bundle(), mixed, order="red,green,blue")


def test_an_exported_network_has_the_figures_of_its_model_file(make_bundle, mixed, tmp_path):
    exported = write_onnx(tmp_path / "net.onnx")
    page = tmp_path / "page.html"
    found = evaluate(exported, mixed, robust=True, html=page, device="cpu")
    expected = evaluate(make_bundle(), mixed, robust=True)
    assert found.confusion == expected.confusion and found.nll == pytest.approx(expected.nll, abs=1e-5)
    assert found.robustness.to_dict() == expected.robustness.to_dict()
    assert page.stat().st_size > 1000
    views = {"crops": 5, "flip": True, "scales": (1.0, 1.5)}
    assert evaluate(exported, mixed, **views).nll == pytest.approx(
        evaluate(make_bundle(), mixed, **views).nll, abs=0.01
    )
