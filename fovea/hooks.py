"""The only home of hooks: what flows through the layers of a network while it runs, and never a hook left behind."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from fovea.errors import unknown

Watcher = Callable[[str, nn.Module, list[Tensor]], None]
"""Gets the path of a module as in `named_modules`, the module, and the tensors that enter or leave it."""


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let networks that went through `torch.compile` run as they are written: compiled code calls no hook."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes seconds
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def capture(model: nn.Module, names: Iterable[str], *, inputs: bool = False) -> Iterator[Mapping[str, Tensor]]:
    """Give a mapping that every forward pass fills with the output, or the first input, of each named module.

    Tensors, of any shape and dtype, are those of the pass itself, with their graph. Of a module that runs several times
    the last stands.

    Raises:
        UsageError: a name that the model does not have.
    """
    modules, seen = dict(model.named_modules()), dict[str, Tensor]()

    def keep(name: str, _: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        # no copy: a layer behind that works in place, as a ReLU, changes what is kept here
        seen[name] = given[0] if inputs else output

    # the stack removes the hooks however the block is left, also those set before an unknown name
    with uncompiled(), ExitStack() as hooks:
        for name in names:
            if name not in modules:
                raise unknown("layer", name, modules)
            hooks.callback(modules[name].register_forward_hook(partial(keep, name)).remove)
        yield seen


@contextmanager
def changed(model: nn.Module, name: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let `change` stand in for the output, of any shape and dtype, of the module `name` in every forward pass.

    Raises:
        UsageError: the model has no such module.
    """
    modules = dict(model.named_modules())
    if name not in modules:
        raise unknown("layer", name, filter(None, modules))
    hook = modules[name].register_forward_hook(lambda _, __, output: change(output))
    try:
        with uncompiled():
            yield
    finally:
        hook.remove()


@contextmanager
def watch(model: nn.Module, *, enter: Watcher, leave: Watcher) -> Iterator[None]:
    """Call `enter` with the inputs before, and `leave` with the outputs after, every call of every module.

    The tensors are those in whatever tuples, lists and dictionaries hold them.
    """

    def entering(path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        enter(path, module, tensors_in((args, kwargs)))

    def leaving(path: str, module: nn.Module, _: Any, output: Any) -> None:
        leave(path, module, tensors_in(output))

    with uncompiled(), ExitStack() as hooks:
        for path, module in model.named_modules():
            # with_kwargs: without it a tensor passed by name is not seen; prepend: what the module's own hooks do, as
            # weight norm, is a part of it
            before = module.register_forward_pre_hook(partial(entering, path), with_kwargs=True, prepend=True)
            hooks.callback(before.remove)
            hooks.callback(module.register_forward_hook(partial(leaving, path)).remove)
        yield


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors, of any shape and dtype, in nested tuples, lists and dictionaries, in order."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
