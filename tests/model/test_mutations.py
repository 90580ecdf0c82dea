"""Damaged weights files, seeded: each is read or refused in one line, and none ends the process.

`FOVEA_MUTANTS=500` asks for so many of each kind; the suite takes a few.
"""

import os
import random
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import save_file

from fovea import registry
from fovea.errors import BundleError
from fovea.model.weights import load_into, read_weights

FEW = {".pth": 60, ".legacy.pth": 60, ".safetensors": 60, ".h5": 12}
"""A process of its own reads each `.h5`: those are fewer."""


def mutated(content, chance):
    """Return the bytes of a file after one to four changes: bytes, blocks that go, double or swap, a cut."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        # half of them in the first and last kilobyte, where the structure is
        near = min(len(result), 1024)
        at = chance.choice(
            (chance.randrange(len(result)), chance.randrange(near), len(result) - 1 - chance.randrange(near))
        )
        length = chance.randint(1, 64)
        kind = chance.randrange(6)
        if kind < 2:
            result[at] = chance.randrange(256)
        elif kind == 2:
            result[at : at + length] = bytes(chance.choice((0, 255)) for _ in range(length))
        elif kind == 3:
            result[at:at] = result[at : at + length]
        elif kind == 4 and len(result) > length + at:
            del result[at : at + length]
        elif kind == 5 and chance.random() < 0.2:
            del result[at + 1 :]
    return bytes(result)


def write(path):
    """Write weights of a small network as the file's suffix says, and return the network's name."""
    torch.manual_seed(0)
    state = registry.build("mlp", widths=[4], size=8).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as root:
            root.attrs["layer_names"] = [name.encode() for name in state]
            for name, tensor in state.items():
                group = root.create_group(name)
                group.attrs["weight_names"] = [b"kernel:0"]
                group.create_dataset("kernel:0", data=tensor.numpy(), compression="gzip", chunks=True)
    else:
        held = {"state_dict": state, "epoch": 3}
        torch.save(held, path, _use_new_zipfile_serialization=".legacy" not in path.name)


@pytest.mark.parametrize("kind", FEW)
def test_every_mutant_is_read_or_refused_in_one_line(kind, tmp_path):
    if kind == ".h5" and find_spec("h5py") is None:
        pytest.skip("h5py is not installed")
    write(tmp_path / f"whole{kind}")
    content, chance = (tmp_path / f"whole{kind}").read_bytes(), random.Random(kind)
    path = tmp_path / f"mutant{kind}"
    for _ in range(int(os.environ.get("FOVEA_MUTANTS", FEW[kind]))):
        path.write_bytes(mutated(content, chance))
        try:
            load_into(registry.build("mlp", widths=[4], size=8), read_weights(path), network="mlp")
        except BundleError as error:
            assert str(error).count("\n") == 0 and len(str(error)) < 1000
