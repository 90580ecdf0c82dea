"""Opens a model file by its container: a bundle (`.safetensors`) in PyTorch, an exported network in onnxruntime."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fovea.errors import MissingDependencyError, UsageError
from fovea.model.container import EXPORTED, is_exported, model_file

if TYPE_CHECKING:
    from torch import nn

    from fovea.model.predictor import Predictor

_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
"""What runs an exported network on a device."""


def open_model(path: str | Path, *, device: str = "auto") -> "Predictor":
    """Return the network in a model file, ready to predict.

    `device` is `cpu`, `cuda`, `mps` (bundles only), or `auto` for the best one here.

    Raises:
        BundleError: a file that cannot be loaded, as `fovea.load` and `fovea.runtime.load` say it.
        MissingDependencyError: what runs the file is not installed.
    """
    path = model_file(path)
    if is_exported(path):
        from fovea.runtime import load as load_exported

        return load_exported(path, providers=_providers(device))
    check_engine(path)
    from fovea.model.bundle import load

    return load(path, device=device)


def own_network(code: str, path: Path) -> "nn.Module":
    """Return a user's own network, `file.py:Net`, built as the model file `path` of it needs.

    Raises:
        UsageError: it is no such code, or it does not give a network.
        BundleError: the file cannot be read.
    """
    from fovea.custom import custom_name, custom_network
    from fovea.model.container import read_header

    named = custom_name(code)
    if named is None:
        raise UsageError(f"`network` (={code}) must be the code of your own network, for example file.py:Net.")
    card, _ = read_header(path)
    return custom_network(*named, classes=card.target.outputs, c_in=card.preprocess.channels)


def check_engine(path: Path) -> None:
    """Raise MissingDependencyError if a bundle cannot be run since PyTorch is not installed."""
    if find_spec("torch") is None:
        raise MissingDependencyError(
            f"`{path.name}` needs PyTorch, which is not installed here: `pip install fovea-cnn`. Or run "
            f"`fovea export {path.name}` on a machine that has PyTorch; the `{EXPORTED}` file runs without it."
        )


def _providers(device: str) -> list[str] | None:
    if device == "auto":
        return None
    if device not in _PROVIDERS:
        known = ", ".join(("auto", *_PROVIDERS))
        raise UsageError(f"`--device {device}` cannot run an exported network (`{EXPORTED}`); use {known}.")
    return _PROVIDERS[device]
