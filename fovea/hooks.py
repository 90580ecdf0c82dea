"""The only home of hooks: what flows through the layers of a network while it runs, and never a hook left behind."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

from fovea.errors import unknown


@contextmanager
def capture(model: nn.Module, names: Iterable[str], *, inputs: bool = False) -> Iterator[Mapping[str, Tensor]]:
    """Give a mapping that every forward pass fills with the output, or the first input, of each named module.

    Tensors are those of the pass itself, with their graph. Of a module that runs several times the last stands.

    Raises:
        UsageError: a name that the model does not have.
    """
    modules, seen = dict(model.named_modules()), dict[str, Tensor]()

    def keep(name: str, _: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = given[0] if inputs else output

    with ExitStack() as hooks:
        for name in names:
            if name not in modules:
                raise unknown("layer", name, modules)
            hooks.callback(modules[name].register_forward_hook(partial(keep, name)).remove)
        yield seen
