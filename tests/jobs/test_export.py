"""The job `export`, on the small files of conftest.py."""

import json

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner

import fovea
from fovea.cli import application
from fovea.errors import UsageError
from fovea.model.bundle import load


def command(*words):
    return CliRunner().invoke(application(), ["export", *map(str, words)])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Return a folder of images of all colours, and a file that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    for index in range(20):
        pixels = np.random.default_rng(index).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_the_file_lies_beside_the_model_and_answers_alike(make_bundle, photographs):
    path = make_bundle()
    done = fovea.export(path, images=photographs)
    assert done.path == path.with_suffix(".onnx")
    stored = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    rows, _ = onnxruntime.InferenceSession(done.path).run(None, {"images": stored})
    np.testing.assert_allclose(rows, load(path).scores(stored), atol=1e-6)


def test_the_proof_names_the_images_and_passes_over_broken_ones(make_bundle, photographs):
    done = fovea.export(make_bundle(), images=photographs)
    assert done.facts["proof"]["source"] == f"images of {photographs.name}"
    assert done.facts["proof"]["images"] == 20
    assert done.summary()[1].startswith(f"Proof    20 images of {photographs.name}: logits differ by at most")


@pytest.mark.parametrize("write", ["make_labels_bundle", "make_grade_bundle"])
def test_every_kind_of_target_answers_as_its_bundle_does(request, write, photographs):
    path = request.getfixturevalue(write)()
    done = fovea.export(path, images=photographs)
    bundle = load(path)
    stored = np.random.default_rng(1).integers(0, 256, (9, 4, 4, 3), np.uint8)
    rows, logits, *present = onnxruntime.InferenceSession(done.path).run(None, {"images": stored})
    np.testing.assert_allclose(rows, bundle.scores(stored), atol=1e-6)
    np.testing.assert_allclose(logits, bundle.outputs(stored), atol=1e-5)
    assert all((found == bundle.target.present(bundle.scores(stored))).all() for found in present)


def test_a_model_that_says_the_same_of_all_fails_and_leaves_nothing(make_number_bundle):
    path = make_number_bundle()
    result = command(path)
    assert (result.exit_code, type(result.exception).__name__) == (1, "ProofError")
    assert not path.with_suffix(".onnx").exists()


def test_the_command_prints_json_alone(make_bundle, photographs, tmp_path):
    result = command(make_bundle(), "--images", photographs, "--out", tmp_path / "n.onnx", "--raw", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["files"], found["raw"]) == (0, [str(tmp_path / "n.onnx")], True)
    assert found["proof"]["changed_decisions"] == 0
    assert f"Writing mlp for onnx and verifying it on 20 images of {photographs.name}" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "net.pt"}, "`out` \\(=net.pt\\) must end in .onnx"),
        ({"out": "none/net.onnx"}, "there is no folder `none`"),
        ({"to": "onix"}, "Unknown target `onix`; did you mean `onnx`"),
        ({"images": "no-such-data"}, "no-such-data"),
        ({"dynamic_size": True}, "fixed input size"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(make_bundle, options, message):
    with pytest.raises((UsageError, fovea.FoveaError), match=message):
        fovea.export(make_bundle(), **options)


def test_a_loaded_model_has_no_name_to_go_by(make_bundle):
    with pytest.raises(UsageError, match="`out` must give the file"):
        fovea.export(load(make_bundle()))
