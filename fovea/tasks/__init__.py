"""What a network can learn: a registry of kinds of target. Adding one is a file here, a test file and a page."""

from importlib import import_module
from typing import TYPE_CHECKING

from fovea.errors import UsageError, unknown

if TYPE_CHECKING:
    from fovea.tasks.task import Task

_KINDS: "dict[str, type[Task]]" = {}
_OWN = ("classes", "number", "labels", "grade", "masks", "boxes", "points")
"""The modules of this package that define a kind, in the order in which kinds are listed."""


def register(kind: "type[Task]") -> "type[Task]":
    """Make a kind of target known under its name; a decorator.

    Raises:
        UsageError: the name or one of the losses is another kind's.
    """
    others = _KINDS if kind.name in _OWN else _kinds()
    for other in others.values():
        if other.name == kind.name or set(other.losses) & set(kind.losses):
            raise UsageError(
                f"Task `{kind.name}`: its name or one of its losses is already used by `{other.name}`; choose another."
            )
    _KINDS[kind.name] = kind
    return kind


def unregister(name: str) -> None:
    """Forget a kind of target; for tests that define one."""
    del _KINDS[name]


def names() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return (*_OWN, *(name for name in _KINDS if name not in _OWN))


def kind(name: str) -> "type[Task]":
    """Return the kind of target called `name`.

    Raises:
        UsageError: there is none.
    """
    if name in _OWN:  # that one alone: a start is not to wait for the others
        import_module(f"fovea.tasks.{name}")
    if name not in _KINDS:
        raise UsageError(f"`--task {name}` is not one of {', '.join(names())}.")
    return _KINDS[name]


def losses() -> tuple[str, ...]:
    """Return the names of the losses of all kinds."""
    return tuple(loss for kind in _kinds().values() for loss in kind.losses)


def kind_of_loss(loss: str) -> "type[Task]":
    """Return the kind of target that a loss is for.

    Raises:
        UsageError: an unknown loss.
    """
    for found in _kinds().values():
        if loss in found.losses:
            return found
    raise unknown("loss", loss, losses())


def check_loss(loss: str, task: str) -> None:
    """Raise UsageError if a loss is for another kind of target."""
    if loss not in (fitting := kind(task).losses):
        raise UsageError(f"`loss` (={loss}) cannot be used with --task {task}; use {' or '.join(fitting)}.")


def _kinds() -> "dict[str, type[Task]]":
    for name in _OWN:  # each registers itself; on first use, since they import this module
        import_module(f"fovea.tasks.{name}")
    return {**{name: _KINDS[name] for name in _OWN}, **_KINDS}
