"""Evaluating: on which part, against which classes, and what the figures are."""

import json

import numpy as np
import pytest
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
        DataError, match="classes that the model does not know: `cyan`, `gold`. It knows `blue`, `green`, `red`"
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
    assert (result.split, result.notes[-1]) == ("val", "there is no test part; this is val")
    (root / "val").rename(root.parent / "set-aside-too")
    assert evaluate(model, root).split == "whole"
    with pytest.raises(DataError, match="`full` has no part `val`; it has train"):
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
    assert evaluate(model, folder, split="whole").notes[-1] == "the network was trained on images of this part"
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
    with pytest.raises(UsageError, match=r"`min_accuracy` \(=75\) must be a fraction"):
        evaluate(model, mixed, min_accuracy=75)


def test_a_loaded_bundle_does_as_well_as_its_path(make_bundle, mixed):
    path = make_bundle()
    assert evaluate(load(path), mixed) == evaluate(path, mixed)


def test_numbers_are_measured_in_their_unit(make_bundle, tmp_path, colour_folder):
    colour_folder("images", red="red", green="green", blue="blue")
    rows = "".join(f"images/{name}/0.png,{value}\n" for name, value in [("red", 41), ("green", 40), ("blue", 36)])
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    model = build("mlp", classes=1, c_in=3, size=4, widths=[1])
    for parameter in model.parameters():
        parameter.data.zero_()
    model.head.logits.bias.data.fill_(2.0)
    path = make_bundle(
        model=model,
        arguments={"classes": 1, "c_in": 3, "size": 4, "widths": [1]},
        **{"task": "number", "loss": "mse", "classes": [], "outputs": 1, "target": {"mean": 30.0, "std": 5.0}},
    )
    result = evaluate(path, tmp_path / "list.csv")
    assert (result.images, result.mae) == (3, pytest.approx(5 / 3))  # 40 is said of all
    assert result.rmse == pytest.approx(np.sqrt(17 / 3))
    assert result.accuracy is None
    assert result.summary()[0].startswith("mean absolute error 1.667, root mean squared error 2.38, R2 -")
    with pytest.raises(UsageError, match="for a model with classes"):
        evaluate(path, tmp_path / "list.csv", min_accuracy=0.5)


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
    assert lines[0] == "accuracy 75.00%, 95 % interval 40.93% to 92.85% (whole of mixed, 8 images)"
    assert lines[4].split() == ["blue", "50.0%", "100.0%", "66.7%", "4"]
    assert lines[-1] == "2 x blue taken for red"


def test_data_is_read_for_the_names_that_the_model_knows(make_bundle, mixed, monkeypatch):
    heard = []

    def source(**options):
        heard.append(options)
        raise KeyError

    monkeypatch.setattr("fovea.jobs.evaluate.DataSource", source)
    with pytest.raises(KeyError):
        evaluate(make_bundle(), mixed, label_separator="|")
    assert heard[0]["known"] == ("red", "green", "blue") and heard[0]["label_separator"] == "|"


def test_how_grades_and_several_labels_are_written_is_for_models_of_them(make_bundle, mixed):
    with pytest.raises(UsageError, match="`--order` is for `--task grade`, and the task is `classes`; change one"):
        evaluate(make_bundle(), mixed, order="red,green,blue")
