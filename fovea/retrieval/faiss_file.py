"""An index for faiss: exact, in a file of its own, with a table of what its rows are."""

import csv
import io
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from fovea.errors import MissingDependencyError
from fovea.retrieval.index import Index
from fovea.storage import write_atomically
from fovea.texts import in_cell

BLOCK = 65_536
"""Embeddings at a time."""


def load_faiss() -> ModuleType:
    """Return the library faiss; MissingDependencyError if it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how its bindings are made
            import faiss
    except ImportError as error:
        raise MissingDependencyError(
            'This needs faiss, which is not installed: `pip install "fovea-cnn[search]"`. Exact search works '
            "without it."
        ) from error
    found: ModuleType = faiss
    return found


def export_faiss(index: Index, path: Path) -> tuple[Path, Path]:
    """Write an index as `path` with the suffix `.faiss`, and what its rows are as `.csv`; return both paths.

    Distances are those of the index's metric: squared Euclidean ones, or for cosine the products of vectors of length
    1. What is float16 stays so.

    Raises: MissingDependencyError, StorageError.
    """
    faiss = load_faiss()
    D = index.embeddings.shape[1]
    measure = faiss.METRIC_INNER_PRODUCT if index.metric == "cosine" else faiss.METRIC_L2
    half = faiss.IndexScalarQuantizer(D, faiss.ScalarQuantizer.QT_fp16, measure)
    flat = half if index.embeddings.dtype == np.float16 else faiss.IndexFlat(D, measure)
    for first in range(0, len(index), BLOCK):
        flat.add(directed(np.asarray(index.embeddings[first : first + BLOCK], np.float32), index.metric))
    file, table = path.with_suffix(".faiss"), path.with_suffix(".csv")
    write_atomically(table, _table(index).encode())
    write_atomically(file, faiss.serialize_index(flat).tobytes())
    return file, table


def directed(vectors: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Return vectors (n, D) float32 whose Euclidean distances have the order of the metric: for cosine of length 1."""
    if metric != "cosine":
        return np.ascontiguousarray(vectors)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(norms > 0, norms, 1))


def _table(index: Index) -> str:
    with io.StringIO(newline="") as text:
        writer = csv.writer(text)
        writer.writerow(("row", "part", "path", "label"))
        for row, name in enumerate(index.rows.names):
            writer.writerow((row, index.rows.part(row), in_cell(name), in_cell(index.label_text(row))))
        return text.getvalue()
