"""Weights in Keras' HDF5 files, in PyTorch's names for kinds of tensors, and in its layouts.

Tensors are float32, of the shapes that PyTorch gives them: kernels (c_out, c_in, H, W), matrices (c_out, c_in).
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from fovea.errors import BundleError, MissingDependencyError, StorageError
from fovea.files import check_regular
from fovea.model import keras_reader

MISSING = "Keras' .h5 files need a library: pip install 'fovea-cnn[keras]'."
TIMEOUT_S = 120
MAX_WORDS = 300
"""Bytes of the reader's reason that are shown."""

KINDS: Mapping[str, str] = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read_keras(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.h5` of weights or of a whole model as `layer.weight`, `layer.running_mean`, ...

    Kernels (H, W, c_in, c_out) become (c_out, c_in, H, W), dense ones (c_in, c_out) become (c_out, c_in); a `/` in a
    layer's name becomes `_`. The file is read in a process of its own, of bounded memory and time.

    Raises:
        MissingDependencyError: the extra `keras` is not installed.
        BundleError: no HDF5 file of Keras' layout before version 3.
    """
    if find_spec("h5py") is None:
        raise MissingDependencyError(MISSING)
    check_regular(path)
    with tempfile.TemporaryDirectory(prefix="fovea-") as folder:
        target, words = Path(folder) / "tensors.safetensors", Path(folder) / "words"
        code = _read_apart(path.resolve(), target, words)
        if code == keras_reader.NO_LIBRARY:
            raise MissingDependencyError(MISSING)
        if code:
            raise BundleError(f"`{path.name}` {_reason(code, words)}; it was not used.")
        arrays = load_file(target)
    return {_named(name): as_here(_named(name), values) for name, values in arrays.items()}


def _read_apart(path: Path, target: Path, words: Path) -> int:
    """Run the reader in a process of its own, and return its exit code: below 0 the signal that ended it.

    Raises: BundleError if it cannot be started, or takes too long.
    """
    # -P: what lies beside the reader, or in the working folder, is not imported; and what this process finds, it finds
    command = [sys.executable, "-P", keras_reader.__file__, str(path), str(target)]
    folders = os.pathsep.join(folder for folder in sys.path if folder)
    # "::" keeps HDF5 from loading filters as code because a file asks for them
    settings = {"PYTHONPATH": folders, "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}
    try:
        with words.open("wb") as out:
            return subprocess.run(
                command,
                env=os.environ | settings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"`{path.name}` was not read within {TIMEOUT_S} seconds; it was not used.") from error
    except OSError as error:
        raise StorageError(
            f"`{path.name}`: the process that reads it could not be started ({error.strerror})."
        ) from error


def _reason(code: int, words: Path) -> str:
    """Return the faults of a file, from how its reader ended."""
    if code == keras_reader.REFUSED:
        with words.open("rb") as file:
            return file.read(MAX_WORDS).decode("ascii", "replace").strip()
    return f"is damaged: the library that reads it crashed ({_ending(code)})"


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def _named(name: str) -> str:
    """Return the name of a tensor with PyTorch's word for its kind."""
    layer, _, kind = name.rpartition(".")
    return f"{layer}.{KINDS.get(kind, kind)}"


def as_here(name: str, values: Any) -> Tensor:
    """Return an array of Keras' as a tensor in PyTorch's order of dimensions."""
    tensor = torch.from_numpy(np.array(values))
    if not name.endswith(".weight"):
        return tensor
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor
