"""What a rule sees and says: the shapes, types and small values that one operation of a graph takes and makes.

A rule is arithmetic alone. It refuses what onnxruntime would fail on, or answer with more memory than can be predicted.
Values are arrays of any shape, in the dtype of their tensor.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.runtime.onnx_file import Node

MOST_VALUES = 4096
"""Values of a tensor that are followed one by one, as shapes and indices are."""
LARGEST_NUMBER = 2**31 - 1
"""Of an attribute, or of a length."""
ITEM_BYTES = {
    **{"float32": 4, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int32": 4, "int64": 8, "bool": 1},
    **{"float16": 4, "float64": 8, "uint32": 4, "uint64": 8},  # halves are computed as whole floats
}
BLOCK = 16
"""Channels of a map that onnxruntime holds side by side; what lacks to a multiple of them is filled up."""
FLOATS = frozenset({"float16", "float32", "float64"})
WHOLE = frozenset({"uint8", "int8", "uint16", "int16", "int32", "int64", "uint32", "uint64"})


class RefusedError(Exception):
    """Why an operation is refused, in a few words; whoever walks the graph says where."""


class Known(NamedTuple):
    """What is known of a tensor before the network runs."""

    dtype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | None = None
    """Its values where they follow from shapes and constants, and are few."""
    constant: bool = False
    """Whether it does not depend on the input, so that it is computed, and kept, when the file is loaded."""

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What it takes."""
        values = math.prod(self.shape)
        if len(self.shape) == 4 and self.dtype == "float32" and (over := self.shape[1] % BLOCK):
            values = values // self.shape[1] * (self.shape[1] + BLOCK - over)
        return values * ITEM_BYTES[self.dtype]


class Made(NamedTuple):
    """What an operation makes, and what that costs."""

    outputs: tuple[Known, ...]
    steps: int
    """How many values are computed, copied or looked at one by one, about."""
    products: int = 0
    """How many multiplications there are in convolutions and products of matrices."""
    workspace: int = 0
    """Bytes that are needed beside inputs and outputs while it runs."""
    in_place: bool = False
    """Whether the first output may take the place of an input that nothing else needs."""


class Applied(NamedTuple):
    """One operation and its inputs."""

    node: Node
    inputs: tuple[Known | None, ...]
    opset: int

    def tensor(self, index: int) -> Known:
        """Return an input that must be there."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise RefusedError(f"its input {index} is missing")
        return found

    def maybe(self, index: int) -> Known | None:
        """Return an input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def values(self, index: int) -> NDArray[Any]:
        """Return the values of an input on which a shape depends: they must be known before the network runs."""
        found = self.tensor(index)
        if found.values is None:
            raise RefusedError(f"a shape depends on its input {index}, whose values are not known before it runs")
        return found.values

    def wholes(self, index: int) -> tuple[int, ...]:
        """Return such values as whole numbers."""
        found = self.values(index)
        if found.dtype.kind not in "iu" or found.ndim > 1:
            raise RefusedError(f"its input {index} is not a list of whole numbers")
        return tuple(int(value) for value in found.reshape(-1))

    def whole(self, name: str, default: int, *, least: int = -LARGEST_NUMBER, most: int = LARGEST_NUMBER) -> int:
        """Return an attribute that is a whole number within bounds."""
        found: int = self.node.attributes.get(name, default)
        if not least <= found <= most:
            raise RefusedError(f"`{name}` (={found}) must be from {least} to {most}")
        return found

    def list_of(self, name: str, default: tuple[int, ...], *, least: int = 0) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers, as many as `default` has, each from `least` on."""
        found: tuple[int, ...] = self.node.attributes.get(name, default)
        if len(found) != len(default) or not all(least <= value <= LARGEST_NUMBER for value in found):
            raise RefusedError(f"`{name}` must be {len(default)} whole numbers from {least} on")
        return found

    def text(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Return an attribute that is one of some words."""
        found = self.node.attributes.get(name, default.encode()).decode("latin-1")
        if found not in allowed:
            raise RefusedError(f"`{name}` must be one of {', '.join(allowed)}")
        return str(found)

    def axis(self, value: int, axes: int) -> int:
        """Return a number of an axis counted from the front."""
        if not -axes <= value < axes:
            raise RefusedError(f"axis {value} of a tensor of {axes} axes")
        return value % axes

    def only(self, *counts: int) -> None:
        """Refuse another number of inputs than those that are allowed."""
        if len(self.inputs) not in counts:
            raise RefusedError(f"it has {len(self.inputs)} inputs")

    def typed(self, index: int, allowed: frozenset[str]) -> Known:
        """Return an input that must be there, and of one of some types."""
        found = self.tensor(index)
        if found.dtype not in allowed:
            raise RefusedError(f"its input {index} is {found.dtype}")
        return found

    @property
    def constant(self) -> bool:
        """Whether no input depends on the network's."""
        return all(given is None or given.constant for given in self.inputs)

    def known(self, dtype: str, shape: tuple[int, ...], values: NDArray[Any] | None = None) -> Known:
        """Return an output, its values kept where they are few."""
        if values is not None:
            values = np.asarray(values, dtype) if values.size <= MOST_VALUES else None
        return Known(dtype, shape, values, self.constant)

    def one(self, dtype: str, shape: tuple[int, ...], *, steps: int = 0, values: NDArray[Any] | None = None) -> Made:
        """Return one output that costs so many `steps`, or one for each value."""
        output = self.known(dtype, shape, values)
        return Made((output,), steps or output.size)

    def all_values(self) -> list[NDArray[Any]] | None:
        """Return the values of all inputs where all are known."""
        found = [given.values for given in self.inputs if given is not None and given.values is not None]
        return found if len(found) == len(self.inputs) else None


Rule = Callable[[Applied], Made]


class Entry(NamedTuple):
    """A rule, and the attributes that its operator may have."""

    rule: Rule
    attributes: Mapping[str, type]
    """Their types: int, float, bytes, or tuple of whole numbers."""
    outputs: int
    """How many outputs may be asked for."""


RULES: dict[tuple[str, str], Entry] = {}
"""By domain and operator. What is not among them is refused."""


def rule(
    *operators: str, attributes: Mapping[str, type] | None = None, outputs: int = 1, domain: str = ""
) -> Callable[[Rule], Rule]:
    """Return a decorator that makes a rule known for some operators."""

    def add(function: Rule) -> Rule:
        for operator in operators:
            RULES[domain, operator] = Entry(function, attributes or {}, outputs)
        return function

    return add


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of tensors that are stretched to each other, as NumPy does.

    >>> broadcast((4, 1, 3), (5, 1))
    (4, 5, 3)
    """
    axes = max(map(len, shapes), default=0)
    lengths = []
    for axis in range(-axes, 0):
        found = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(found) > 1:
            raise RefusedError(f"lengths {sorted(found)} do not match")
        lengths.append(found.pop() if found else 1)
    return tuple(lengths)
