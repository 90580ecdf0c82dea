"""Signatures that say what `**options` stands for: in `help`, in notebooks, and for the command line."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def spelled_out(options: Mapping[str, tuple[Any, Any]], *, before: str = "") -> Callable[[Function], Function]:
    """Return a decorator that shows `options`, name -> (annotation, default), in place of a function's `**`.

    They stand before the parameter `before`, or at the end.

    >>> @spelled_out({"rate": (float, 0.1)})
    ... def train(data, **options): ...
    >>> str(inspect.signature(train))
    '(data, *, rate: float = 0.1)'
    """

    def decorate(function: Function) -> Function:
        shown = inspect.signature(function)
        own = [p for p in shown.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        kind = inspect.Parameter.KEYWORD_ONLY
        added = [inspect.Parameter(name, kind, default=d, annotation=a) for name, (a, d) in options.items()]
        place = next((index for index, p in enumerate(own) if p.name == before), len(own))
        later = [p.replace(kind=kind) for p in own[place:]]
        parameters = [*own[:place], *added, *later]
        function.__signature__ = shown.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return decorate
