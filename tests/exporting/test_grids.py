"""Networks on a grid as ONNX Runtime runs them: the same numbers, to the bit."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.card import Card
from fovea.compression.change import parsed
from fovea.compression.quantise import at_rest, gridded, quantise
from fovea.errors import UsageError
from fovea.exporting.core import float_core
from fovea.exporting.onnx_file import export_onnx
from fovea.exporting.session import Session
from fovea.exporting.settings import ExportSettings
from fovea.layers import channel_shuffle
from fovea.model.bundle import load, save_bundle
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from tests.support.refitting import small_work
from tests.support.small_networks import Dense, Grouped, Residual

SHAPE = (3, 12, 12)


class Chain(nn.Sequential):
    """Convolutions, pools and dense layers in the order of LeNet-5."""

    def __init__(self):
        layers = (nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 8, 3, bias=False), nn.ReLU())
        super().__init__(*layers, nn.Flatten(), nn.Linear(72, 10), nn.ReLU(), nn.Linear(10, 4))


class Shuffled(Grouped):
    """With a mean that works for any number of images."""

    def forward(self, x):
        return self.dense(F.adaptive_avg_pool2d(channel_shuffle(self.body(20 * x), 3), 1).flatten(1))


NETWORKS = {"chain": Chain, "residual": Residual, "dense": Dense, "shuffled": Shuffled}


def network(name):
    torch.manual_seed(0)
    model = NETWORKS[name]()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(16, *SHAPE))
    return model.eval()


def on_its_grid(name):
    model = network(name)
    done = quantise(model, small_work(SHAPE), epochs=2)
    return done.model, done.changes


def run(core, x):
    return Session(core.SerializeToString()).run("input", x.numpy())["logits"]


@pytest.mark.parametrize("name", ["residual", "dense", "shuffled"])
def test_onnxruntime_gives_the_networks_own_numbers(name):
    model, _ = on_its_grid(name)
    x = torch.randn(40, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(x).numpy()
    assert np.array_equal(run(float_core(model, SHAPE), x), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_grid_costs_little_and_is_rebuilt_from_its_changes(name):
    model = network(name)
    x = torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(x)
    done = quantise(model, small_work(SHAPE), epochs=0)
    with torch.no_grad():
        after = done.model(x)
    assert (after - before).square().mean() < 0.02 * before.var()
    built = network(name)
    for change in done.changes:
        parsed(change).apply(built)
    built.load_state_dict(done.model.state_dict())
    with torch.no_grad():
        assert torch.equal(built.eval()(x), after)


def test_weights_are_stored_as_int8_and_biases_as_int32():
    model, _ = on_its_grid("chain")
    kinds = [tensor.data_type for tensor in float_core(model, SHAPE).graph.initializer if len(tensor.dims) > 1]
    assert kinds == [onnx.TensorProto.INT8] * 4


def test_a_trained_grid_is_exported_from_its_file_without_calibration(tmp_path):
    model = Chain().eval()
    preprocess = Preprocess(size=(12, 12), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    change, _ = gridded(model, [torch.randn(32, *SHAPE)])
    at_rest(model)
    # a custom network, whose structure the file does not hold, is given changed as it was
    card = Card(
        architecture="custom", arguments={}, target=Classes(names=tuple("abcd")), preprocess=preprocess, fovea="0"
    )
    save_bundle(tmp_path / "net.safetensors", model, card)
    fresh = Chain().eval()
    change.apply(fresh)
    bundle = load(tmp_path / "net.safetensors", model=fresh)
    exported = export_onnx(bundle, tmp_path / "net.onnx")
    assert exported.proof.largest_difference == 0
    assert exported.card.other["export"]["precision"] == "int8"
    assert exported.card.other["export"]["grid"]["layers"] == 4
    images = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
    said = Session((tmp_path / "net.onnx").read_bytes()).run("images", images)["logits"]
    assert np.array_equal(said, bundle.outputs(images).numpy())
    with pytest.raises(UsageError, match="leave out `--half`"):
        export_onnx(bundle, tmp_path / "half.onnx", settings=ExportSettings(precision="float16"))
