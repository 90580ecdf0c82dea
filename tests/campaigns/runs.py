"""Run folders that were damaged: they go on, or are refused in one line; what only pages show stops nothing."""

import json
import os
import shutil
import tomllib
from itertools import count
from pathlib import Path
from random import Random

import pytest
import tomli_w
import torch

from fovea.display import Display
from fovea.errors import FoveaError
from fovea.jobs.compare import compare
from fovea.jobs.train import train
from fovea.runs.session import Session
from tests.campaigns.batches import Finding, Kind, refusal_fault
from tests.campaigns.data import small
from tests.campaigns.mutation import NOT_JSON, VALUES, altered, safetensors_of, safetensors_parts

FAST = {"model": "mlp", "size": 8, "epochs": 4, "batch": 8, "threads": 1, "precision": "float32", "device": "cpu"}
DECORATION = ("metrics.jsonl", "looks.jsonl")
FILES = (*DECORATION, "recipe.toml", "last.safetensors", "model.safetensors")
TOO_LONG = ("threads", "batch", "epochs", "pretrain", "accumulate", "widths")
"""Fields that a large number makes honestly slow or large."""


def write_runs(folder: Path) -> None:
    """Write a run folder with two epochs of four done, and one with all."""
    os.chdir(folder)
    for index in range(24):
        place = Path(f"images/{'ab'[index % 2]}/{index}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(small(100 * (index % 2) + index))
    given = {"display": Display(quiet=True), "val_fraction": 0.25, "optimiser": "adam", **FAST}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEA_CACHE", str(folder / "cache"))
        train("images", out="whole", **given)
        taken = count()
        patch.setattr(Session, "interrupted", property(lambda _: next(taken) > 8))
        train("images", out="run", **given)


def rough(content: bytes, chance: Random) -> bytes:
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


def of_lines(content: bytes, chance: Random) -> bytes:
    lines = content.decode().splitlines()
    index = chance.randrange(len(lines))
    lines[index] = json.dumps(altered(json.loads(lines[index]), chance, others=(*VALUES, *NOT_JSON), spared=TOO_LONG))
    return "\n".join(lines).encode()


def of_toml(content: bytes, chance: Random) -> bytes:
    others = [other for other in (*VALUES, float("nan"), float("inf")) if other is not None]
    return tomli_w.dumps(altered(tomllib.loads(content.decode()), chance, others=others, spared=TOO_LONG)).encode()


def of_metadata(content: bytes, chance: Random) -> bytes:
    """Change the JSON in the metadata of a safetensors file; of a checkpoint drop its checksum, as earlier ones."""
    text, tensors = safetensors_parts(content)
    header = json.loads(text)
    metadata = header["__metadata__"]
    metadata.pop("crc32", None)
    name = next(iter(metadata))
    values = altered(json.loads(metadata[name]), chance, others=(*VALUES, *NOT_JSON), spared=TOO_LONG)
    metadata[name] = json.dumps(values)
    return safetensors_of(json.dumps(header).encode(), tensors)


FINE = {"recipe.toml": of_toml, "last.safetensors": of_metadata, "model.safetensors": of_metadata}


def make(chance: Random, originals: Path, folder: Path) -> Path:
    """Copy a run, with its data beside it, and damage one of its files."""
    (folder / "images").symlink_to(originals / "images")
    shutil.copytree(originals / "whole", folder / "whole")
    shutil.copytree(originals / "run", folder / "run")
    name = chance.choice(FILES)
    path = folder / "run" / name
    content = path.read_bytes()
    change = rough if chance.random() < 0.4 else FINE.get(name, of_lines)
    path.write_bytes(change(content, chance))
    (folder / "damaged").write_text(name)
    return folder / "run"


def use(run: Path, _: Random) -> str:
    """Compare the run with a whole one, and go on with it for a step."""
    torch.set_num_threads(1)
    os.chdir(run.parent)
    name, ends = (run.parent / "damaged").read_text(), []
    for job in (
        lambda: compare(["whole", "run"], html="page.html"),
        lambda: train(resume="run", display=Display(quiet=True)),
    ):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Session, "interrupted", True)  # after a step
                job()
            ends.append("done")
        except FoveaError as error:
            if fault := refusal_fault(error):
                raise Finding(fault) from error
            if name in DECORATION:
                raise Finding(f"{name} alone stops it: {error}") from error
            ends.append("refused")
    os.chdir("/")
    return f"compared {ends[0]}, resumed {ends[1]}"


KINDS = (Kind(name="runs", make=make, attempt=use, prepare=write_runs, peak_mb=512, batch=200, short=60),)
