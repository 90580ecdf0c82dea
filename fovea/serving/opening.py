"""From a model file to what a server can ask."""

from pathlib import Path

import numpy as np

from fovea.errors import BundleError
from fovea.model.container import is_exported
from fovea.model.opening import open_model
from fovea.serving.engine import Scorer


def opened(path: Path, *, threads: int) -> Scorer:
    """Return the model in a file, whose engine takes so many threads, after it has answered for a blank sample.

    Raises: FoveaError if it cannot be loaded, or its answer is none.
    """
    scorer = _opened(path, threads)
    way = scorer.preprocess
    rows = scorer.scores(np.zeros((1, *way.stored_shape), way.dtype))
    if rows.ndim < 2 or len(rows) != 1 or not np.isfinite(rows).all():
        raise BundleError(f"`{path.name}` gives outputs that are not finite for a blank input; export it again.")
    return scorer


def _opened(path: Path, threads: int) -> Scorer:
    if is_exported(path):
        from fovea.runtime import load

        return load(path, threads=threads)
    return open_model(path, device="cpu")
