import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from onnx import helper
from onnx_files import SIZE, card_values, graphs, network, nodes, write_onnx
from PIL import Image

from fovea import runtime
from fovea.data.dataset import Rows
from fovea.errors import BundleError, ImageError, StorageError, UsageError
from fovea.inputs.views import Protocol

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def net(tmp_path):
    return runtime.load(write_onnx(tmp_path / "net.onnx"))


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)


def test_the_class_of_the_brightest_channel_is_said(net, tmp_path):
    Image.new("RGB", (8, 8), RED).save(tmp_path / "a.png")
    answers = net.predict([tmp_path / "a.png", np.full((5, 6, 3), BLUE, np.uint8), Image.new("RGB", (9, 4), RED)])
    assert [answer.label for answer in answers] == ["red", "blue", "red"]
    expected = np.exp(6) / (np.exp(6) + 2)
    assert answers[0].probability == pytest.approx(expected, abs=1e-6)
    assert net.predict((tmp_path / "a.png").read_bytes())[0] == answers[0]
    assert net.predict([]) == [] and net.first_layer() is None
    assert (net.classes, net.task) == (("red", "green", "blue"), "classes")


def test_logits_are_six_times_the_mean_of_each_channel(net):
    samples = noise(5)
    assert net.logits(samples) == pytest.approx(6 * samples.mean((1, 2)) / 255, abs=1e-5)
    rows = net.scores(samples)
    assert rows.dtype == np.float64 and rows.sum(1) == pytest.approx(np.ones(5), abs=1e-6)


@pytest.mark.parametrize("name", graphs())
def test_networks_of_all_kinds_of_operators_run(name, tmp_path):
    """What the walk says of shapes is what onnxruntime finds: another one would be refused."""
    net = runtime.load(write_onnx(tmp_path / "net.onnx", **graphs()[name]))
    assert net.scores(noise(5)).shape == (5, 3) and net.logits(noise(5), batch=2).shape == (5, 3)


@pytest.mark.parametrize("batch", ["N", "batch size", "", 1, 2, 4])
def test_any_number_of_samples_passes_through_any_batch(tmp_path, net, batch):
    other = runtime.load(write_onnx(tmp_path / "other.onnx", batch=batch))
    samples, told = noise(7), []
    expected = net.scores(samples)
    for most in (1, 3, 7, 256):
        assert other.scores(samples, batch=most) == pytest.approx(expected, abs=1e-6)
    other.logits(samples, batch=3, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (7, 7) and len(told) == -(-7 // (batch if isinstance(batch, int) else 3))
    assert other.scores(samples[:0]).shape == (0, 3)


def test_memory_bounds_a_batch(tmp_path, monkeypatch):
    net = runtime.load(write_onnx(tmp_path / "net.onnx"))
    monkeypatch.setattr("fovea.runtime.exported.batch_within", lambda batch, each: 2)
    told = []
    net.logits(noise(5), progress=lambda done, of: told.append(done))
    assert told == [2, 4, 5] and net.contents.sample_bytes > 1000


def test_samples_may_be_read_when_they_are_asked_for(net):
    samples = noise(6)
    assert np.array_equal(net.scores(Rows(samples, np.array([4, 0]))), net.scores(samples[[4, 0]]))


def test_other_samples_are_refused(net):
    for samples in (
        np.zeros((2, 4, 4, 1), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.float32),
    ):
        with pytest.raises(UsageError, match=r"Samples must be uint8 \(N, 4x4x3\), as `read` returns them"):
            net.scores(samples)
    with pytest.raises(UsageError, match="`batch`"):
        net.scores(noise(2), batch=0)
    with pytest.raises(ImageError):
        net.predict(b"no image")


def test_many_threads_share_one_network(tmp_path):
    net = runtime.load(write_onnx(tmp_path / "net.onnx", **graphs()["convolution"]), threads=1)
    batches = [noise(count % 9 + 1, seed=count) for count in range(200)]
    expected = [net.scores(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(net.scores, batches))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_outputs_are_logits_averaged_over_views(net):
    samples = noise(6)
    assert net.outputs(samples).dtype == torch.float32
    assert np.array_equal(net.outputs(samples).numpy(), net.logits(samples))
    mirrored = net.outputs(samples, Protocol(flip=True), batch=4)
    assert mirrored.numpy() == pytest.approx(net.logits(samples), abs=1e-5)  # means of channels have no sides
    views = Protocol(crops=5, scales=(1.0, 1.25))
    size = views.geometry(net.preprocess).size
    large = np.random.default_rng(0).integers(0, 256, (3, *size, 3)).astype(np.uint8)
    told = []
    found = net.outputs(large, views, batch=2, progress=lambda done, of: told.append((done, of)))
    assert found.shape == (3, 3) and told == [(2, 3), (3, 3)]


def test_labels_above_their_thresholds_are_present(tmp_path):
    net = runtime.load(write_onnx(tmp_path / "net.onnx", **graphs()["labels"]))
    (found,) = net.predict(np.full((4, 4, 3), RED, np.uint8))
    assert found.label == "red" and len(found.scores) == 3


def test_outputs_that_are_no_numbers_are_refused(tmp_path):
    spoilt = network([("Mul", "normalised nan", "features")], nan=np.float32(np.nan), head=np.ones((48, 3), np.float32))
    net = runtime.load(write_onnx(tmp_path / "net.onnx", **spoilt))
    with pytest.raises(BundleError, match="outputs are not finite"):
        net.scores(noise(1))


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(StorageError, match=r"There is no file `.*missing.onnx`"):
        runtime.load(tmp_path / "missing.onnx")
    with pytest.raises(StorageError, match="a folder"):
        runtime.load(tmp_path)
    with pytest.raises(BundleError, match="`empty.onnx` is not an ONNX file, or is empty"):
        runtime.load(tmp_path / "empty.onnx")


def test_a_file_of_more_than_two_gibibytes_is_refused_unread(tmp_path):
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(BundleError, match="has 2,147,483,648 bytes; the limit for an `.onnx` file is 2,147,483,647"):
        runtime.load(tmp_path / "net.onnx")


def test_neither_loading_nor_predicting_imports_pytorch(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", card=card_values())
    code = (
        "import sys, numpy as np; from fovea.runtime import load;"
        f"net = load({str(path)!r}, threads=1); net.scores(np.zeros((2, 4, 4, 3), np.uint8));"
        "sys.exit(bool({'torch', 'scipy', 'safetensors', 'matplotlib', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_probabilities_that_are_none_are_refused(tmp_path):
    renamed = [*nodes()[:5], helper.make_node("Neg", ["logits"], ["probabilities"])]
    net = runtime.load(write_onnx(tmp_path / "net.onnx", nodes=renamed))
    with pytest.raises(BundleError, match="probabilities of the network are not between 0 and 1"):
        net.scores(noise(2))
