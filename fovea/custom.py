"""A user's own network: `file.py:Net`, a class, a function or a network in a Python file."""

import importlib.util
import inspect
from pathlib import Path
from typing import Any

from torch import nn

from fovea.errors import UsageError, first_line


def custom_name(model: str) -> tuple[Path, str] | None:
    """Return the file and class of `file.py:Class`, or None for a name of the zoo."""
    file, colon, name = model.rpartition(":")
    return (Path(file), name) if colon and file.endswith(".py") else None


def custom_network(file: Path, name: str, **offered: object) -> nn.Module:
    """Return `name` of a user's file, called with those of the arguments `offered` that it takes.

    Raises:
        UsageError: no such file or name, code that fails, arguments that it needs and nobody offers, or no network.
    """
    if not file.exists():
        raise UsageError(f"`{file}:{name}`: there is no file `{file}`.")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"`{file}` cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        network = getattr(module, name)
        model = network if isinstance(network, nn.Module) else network(**_taken(network, offered))
    except Exception as error:  # a user's file may raise anything
        reason = f"{type(error).__name__}: {first_line(error).rstrip('.')}"
        raise UsageError(f"`{file}:{name}` does not give a network: {reason}.") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"`{file}:{name}` gives a {type(model).__name__}, not a torch.nn.Module.")
    return model


def call_of(name: str, model: nn.Module, **offered: object) -> str:
    """Return how `custom_network` made `model`, as Python; what a function has been given is not known.

    >>> call_of("Linear", nn.Linear(2, 3), in_features=2, out_features=3, classes=3)
    'Linear(in_features=2, out_features=3)'
    """
    if type(model).__name__ != name:
        return f"{name}(...)"
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in _taken(type(model), offered).items())})"


def _taken(network: Any, offered: dict[str, object]) -> dict[str, object]:
    """Return those of the arguments `offered` that `network` takes; TypeError where it needs others."""
    parameters = inspect.signature(network).parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [key for key, p in parameters.items() if p.default is p.empty and p.kind not in variadic]
    if missing := [f"`{key}`" for key in needed if key not in offered]:
        raise TypeError(f"it needs {', '.join(missing)}; give them defaults, or name a function that needs none")
    return {key: value for key, value in offered.items() if key in parameters}
