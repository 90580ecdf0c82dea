"""Any network in the letters of patterns, where they have a word for each of its layers."""

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from fovea.errors import UsageError, first_line
from fovea.zoo.editing import spaced
from fovea.zoo.letters import CLOSED, MOST_LETTERS, OPENED, Word, read

_SUMS = (operator.add, operator.iadd, torch.add)
_RELU = (F.relu, torch.relu, "relu", "relu_")
_FLAT = (torch.flatten, "flatten")
_OVER_MAPS = ("((2, 3),)", "([2, 3],)", "((-2, -1),)", "([-2, -1],)")
Found = tuple[Word, ...]


def spelled(model: nn.Module) -> str:
    """Return the network in letters.

    A convolution that has a bias before a batch norm loses it, as patterns have none there.

    Raises:
        UsageError: a layer, or a way that layers are joined, has no letter; the message names the first.
    """
    training = model.training
    try:
        graph = fx.Tracer().trace(model.eval())
    except Exception as error:  # a network may raise anything
        raise UsageError(f"The network cannot be written as letters: {first_line(error)}") from error
    finally:
        model.train(training)
    (output,) = (node for node in graph.nodes if node.op == "output")
    if not isinstance(output.args[0], fx.Node):
        raise UsageError("The network cannot be written as letters: it has several outputs.")
    found = _back(output.args[0], None, model)
    text = spaced(_with_logits(list(found)))
    if (length := len("".join(text.split()))) > MOST_LETTERS:
        raise UsageError(f"The network takes {length:,} letters, and a pattern has at most {MOST_LETTERS:,}.")
    if read(text) is None:
        raise UsageError(
            f"The network cannot be written as letters: `{text[:120]}` has an order that a pattern cannot have."
        )
    return text


def _with_logits(found: list[Word]) -> list[Word]:
    """Return the letters with the last dense layer as the logits, whose number is that of the classes."""
    if not found or found[-1].letter != "F":
        raise UsageError("The network cannot be written as letters: it does not end in a dense layer.")
    return [*found[:-1], Word("F")]


def _back(node: fx.Node, until: fx.Node | None, model: nn.Module) -> Found:
    """Return the letters from `until`, or the input, up to `node`."""
    found: list[Word] = []
    while node is not until and node.op != "placeholder":
        if node.op == "call_function" and node.target in _SUMS:
            words, node = _path(node, model)
            if until is not None:
                raise UsageError("The network cannot be written as letters: it has a path inside another path.")
        else:
            words, node = _words(node, model), _given(node)
        found[:0] = words
    return tuple(found)


def _path(node: fx.Node, model: nn.Module) -> tuple[list[Word], fx.Node]:
    """Return the letters of a path that is added to its input, and where it begins."""
    ways = [list(_chain(way)) for way in node.args[:2] if isinstance(way, fx.Node)]
    if len(ways) != 2:
        raise UsageError(f"The network cannot be written as letters: `{node.name}` does not add two feature maps.")
    split = next((place for place in ways[0] if place in ways[1]), None)
    if split is None:
        raise UsageError(
            f"The network cannot be written as letters: `{node.name}` adds maps that do not come from one point."
        )
    long, short = sorted(([*way[: way.index(split)], split] for way in ways), key=len, reverse=True)
    beside = _back(short[0], split, model)
    if [word.letter for word in beside] not in ([], ["C", "B"]) or any(word.kernel != 1 for word in beside[:1]):
        raise UsageError(
            f"The network cannot be written as letters: the shortcut of the path to `{node.name}` is not a 1x1 "
            "convolution."
        )
    return [Word(OPENED), *_back(long[0], split, model), Word(CLOSED)], split


def _chain(node: fx.Node) -> Iterator[fx.Node]:
    """Yield a value and those it comes from, back to where two are added."""
    yield node
    while node.op != "placeholder" and not (node.op == "call_function" and node.target in _SUMS):
        node = _given(node)
        yield node


def _given(node: fx.Node) -> fx.Node:
    """Return the one value that an operation gets."""
    if len(node.all_input_nodes) != 1:
        raise UsageError(
            f"The network cannot be written as letters: `{node.name}` joins {len(node.all_input_nodes)} values."
        )
    return node.all_input_nodes[0]


def _words(node: fx.Node, model: nn.Module) -> list[Word]:
    """Return the letter of an operation; none for what changes nothing."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        word = _word(module)
        if word is None and not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout):
            raise UsageError(
                f"The network cannot be written as letters: there is no letter for `{node.target}`, {module}."
            )
        return [word] if word else []
    if node.target in _RELU:
        return [Word("R")]
    if node.target in _FLAT:
        return []
    if node.target in ("mean", torch.mean) and str(node.args[1:2]) in _OVER_MAPS:
        return [Word("G")]
    raise UsageError(f"The network cannot be written as letters: there is no letter for its operation `{node.name}`.")


def _word(module: nn.Module) -> Word | None:
    """Return the letter of a layer."""
    if isinstance(module, nn.ReLU6):
        return Word("R", 6)
    if isinstance(module, nn.ReLU):
        return Word("R")
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.affine:
        return Word("B")
    if type(module) is nn.Linear:
        return Word("F", module.out_features)
    if isinstance(module, nn.Dropout):
        percent = round(100 * module.p)
        return Word("D", None if percent == 50 else percent) if 0 < percent < 100 else None
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return Word("G")
    return _convolution(module) if type(module) is nn.Conv2d else _pooling(module)


def _convolution(module: nn.Conv2d) -> Word | None:
    kernel, stride, padding = (_same(getattr(module, name)) for name in ("kernel_size", "stride", "padding"))
    depthwise = module.groups == module.in_channels == module.out_channels and module.groups > 1
    if kernel is None or stride is None or padding is None or _same(module.dilation) != 1:
        return None
    if module.padding_mode != "zeros":
        return None
    return Word(
        "W" if depthwise else "C",
        None if depthwise else module.out_channels,
        None if kernel == 3 else kernel,
        None if stride == 1 else stride,
        None if padding == (kernel - 1) // 2 else padding,
        None if depthwise or module.groups == 1 else module.groups,
    )


def _pooling(module: nn.Module) -> Word | None:
    if not isinstance(module, nn.MaxPool2d | nn.AvgPool2d) or module.ceil_mode:
        return None
    kernel, stride, padding = (_same(value) for value in (module.kernel_size, module.stride, module.padding))
    mean = isinstance(module, nn.AvgPool2d)
    counted = not mean or (module.count_include_pad and module.divisor_override is None)
    if kernel is None or stride is None or padding is None or not counted or (not mean and _same(module.dilation) != 1):
        return None
    return Word(
        "A" if mean else "P",
        None,
        None if kernel == 2 else kernel,
        None if stride == kernel else stride,
        padding or None,
    )


def _same(value: Any) -> int | None:
    """Return the number that holds for all axes, None if there is none."""
    values = set(value) if isinstance(value, tuple) else {value}
    return value if len(values) == 1 and isinstance(value := values.pop(), int) else None
