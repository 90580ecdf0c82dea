"""Keras' weights in PyTorch's names and layouts."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.errors import BundleError, MissingDependencyError
from fovea.model import keras
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
    with pytest.raises(BundleError, match="`x.h5` is an incomplete download, or not a Keras weights file"):
        read_keras(path)


# hostile files


@pytest.fixture
def changed(file):
    """Return a function that changes a file of two layers in place, and gives its path."""
    h5py = pytest.importorskip("h5py")

    def change(edit):
        path = file()
        with h5py.File(path, "r+") as root:
            edit(h5py, root)
        return path

    return change


NAME = "conv1/bn/conv1/bn/gamma:0"
MANY = np.array([b"fc"] * 11_000)


def replaced(make):
    def edit(h5py, root):
        del root[NAME]
        make(h5py, root)

    return edit


def virtual(h5py, root):
    layout = h5py.VirtualLayout(shape=(1 << 40,), dtype="f4")
    layout[: 1 << 40] = h5py.VirtualSource("other.h5", "data", shape=(1 << 40,))
    root.create_virtual_dataset(NAME, layout)


HOSTILE = {
    "external link": (
        replaced(lambda h5py, root: root.__setitem__(NAME, h5py.ExternalLink("/etc/passwd", "/x"))),
        "has a link to another file or place for",
    ),
    "soft link": (
        replaced(lambda h5py, root: root.__setitem__(NAME, h5py.SoftLink("/fc/fc/kernel:0"))),
        "has a link to another file or place for `conv1/bn/gamma:0`",
    ),
    "virtual data set of terabytes": (replaced(virtual), "`conv1/bn/gamma:0`, which is kept in other files"),
    "external storage": (
        replaced(lambda _, root: root.create_dataset(NAME, (4,), "f4", external=[("/etc/passwd", 0, 16)])),
        "`conv1/bn/gamma:0`, which is kept in other files",
    ),
    "more numbers than the file could hold": (
        replaced(lambda _, root: root.create_dataset(NAME, (1 << 40,), "f4", chunks=(1 << 20,))),
        "or tensors of more than",
    ),
    "a layer many times": (
        lambda _, root: [
            root.attrs.pop("layer_names"),
            *(root.attrs.update({f"layer_names{i}": MANY}) for i in (0, 1)),
        ],
        "lists more than 20000 tensors",
    ),
    "a long name": (lambda _, root: root.attrs.__setitem__("layer_names", [b"f" * 2000]), "a name of 2000 characters"),
    "names as one text": (
        lambda _, root: root.attrs.__setitem__("layer_names", "fc"),
        "lists `layer_names` in an unknown",
    ),
    "no such layer": (lambda _, root: root.attrs.__setitem__("layer_names", [b"fd"]), "has no `fd`"),
    "a group for an array": (
        replaced(lambda _, root: root.create_group(NAME)),
        "`conv1/bn/gamma:0`, which is not an array.*; it was",
    ),
    "text for numbers": (replaced(lambda _, root: root.__setitem__(NAME, "x")), "which is not an array of numbers"),
    "no names": (
        lambda _, root: root.attrs.__delitem__("layer_names"),
        "is not a Keras weights file in the format before",
    ),
}


@pytest.mark.parametrize("form", HOSTILE)
def test_what_asks_for_more_than_its_own_numbers_is_refused(changed, form):
    edit, message = HOSTILE[form]
    with pytest.raises(BundleError, match=f"^`x.h5` .*{message}"):
        read_keras(changed(edit))


def test_a_long_list_of_layers_is_read_in_parts_as_keras_writes_it(changed):
    def edit(_, root):
        names = root.attrs["layer_names"]
        del root.attrs["layer_names"]
        root.attrs["layer_names0"], root.attrs["layer_names1"] = names[:1], names[1:]

    assert list(read_keras(changed(edit))) == ["conv1_bn.weight", "conv1_bn.running_mean", "fc.weight"]


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed (SIGSEGV)"),
        ("sys.exit(9)", "(exit code 9)"),
        ("time.sleep(60)", "was not read within"),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", "was not read within"),
    ],
)
def test_the_end_of_its_reader_is_one_line(file, monkeypatch, tmp_path, does, message):
    (tmp_path / "reader.py").write_text(f"import os, resource, signal, sys, time\n{does}\n")
    monkeypatch.setattr(keras.keras_reader, "__file__", str(tmp_path / "reader.py"))
    monkeypatch.setattr(keras, "TIMEOUT_S", 0.5)
    with pytest.raises(BundleError) as caught:
        read_keras(file())
    assert message in str(caught.value) and "\n" not in str(caught.value)
