"""Which values of a pass are shown as layers, and what one unit of them is marked with on all others.

Values are (1, C, H, W), (1, C, L) or (1, K) float.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.explanation.units.arithmetic import Arithmetic
from fovea.explanation.units.moves import is_move
from fovea.explanation.units.reading import Index, Region, numbers
from fovea.explanation.units.tape import Tape, Value
from fovea.explanation.units.unit import arithmetic, field


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One value of a pass that is shown."""

    number: int
    """Its place among the layers; 0 is the input."""
    value: Value
    title: str
    """The module, and what it does: `stage1.block1.conv1: conv2d`."""
    shape: tuple[int, ...]
    """Of the one sample, without the batch."""


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of a tape."""

    tape: Tape

    @cached_property
    def all(self) -> tuple[Layer, ...]:
        """Return the input, then what every operation made that computes, in order."""
        return tuple(self._found())

    def _found(self) -> Iterable[Layer]:
        number = 0
        for call in self.tape.calls:
            output = call.outputs[0]
            alike = output.dtype.is_floating_point and output.ndim > 1 and len(output) == 1 and output.numel()
            if is_move(call) or not alike:
                continue
            title = f"{call.path}: {call.title}" if call.path else call.title
            yield Layer(number=number, value=Value(call.number), title=title, shape=tuple(output.shape[1:]))
            number += 1

    @cached_property
    def of(self) -> dict[Value, Layer]:
        """The layer of each value that is one."""
        return {layer.value: layer for layer in self.all}

    def maps(self, layer: Layer) -> NDArray[np.float64]:
        """Return the numbers of a layer, of its shape, float64."""
        return numbers(self.tape.tensor(layer.value)[0])

    def arithmetic(self, layer: Layer, unit: Index) -> Arithmetic:
        """Return how a unit of a layer, an index into its shape, comes about."""
        return arithmetic(self.tape, layer.value, (0, *unit))

    def marks(self, layer: Layer, unit: Index) -> dict[int, Region]:
        """Return what a unit depends on: by the number of each earlier layer a region of its shape."""
        found = field(self.tape, layer.value, tuple((at, at + 1) for at in (0, *unit)))
        return {self.of[value].number: region[1:] for value, region in found.items() if value in self.of}

    def behind(self, value: Value, index: Index) -> tuple[Layer, Index] | None:
        """Return the layer and the unit that a term was read from, through what only moves numbers.

        None if that is a weight or padding.
        """
        while value not in self.of:
            found = self._moved_from(value, index)
            if found is None:
                return None
            value, index = found
        return self.of[value], index[1:]

    def _moved_from(self, value: Value, index: Index) -> tuple[Value, Index] | None:
        if not is_move(self.tape.calls[value.call]):
            return None
        term = arithmetic(self.tape, value, index).term(0)
        return None if term.source is None else (term.source, term.index)

    def written(self, layer: Layer, unit: Index) -> dict[str, Any]:
        """Return all that a page shows of a unit, as JSON values."""
        made = self.arithmetic(layer, unit)
        terms = []
        for term in made.largest:
            found = None if term.source is None else self.behind(term.source, term.index)
            terms.append(
                {
                    "value": term.value,
                    "weight": term.weight,
                    "layer": None if found is None else found[0].number,
                    "unit": None if found is None else list(found[1]),
                }
            )
        return {**made.to_dict(), "lines": made.lines(), "terms": terms, "layer": layer.number, "unit": list(unit)}
