"""Damaged model files and weights files, through `fovea.load`, `fovea.info` and the loading of weights."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.card import Card
from fovea.compression.channels import channel_groups, remove
from fovea.compression.fold import fold
from fovea.jobs.info import info
from fovea.model.bundle import load, save_bundle
from fovea.model.keras_reader import SECONDS
from fovea.model.weights import load_into, read_weights
from tests.campaigns.batches import Finding, Kind
from tests.campaigns.mutation import NOT_JSON, VALUES, altered, damaged, safetensors_of, safetensors_parts

TARGETS = {
    "classes": {"format": 1, "task": "classes", "loss": "cross-entropy", "classes": ["red", "green"], "outputs": 2},
    "labels": {"format": 2, "task": "labels", "loss": "bce", "classes": ["red", "green"], "outputs": 2},
    "grade": {"format": 2, "task": "grade", "loss": "corn", "classes": ["0", "1", "2"], "outputs": 2},
    "number": {"format": 1, "task": "number", "loss": "mse", "classes": [], "outputs": 1},
}
TARGETS["labels"]["target"] = {"thresholds": [0.5, 0.5]}
TARGETS["number"]["target"] = {"mean": 30.0, "std": 5.0}
INPUT_MB = 64


def write_bundle(path: Path, task: str = "classes", architecture: str = "mlp") -> None:
    """Write the model file of a small network for images of 8 x 8."""
    torch.manual_seed(0)
    values = TARGETS[task]
    size = 8 if architecture == "mlp" else 32
    own = {"size": 8, "widths": [4]} if architecture == "mlp" else {}
    arguments = {"classes": values["outputs"], "c_in": 3, **own}
    fixed = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128}
    preprocess = {"size": [size, size], "channels": 3, "fit": "squash", "mean": [0.5] * 3, "std": [0.5] * 3, **fixed}
    card = {"fovea": "0.1.0", "architecture": architecture, "arguments": arguments, "preprocess": preprocess}
    card = Card.from_dict({**card, "temperature": 1.0, **values}, source=path.name)
    model = registry.build(architecture, **arguments)
    changes = shrunk(model, (3, size, size)) if architecture.startswith("cifar") else []
    save_bundle(path, model, replace(card, changes=tuple(changes)))


def shrunk(model: torch.nn.Module, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Fold a network and take every other channel out of it, in place; return the changes for its card."""
    changes = fold(model, shape).changes
    found = channel_groups(model, shape)
    return changes + remove(model, found, {group.name: range(0, len(group), 2) for group in found.free})


def write_bundles(folder: Path) -> None:
    for task in TARGETS:
        write_bundle(folder / f"{task}.safetensors", task)
    write_bundle(folder / "lenet5.safetensors", architecture="lenet5")
    write_bundle(folder / "shrunk.safetensors", architecture="cifar_resnet20")


def damaged_bundle(content: bytes, chance: Random) -> bytes:
    """Return a model file with its bytes, its header or its card changed."""
    act = chance.random()
    if act < 0.35:
        return damaged(content, chance)
    header, tensors = safetensors_parts(content)
    if act < 0.45:
        return safetensors_of(damaged(header, chance), tensors)
    values = json.loads(header)
    if act < 0.6:
        tables = values.pop("__metadata__")
        values = {"__metadata__": tables, **altered(values, chance, others=(*VALUES, *NOT_JSON, "F64", "BF16", "I8"))}
    else:
        card = json.loads(values["__metadata__"]["fovea"])
        for _ in range(chance.randint(1, 3)):
            card = altered(card, chance, others=(*VALUES, *NOT_JSON, 3, 64, 4096, ["a", "a"], "lenet5", "resnet50"))
        values["__metadata__"]["fovea"] = json.dumps(card)
    return safetensors_of(json.dumps(values).encode(), tensors)


def make_bundle(chance: Random, originals: Path, folder: Path) -> Path:
    original = chance.choice(sorted(originals.iterdir()))
    path = folder / original.name
    path.write_bytes(damaged_bundle(original.read_bytes(), chance))
    return path


def use_bundle(path: Path, _: Random) -> str:
    bundle = load(path)
    height, width = bundle.preprocess.size
    if height * width <= 1 << 20:
        (found,) = bundle.predict(np.zeros((height, width, 3), np.uint8))
        if not found.text:
            raise Finding("an empty prediction")
    info(path).to_dict()
    return "loaded"


SUFFIXES = (".pth", ".legacy.pth", ".safetensors", ".h5")


def write_weights(path: Path) -> None:
    """Write weights of a small network as the file's suffix says."""
    torch.manual_seed(0)
    state = registry.build("mlp", widths=[4], size=8).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as root:
            layers = dict.fromkeys(name.rpartition(".")[0] for name in state)
            root.attrs["layer_names"] = [layer.encode() for layer in layers]
            for layer in layers:
                group = root.create_group(layer)
                group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
                for name, kind in (("kernel:0", "weight"), ("bias:0", "bias")):
                    values = state[f"{layer}.{kind}"].numpy().T
                    group.create_dataset(name, data=values, compression="gzip", chunks=True)
    else:
        held = {"state_dict": state, "epoch": 3}
        torch.save(held, path, _use_new_zipfile_serialization=".legacy" not in path.name)


def write_all_weights(folder: Path) -> None:
    for suffix in SUFFIXES:
        if suffix != ".h5" or find_spec("h5py"):
            write_weights(folder / f"whole{suffix}")


def weights_maker(suffix: str):
    """Return what makes a damaged weights file with this suffix."""

    def make(chance: Random, originals: Path, folder: Path) -> Path:
        content = (originals / f"whole{suffix}").read_bytes()
        if suffix == ".safetensors" and chance.random() < 0.5:
            header, tensors = safetensors_parts(content)
            values = altered(json.loads(header), chance, others=(*VALUES, *NOT_JSON, "F64", "BF16", "I8"))
            content = safetensors_of(json.dumps(values).encode(), tensors)
        else:
            content = damaged(content, chance)
        path = folder / f"mutant{suffix}"
        path.write_bytes(content)
        return path

    return make


def use_weights(path: Path, _: Random) -> str:
    load_into(registry.build("mlp", widths=[4], size=8), read_weights(path), network="mlp")
    return "loaded"


def warm_bundles(originals: Path) -> None:
    for path in sorted(originals.iterdir()):
        use_bundle(path, Random())


def warm_weights(originals: Path) -> None:
    for path in sorted(originals.iterdir()):
        use_weights(path, Random())


def weights(name: str, suffix: str, *, short: int, batch: int = 200, seconds: float = 20.0) -> Kind:
    return Kind(
        name=name,
        make=weights_maker(suffix),
        attempt=use_weights,
        prepare=write_all_weights,
        warm=warm_weights,
        peak_mb=64,
        seconds=seconds,
        batch=batch,
        short=short,
    )


KINDS = (
    Kind(
        name="bundles",
        make=make_bundle,
        attempt=use_bundle,
        prepare=write_bundles,
        warm=warm_bundles,
        peak_mb=4 * INPUT_MB,
        settings={"FOVEA_INPUT_MB": str(INPUT_MB)},
        batch=500,
        short=80,
    ),
    weights("pth", ".pth", short=40),
    weights("legacy-pth", ".legacy.pth", short=40),
    weights("safetensors", ".safetensors", short=40),
    *([weights("h5", ".h5", short=6, batch=50, seconds=3.0 * SECONDS)] if find_spec("h5py") else []),
)
