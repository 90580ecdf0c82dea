"""Keras' weights in PyTorch's names and layouts."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.errors import BundleError, MissingDependencyError
from fovea.model.keras import as_here, read_keras


def test_a_kernel_convolves_as_it_does_there():
    image, kernel = np.arange(9.0).reshape(1, 3, 3, 1), np.arange(8.0).reshape(2, 2, 1, 2)
    there = np.einsum("nhwijc,ijco->nhwo", np.lib.stride_tricks.sliding_window_view(image, (2, 2), (1, 2))
                      .transpose(0, 1, 2, 4, 5, 3), kernel)  # fmt: skip
    here = F.conv2d(torch.from_numpy(image).permute(0, 3, 1, 2), as_here("conv.weight", kernel))
    assert np.array_equal(here.permute(0, 2, 3, 1).numpy(), there)


def test_a_dense_kernel_is_transposed_and_vectors_are_not():
    assert torch.equal(as_here("fc.weight", [[1.0, 2.0]]), torch.tensor([[1.0], [2.0]]))
    assert torch.equal(as_here("bn.weight", [1.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert torch.equal(as_here("fc.bias", [1.0, 2.0]), torch.tensor([1.0, 2.0]))


def names_there(blocks):
    """Yield the names of a DenseNet of Keras', layer by layer as its source builds it."""
    norm = ("weight", "bias", "running_mean", "running_var")
    yield "conv1_conv.weight"
    yield from (f"conv1_bn.{kind}" for kind in norm)
    for stage, layers in enumerate(blocks, start=2):
        for layer in range(1, layers + 1):
            for number in (1, 2):
                yield f"conv{stage}_block{layer}_{number}_conv.weight"
                yield from (f"conv{stage}_block{layer}_{number - 1}_bn.{kind}" for kind in norm)
        if stage < 5:
            yield from (f"pool{stage}_bn.{kind}" for kind in norm)
            yield f"pool{stage}_conv.weight"
    yield from (f"bn.{kind}" for kind in norm)
    yield from ("fc1000.weight", "fc1000.bias")


@pytest.mark.parametrize(("name", "blocks"), [("densenet121", (6, 12, 24, 16)), ("densenet201", (6, 12, 48, 32))])
def test_every_tensor_of_a_densenet_has_its_name_here(name, blocks):
    with torch.device("meta"):
        own = [key for key in registry.build(name).state_dict() if not key.endswith("num_batches_tracked")]
    peer = registry.entry(name).peers["keras"]
    assert sorted(map(peer.renamed, names_there(blocks))) == sorted(own)


def test_without_its_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'fovea-cnn\[keras\]'"):
        read_keras(tmp_path / "x.h5")


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file of two layers, as weights alone or as a whole model."""
    h5py = pytest.importorskip("h5py")

    def write(within=""):
        with h5py.File(tmp_path / "x.h5", "w") as root:
            top = root.create_group(within) if within else root
            top.attrs["layer_names"] = [b"conv1/bn", b"relu", b"fc"]
            layers = {"conv1/bn": {"gamma": [1.0], "moving_mean": [2.0]}, "relu": {}, "fc": {"kernel": [[3.0, 4.0]]}}
            for layer, arrays in layers.items():
                group = top.create_group(layer)
                group.attrs["weight_names"] = [f"{layer}/{kind}:0".encode() for kind in arrays]
                for kind, values in arrays.items():
                    group[f"{layer}/{kind}:0"] = values
        return tmp_path / "x.h5"

    return write


@pytest.mark.parametrize("within", ["", "model_weights"])
def test_a_file_is_read_layer_by_layer(file, within):
    found = read_keras(file(within))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "conv1_bn.weight": [1.0],
        "conv1_bn.running_mean": [2.0],
        "fc.weight": [[3.0], [4.0]],
    }


@pytest.mark.parametrize("kept", [0, 100, 900])
def test_half_a_file_is_refused(file, kept):
    path = file()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BundleError, match="`x.h5` is half a download, or no weights in Keras' layout"):
        read_keras(path)
