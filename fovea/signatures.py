"""Signatures that say what `**options` stands for: in `help`, in notebooks, and for the command line."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
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


def described(meanings: Mapping[str, str], *groups: type) -> Callable[[Function], Function]:
    """Return a decorator that adds to a docstring what parameters, and the fields of the dataclasses `groups`, mean.

    >>> @described({"data": "a folder"})
    ... def train(data):
    ...     "Train a network."
    >>> print(train.__doc__)
    Train a network.
    <BLANKLINE>
    Parameters:
        data: a folder
    """

    def decorate(function: Function) -> Function:
        sections = [("Parameters", dict(meanings))]
        sections += [(f"{group.__name__}, further keywords", dict(_fields(group))) for group in groups]
        lines = [inspect.cleandoc(function.__doc__ or "")]
        for title, entries in sections:
            lines += ["", f"{title}:", *(f"    {name}: {meaning}" for name, meaning in entries.items())]
        function.__doc__ = "\n".join(lines)
        return function

    return decorate


def _fields(group: type) -> Iterator[tuple[str, str]]:
    """Yield name and meaning of the fields of a dataclass: the text below each, and its default."""
    try:
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(group))).body
    except (OSError, SyntaxError):  # installed without sources
        return
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for field, below in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            default = f" (default: {ast.unparse(field.value)})" if field.value else ""
            yield ast.unparse(field.target), f"{' '.join(str(below.value.value).split())}{default}"
