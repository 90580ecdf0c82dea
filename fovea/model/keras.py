"""Weights in Keras' HDF5 files, in PyTorch's names for kinds of tensors, and in its layouts.

Tensors are float32, of the shapes that PyTorch gives them: kernels (c_out, c_in, H, W), matrices (c_out, c_in).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fovea.errors import BundleError, MissingDependencyError

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
    layer's name becomes `_`.

    Raises:
        MissingDependencyError: the extra `keras` is not installed.
        BundleError: no HDF5 file of Keras' layout before version 3.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError("Keras' .h5 files need a library: pip install 'fovea-cnn[keras]'.") from error
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            return {name: as_here(name, values) for name, values in _arrays(root)}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"`{path.name}` is half a download, or no weights in Keras' layout before version 3; it was not used."
        ) from error


def as_here(name: str, values: Any) -> Tensor:
    """Return an array of Keras' as a tensor in PyTorch's order of dimensions."""
    tensor = torch.from_numpy(np.array(values))
    if not name.endswith(".weight"):
        return tensor
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor


def _arrays(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the values of every tensor, layer by layer."""
    for layer in map(_text, root.attrs["layer_names"]):
        group = root[layer]
        for name in map(_text, group.attrs["weight_names"]):
            kind = name.rpartition("/")[2].partition(":")[0]
            yield f"{layer.replace('/', '_')}.{KINDS.get(kind, kind)}", group[name]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
