"""From a model file to what a server can ask."""

from pathlib import Path

from fovea.model.bundle import load
from fovea.serving.engine import Scorer


def opened(path: Path, *, threads: int) -> Scorer:
    """Return the model in a file, whose engine takes so many threads; errors as `load`."""
    return load(path)
