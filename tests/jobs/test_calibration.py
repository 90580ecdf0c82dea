"""`fovea export --int8`: which samples it takes, what it refuses, and what it writes."""

import json

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner

from fovea.cli import application
from fovea.display import Display
from fovea.errors import DataError
from fovea.jobs.calibration import CALIBRATION, int8_samples, int8_settings
from fovea.model.bundle import load

QUIET = Display(quiet=True)
COLOURS = ("red", "green", "blue")


def command(*words):
    return CliRunner().invoke(application(), ["export", *map(str, words)])


def write_images(folder, *, count, brightest=None):
    """Write images of 4 x 4, the brightest channel being that of their class, or another."""
    generator = np.random.default_rng(0)
    for index, name in enumerate(COLOURS):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 120, (4, 4, 3), np.uint8)
            pixels[..., index if brightest is None else brightest] += 100
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    for part, count in (("train", 8), ("val", 4), ("test", 2)):
        write_images(folder / part, count=count)
    return folder


def test_ranges_are_of_the_training_part_and_the_score_of_validation(make_bundle, colours):
    calibration, validation = int8_samples(load(make_bundle()), colours, display=QUIET)
    assert (len(calibration), len(validation)) == (24, 12)
    assert calibration.text == f"24 images of {colours.name}, split train"
    assert validation.text == f"12 images of {colours.name}, split val"


def test_labels_are_those_of_the_network_however_its_classes_are_ordered(make_bundle, colours):
    bundle = load(make_bundle(order=(2, 0, 1)))
    _, validation = int8_samples(bundle, colours, display=QUIET)
    brightest = validation.stored.mean(axis=(1, 2)).argmax(1)
    assert [bundle.classes[label] for label in validation.labels] == [COLOURS[index] for index in brightest]


def test_without_a_validation_part_some_of_the_training_part_is_set_apart(make_bundle, tmp_path):
    write_images(tmp_path / "data" / "train", count=10)
    calibration, validation = int8_samples(load(make_bundle()), tmp_path / "data", display=QUIET)
    assert (len(calibration), len(validation)) == (24, 6)
    assert validation.source.endswith("split train, held out")
    seen = {sample.tobytes() for sample in calibration.stored}
    assert not seen & {sample.tobytes() for sample in validation.stored}


def test_no_more_training_samples_are_taken_than_ranges_need(make_bundle, tmp_path):
    path = tmp_path / "many.npz"
    images = np.random.default_rng(0).integers(0, 256, (2 * CALIBRATION, 4, 4, 3), np.uint8)
    labels = np.array([COLOURS[index % 3] for index in range(len(images))])
    np.savez(path, x_train=images, y_train=labels, x_val=images[:9], y_val=labels[:9])
    calibration, validation = int8_samples(load(make_bundle()), path, display=QUIET)
    assert (len(calibration), len(validation)) == (CALIBRATION, 9)


def test_data_of_a_test_part_alone_is_refused(make_bundle, tmp_path):
    write_images(tmp_path / "data" / "test", count=2)
    with pytest.raises(DataError, match="has no split `train`, only test; give the data"):
        int8_samples(load(make_bundle()), tmp_path / "data", display=QUIET)


def test_names_of_layers_are_separated_by_commas():
    assert int8_settings(max_drop=1.0, keep="stem, head", ranges="mse").keep == ("stem", "head")
    assert int8_settings(max_drop=1.0, keep=["stem", "head"], ranges="mse").by_hand == ("stem", "head")


def test_half_and_int8_exclude_each_other(make_bundle, colours):
    done = command(make_bundle(), "--int8", colours, "--half")
    assert done.exception.exit_code == 2
    assert str(done.exception).startswith("`--half` and `--int8` cannot be used together")


def test_an_unknown_calibration_is_a_usage_error(make_bundle, colours):
    done = command(make_bundle(), "--int8", colours, "--ranges", "entropy")
    assert done.exception.exit_code == 2
    assert str(done.exception).startswith("Unknown calibration `entropy`")


def test_what_is_for_int8_alone_is_refused_without_it(make_bundle):
    done = command(make_bundle(), "--max-drop", "2")
    assert done.exception.exit_code == 2
    assert "need `--int8 DATA`" in str(done.exception)


def test_the_command_writes_a_file_that_answers_and_says_what_it_lost(make_bundle, colours):
    path = make_bundle()
    done = command(path, "--int8", colours, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["precision"] in ("int8", "float32")  # what is faster here
    session = onnxruntime.InferenceSession(path.with_suffix(".onnx"))
    stored = np.stack([np.full((4, 4, 3), 20, np.uint8)] * 3)
    stored[range(3), :, :, range(3)] = 220
    assert session.run(None, {"images": stored})[0].argmax(1).tolist() == [0, 1, 2]


def test_more_than_the_allowed_drop_leaves_no_file(make_bundle, colours, monkeypatch):
    monkeypatch.setattr("fovea.exporting.int8.arithmetic.WEIGHT_LIMIT", 0.4)  # so that all weights are rounded to 0
    path = make_bundle()
    done = command(path, "--int8", colours, "--max-drop", "1", "--keep", "none")
    assert done.exception.exit_code == 1
    assert "and the limit is 1; no file is written. Raise the limit with `--max-drop`" in str(done.exception)
    assert not path.with_suffix(".onnx").exists()
