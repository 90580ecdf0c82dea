"""Damaged indices, through reading, searching and asking what is in them."""

import json
from pathlib import Path
from random import Random

import numpy as np

from fovea.retrieval.index import Index, Maker, Rows
from fovea.retrieval.index_file import read_index, write_index
from fovea.retrieval.neighbours import squared_norms
from tests.campaigns.batches import Kind
from tests.campaigns.models import INPUT_MB
from tests.campaigns.mutation import NOT_JSON, VALUES, altered, damaged, safetensors_of, safetensors_parts

PREPROCESS = {
    "size": [8, 8],
    "channels": 3,
    "fit": "squash",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    **{"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128},
}
LABELS = {
    "classes": (np.arange(40) % 2, ("red", "green")),
    "labels": (np.eye(40, 2, dtype=np.float32), ("red", "green")),
    "number": (np.arange(40, dtype=np.float32), ()),
    "none": (np.full(40, -1), ()),
}


def write_indices(folder: Path) -> None:
    for name, (labels, classes) in LABELS.items():
        dtype = np.float16 if name == "none" else np.float32
        embeddings = np.random.default_rng(0).normal(size=(40, 6)).astype(dtype)
        rows = Rows(
            names=[f"{name}/{row}.png" for row in range(40)],
            parts=np.arange(40, dtype=np.uint8) % 3,
            labels=labels,
            digests=np.zeros((40, 32), np.uint8),
            looks=np.zeros((40, 2), np.int64),
        )
        index = Index(
            embeddings=embeddings,
            squares=squared_norms(embeddings),
            rows=rows,
            maker=Maker(model_sha256="ab" * 32, layer="head.logits", entering=True, preprocess=PREPROCESS),
            metric="l2",
            task="classes" if name == "none" else name,
            classes=classes,
            data="images",
            model_file="model.safetensors",
            data_place="images",
            dropped=("private/*",),
        )
        write_index(folder / f"{name}.fovea-index", index)


def make_index(chance: Random, originals: Path, folder: Path) -> Path:
    original = chance.choice(sorted(originals.iterdir()))
    content, act = original.read_bytes(), chance.random()
    if act < 0.4:
        content = damaged(content, chance)
    else:
        header, tensors = safetensors_parts(content)
        values = json.loads(header)
        metadata = values.pop("__metadata__")
        if act < 0.7:
            values = altered(values, chance, others=(*VALUES, *NOT_JSON, "F64", "F16", "U8", "I64", [40, 6], [0, 960]))
        else:
            said = json.loads(metadata["fovea"])
            for _ in range(chance.randint(1, 3)):
                said = altered(said, chance, others=(*VALUES, *NOT_JSON, "cosine", "number", "../x", ["a", "a"]))
            metadata = {"fovea": json.dumps(said)}
        content = safetensors_of(json.dumps({"__metadata__": metadata, **values}).encode(), tensors)
    path = folder / original.name
    path.write_bytes(content)
    return path


def use_index(path: Path, _: Random) -> str:
    index = read_index(path)
    index.nearest(np.zeros((2, index.embeddings.shape[1]), np.float32), 5)
    for row in range(len(index)):
        if not isinstance(index.rows.names[row] + index.label_text(row) + index.rows.part(row), str):
            raise TypeError(row)
    return "read"


KINDS = (
    Kind(
        name="indices",
        make=make_index,
        attempt=use_index,
        prepare=write_indices,
        peak_mb=2 * INPUT_MB,
        batch=500,
        short=80,
    ),
)
