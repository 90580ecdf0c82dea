"""Indices of given embeddings, for tests of what is found in them."""

import numpy as np

from fovea.retrieval.index import Index, Maker, Rows
from fovea.retrieval.neighbours import squared_norms

PREPROCESS = {
    "size": [4, 4],
    "channels": 3,
    "fit": "squash",
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
    **{"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128},
}


def an_index(embeddings, metric="l2"):
    """Return an index whose rows are `0.png`, `1.png` and so on, of the classes `=a` and `b` in turn."""
    N = len(embeddings)
    rows = Rows(
        names=[f"{row}.png" for row in range(N)],
        parts=np.zeros(N, np.uint8),
        labels=np.arange(N) % 2,
        digests=np.zeros((N, 32), np.uint8),
        looks=np.zeros((N, 2), np.int64),
    )
    return Index(
        embeddings=embeddings,
        squares=squared_norms(embeddings),
        rows=rows,
        maker=Maker(model_sha256="", layer="x", entering=True, preprocess=PREPROCESS),
        metric=metric,
        task="classes",
        classes=("=a", "b"),
        data="x",
        model_file="",
        data_place="",
    )
