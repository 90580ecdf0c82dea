"""The libraries of the extra `export`, imported where they are needed, and their warnings."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from fovea.errors import MissingDependencyError

NEEDED = ("onnx", "onnxscript", "onnxruntime")
_NOTED = "torch.onnx._internal.exporter._registration"
"""The logger that complains, at the first export, that torchvision is missing; no network here needs it."""

_REGISTERED = "torch.utils._pytree"
"""The logger that complains of how libraries register their types."""


def check_installed() -> None:
    """Raise MissingDependencyError if a library of the extra `export` is missing."""
    for name in NEEDED:
        library(name)


def library(name: str) -> Any:
    """Return an imported library of the extra `export`. Raises: MissingDependencyError."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Exporting needs `{name}`, which is not installed: pip install 'fovea-cnn[export]'."
        ) from error


def optional(name: str, extra: str) -> Any:
    """Return an imported library of another extra. Raises: MissingDependencyError, which names the extra."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"This needs `{name}`, which is not installed: pip install 'fovea-cnn[{extra}]'."
        ) from error


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Silence warnings, and what is printed: of libraries that speak of themselves while they are imported and used."""
    logger = logging.getLogger(_REGISTERED)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with without_its_warnings(), warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def without_its_warnings() -> Iterator[None]:
    """Silence what PyTorch's exporter says of itself, and nothing else."""
    logger = logging.getLogger(_NOTED)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            yield
    finally:
        logger.setLevel(level)
