"""A user's own network: `file.py:Net`, a class, a function or a network in a Python file."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from fovea.errors import UsageError, first_line


def custom_name(model: str) -> tuple[Path, str] | None:
    """Return the file and class of `file.py:Class`, or None for a name of the zoo."""
    file, colon, name = model.rpartition(":")
    return (Path(file), name) if colon and file.endswith(".py") else None


def custom_network(
    file: str | Path, name: str, *, asked: Mapping[str, object] | None = None, **offered: object
) -> nn.Module:
    """Return `name` of a user's file, called with the arguments `asked` and those of `offered` that it takes.

    The file is loaded as Python would load it: what lies beside it can be imported, and it stands in `sys.modules`.

    Raises:
        UsageError: no such file or name, code that fails, arguments that it needs and does not get, or no network.
    """
    file = Path(file)
    if not file.is_file():
        raise UsageError(f"`{file}:{name}`: there is no file `{file}`.")
    try:
        network = getattr(_module(file.resolve()), name)
        model = network if isinstance(network, nn.Module) else network(**_taken(network, offered, asked or {}))
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        reason = f"{type(error).__name__}: {first_line(error).rstrip('.')}"
        raise UsageError(f"`{file}:{name}` does not define a network: {reason}.") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"`{file}:{name}` returns a {type(model).__name__}, not a torch.nn.Module.")
    return model


_NEIGHBOURS: dict[Path, set[str]] = {}
"""The names of the modules that files of a folder have brought in from it, by that folder."""


def _module(file: Path) -> ModuleType:
    """Return the module of a file, run anew: it may have changed since."""
    folder = file.parent
    _step_into(folder)
    known = sys.modules.get(file.stem)
    # of the name of a module that is there already, as `json`, only another name keeps that in its place
    taken = known is not None and Path(getattr(known, "__file__", None) or "").resolve() != file
    title = f"{file.stem}_of_{folder.name}" if taken else file.stem
    spec = importlib.util.spec_from_file_location(title, file)
    if spec is None or spec.loader is None:
        raise ImportError("it cannot be imported as Python")
    before = set(sys.modules)
    module = sys.modules[title] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[title]
        raise
    finally:
        found = {name for name in sys.modules.keys() - before if _lies_in(folder, sys.modules[name])}
        _NEIGHBOURS.setdefault(folder, set()).update(found)
    return module


def _step_into(folder: Path) -> None:
    """Let modules of `folder` be imported first; those of the same names from another such folder make room."""
    for other, names in _NEIGHBOURS.items():
        for name in names if other != folder else ():
            sys.modules.pop(name, None)
    sys.path[:] = [str(folder), *(place for place in sys.path if place != str(folder))]
    importlib.invalidate_caches()


def _lies_in(folder: Path, module: ModuleType) -> bool:
    file = Path(getattr(module, "__file__", None) or "/").resolve()
    return file.is_relative_to(folder) and "site-packages" not in file.parts


def call_of(name: str, model: nn.Module, **offered: object) -> str:
    """Return how `custom_network` made `model`, as Python; what a function has been given is not known.

    >>> call_of("Linear", nn.Linear(2, 3), in_features=2, out_features=3, classes=3)
    'Linear(in_features=2, out_features=3)'
    """
    if type(model).__name__ != name:
        return f"{name}(...)"
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in _taken(type(model), offered, {}).items())})"


def _taken(network: Any, offered: Mapping[str, object], asked: Mapping[str, object]) -> dict[str, object]:
    """Return `asked`, and those of `offered` that `network` takes; TypeError if it needs others, or takes less."""
    parameters = inspect.signature(network).parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [key for key, p in parameters.items() if p.default is p.empty and p.kind not in variadic]
    given = {**offered, **asked}
    if missing := [f"`{key}`" for key in needed if key not in given]:
        raise TypeError(f"it needs {', '.join(missing)}; give them defaults, or name a function that needs none")
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if foreign := [f"`{key}`" for key in asked if key not in parameters and not takes_all]:
        raise TypeError(f"it takes no {', '.join(foreign)}")
    return {key: value for key, value in given.items() if key in parameters or key in asked}
