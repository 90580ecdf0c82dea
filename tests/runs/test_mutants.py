"""Run folders that were damaged at random: they go on, or are refused in one line; what only pages show stops nothing.

Seeded. `FOVEA_MUTANTS=3000 pytest tests/runs/test_mutants.py` is the long form.
"""

import copy
import json
import os
import random
import shutil
import struct
import tomllib

import pytest
import tomli_w
import torch
from PIL import Image

from fovea.display import Display
from fovea.errors import FoveaError
from fovea.jobs.compare import compare
from fovea.jobs.train import train
from fovea.runs.session import Session

COUNT = int(os.environ.get("FOVEA_MUTANTS", "120"))
FAST = {"model": "mlp", "size": 8, "epochs": 4, "batch": 8, "threads": 1, "precision": "float32", "device": "cpu"}
DECORATION = ("metrics.jsonl", "looks.jsonl")
FILES = (*DECORATION, "recipe.toml", "last.safetensors", "model.safetensors")
OTHERS = (None, True, -1, 0, 7, 2**40, -0.5, 1e300, "", "x", "\x1b]0;", [], ["x"], [3], {}, {"x": 1})
NOT_JSON = (float("nan"), float("inf"), 10**400)
TOO_LONG = ("threads", "batch", "epochs", "pretrain", "accumulate", "widths")
"""Fields that a large number makes honestly slow or large."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run folder with two epochs of four done."""
    folder = tmp_path_factory.mktemp("mutants")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for index in range(24):
            os.makedirs(f"images/{'ab'[index % 2]}", exist_ok=True)
            Image.new("L", (8, 8), 100 * (index % 2) + index).save(f"images/{'ab'[index % 2]}/{index}.png")
        taken = iter(range(10**6))
        patch.setattr(Session, "interrupted", property(lambda _: next(taken) > 8))
        train("images", out="run", display=Display(quiet=True), val_fraction=0.25, optimiser="adam", **FAST)
        patch.undo()
        patch.chdir(folder)
        train("images", out="whole", display=Display(quiet=True), val_fraction=0.25, optimiser="adam", **FAST)
        yield folder


def places(value, path=()):
    """Yield the way to every value in nested tables and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def altered(values, chance, *, others=OTHERS):
    """Return a copy of nested values with one of them removed, renamed or replaced."""
    values = copy.deepcopy(values)
    *way, last = chance.choice(list(places(values)))
    parent = values
    for key in way:
        parent = parent[key]
    act = chance.random()
    if act < 0.2:
        del parent[last]
    elif act < 0.3 and isinstance(parent, dict):
        parent[f"{last}_"] = parent.pop(last)
    else:
        parent[last] = chance.choice([other for other in others if not (last in TOO_LONG and is_large(other))])
    return values


def is_large(other):
    return isinstance(other, int | float) and abs(other) > 100


def rough(content, chance):
    """Return bytes cut short, with bytes of any value in them, a part left out or said twice, or other bytes."""
    act, at = chance.randrange(5), chance.randrange(len(content))
    end = min(len(content), at + chance.randrange(1, 200))
    if act == 0:
        return content[:at]
    if act == 1:
        return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
    if act == 2:
        return content[:at] + content[end:]
    if act == 3:
        return content[:end] + content[at:]
    return chance.choice([b"", b"\xff\xfe\x00", b"[" * 5000, b"null\n", b'{"a": 1e999}\n', b"\n\n\n"])


def of_lines(content, chance):
    lines = content.decode().splitlines()
    index = chance.randrange(len(lines))
    lines[index] = json.dumps(altered(json.loads(lines[index]), chance, others=(*OTHERS, *NOT_JSON)))
    return "\n".join(lines).encode()


def of_toml(content, chance):
    others = [other for other in (*OTHERS, float("nan"), float("inf")) if other is not None]
    return tomli_w.dumps(altered(tomllib.loads(content.decode()), chance, others=others)).encode()


def of_metadata(content, chance):
    """Change the JSON in the metadata of a safetensors file; of a checkpoint drop its checksum, as earlier ones."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    metadata = header["__metadata__"]
    metadata.pop("crc32", None)
    name = next(iter(metadata))
    metadata[name] = json.dumps(altered(json.loads(metadata[name]), chance, others=(*OTHERS, *NOT_JSON)))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


FINE = {"recipe.toml": of_toml, "last.safetensors": of_metadata, "model.safetensors": of_metadata}


def mutate(folder, chance):
    """Damage one file of a run folder; return its name."""
    name = chance.choice(FILES)
    content = (folder / name).read_bytes()
    change = rough if chance.random() < 0.4 else FINE.get(name, of_lines)
    (folder / name).write_bytes(change(content, chance))
    return name


@pytest.mark.parametrize("first", range(0, COUNT, 40))
def test_a_damaged_run_goes_on_or_is_refused_in_one_line(run, first, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    monkeypatch.setattr(Session, "interrupted", True)  # after a step
    torch.set_num_threads(1)
    refused = 0
    for seed in range(first, min(COUNT, first + 40)):
        chance = random.Random(seed)
        folder = run / f"mutant{first}"
        shutil.copytree(run / "run", folder)
        name = mutate(folder, chance)
        for job in (
            lambda folder: compare([run / "whole", folder], html=tmp_path / "page.html"),
            lambda folder: train(resume=folder, display=Display(quiet=True)),
        ):
            try:
                job(folder)
            except FoveaError as error:
                assert "\n" not in str(error), (seed, name, error)
                assert name not in DECORATION, (seed, name, error)
                refused += 1
            except BaseException as error:
                raise AssertionError(f"seed {seed}, {name}") from error
        shutil.rmtree(folder)
    assert 0 < refused < 80
