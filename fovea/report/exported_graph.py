"""The graph of an `.onnx` file as boxes and arrows, and what is known of each of its operations, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fovea.errors import shortened
from fovea.measurement.tables import shortened as in_the_middle
from fovea.report.graph import Box, Drawing, framed
from fovea.runtime.onnx_file import Node, OnnxFile, StoredTensor, Value

MOST_DRAWN = 500
"""Boxes of one drawing."""
MOST_SHOWN = 12
"""Numbers of an attribute or a small tensor that are written out."""
LONGEST = 120
"""Characters of a name or a value."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A node, in words."""

    number: int
    name: str
    operator: str
    inputs: tuple[tuple[str, str], ...]
    """(name, shape and type) of each; of a tensor that stands in the file it says so."""
    outputs: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str], ...]
    stored: int
    """Numbers of the tensors in the file that it gets."""

    def holds(self, text: str) -> bool:
        """Say whether a text occurs in its name, its operator, or the names that it takes and makes."""
        names = (self.name, self.operator, *(name for name, _ in (*self.inputs, *self.outputs)))
        return any(text.casefold() in name.casefold() for name in names)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What an `.onnx` file holds, without the numbers of its tensors."""

    file: OnnxFile

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Return all nodes in the order of the file."""
        known = self._values
        return tuple(
            Operation(
                number=number,
                name=shortened(node.name, most=LONGEST),
                operator=shortened(f"{node.domain}.{node.operator}" if node.domain else node.operator, most=LONGEST),
                inputs=tuple((shortened(name, most=LONGEST), known.get(name, "")) for name in node.inputs if name),
                outputs=tuple((shortened(name, most=LONGEST), known.get(name, "")) for name in node.outputs if name),
                attributes=tuple(
                    (shortened(name, most=LONGEST), _attribute(value)) for name, value in node.attributes.items()
                ),
                stored=sum(self.file.tensors[name].size for name in {*node.inputs} if name in self.file.tensors),
            )
            for number, node in enumerate(self.file.nodes)
        )

    @cached_property
    def _values(self) -> dict[str, str]:
        """Return shape and type of each value that the file describes."""
        given = {value.name: _value(value) for value in (*self.file.infos, *self.file.inputs, *self.file.outputs)}
        return given | {name: _tensor(tensor) for name, tensor in self.file.tensors.items()}

    def search(self, text: str, operator: str = "") -> list[Operation]:
        """Return the operations that hold a text, of one kind of operator if one is given."""
        return [one for one in self.operations if operator in ("", one.operator) and one.holds(text)]

    def operators(self) -> dict[str, int]:
        """Return how often each operator occurs, the most frequent first."""
        found: dict[str, int] = {}
        for one in self.operations:
            found[one.operator] = found.get(one.operator, 0) + 1
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def facts(self) -> list[tuple[str, str]]:
        """Return (what, how much) of the file as a whole."""
        opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in self.file.opsets.items())
        return [
            ("operations", f"{len(self.file.nodes):,}"),
            ("numbers stored", f"{self.file.values:,}"),
            ("operator sets", shortened(opsets, most=LONGEST)),
            *(("input", f"{shortened(value.name, most=60)}: {_value(value)}") for value in self.file.inputs[:4]),
            *(("output", f"{shortened(value.name, most=60)}: {_value(value)}") for value in self.file.outputs[:4]),
        ]


def drawn_file(outline: Outline, *, around: int = 0) -> Drawing:
    """Return the drawing of the operations; of more than `MOST_DRAWN`, those around one of them."""
    count = len(outline.operations)
    first = min(max(0, around - MOST_DRAWN // 2), max(0, count - MOST_DRAWN))
    shown = outline.operations[first : first + MOST_DRAWN]
    details = [_detail(one) for one in shown]
    names = [one.name or f"{one.operator} {one.number}" for one in shown]
    boxes = [
        Box(
            x=0,
            y=0,
            path=str(one.number),
            name=name,
            detail=detail,
            note="\n".join(_note(one)),
            kind="weights" if one.stored else "plain",
            share=0.0,
        )
        for one, name, detail in zip(shown, names, details, strict=True)
    ]
    return framed(boxes, _edges(outline.file.nodes[first : first + MOST_DRAWN]))


def _edges(nodes: Sequence[Node]) -> list[tuple[int, int]]:
    """Return which nodes make what others take; a node that takes what comes later is left without."""
    maker = {name: number for number, node in enumerate(nodes) for name in node.outputs if name}
    return sorted(
        {
            (maker[name], number)
            for number, node in enumerate(nodes)
            for name in node.inputs
            if name in maker and maker[name] < number
        }
    )


def _detail(one: Operation) -> str:
    shape = one.outputs[0][1].partition(" ")[0] if one.outputs else ""
    return in_the_middle(f"{one.operator} {shape}".strip(), 34)


def _note(one: Operation) -> list[str]:
    values = (("in", one.inputs), ("out", one.outputs))
    return [
        f"{one.name} ({one.operator})",
        *(f"{side}: {name} {said}".rstrip() for side, given in values for name, said in given),
        *(f"{name} = {text}" for name, text in one.attributes),
    ]


def _value(value: Value) -> str:
    if value.shape is None:
        return f"of any shape {value.dtype}"
    return f"{'x'.join(shortened(str(size), most=20) or '?' for size in value.shape) or '1'} {value.dtype}"


def _tensor(tensor: StoredTensor) -> str:
    said = f"{'x'.join(map(str, tensor.shape)) or '1'} {tensor.dtype}, stored"
    return f"{said}: {_numbers(tensor)}" if 0 < tensor.size <= MOST_SHOWN else said


def _numbers(tensor: StoredTensor) -> str:
    return ", ".join(f"{number:g}" for number in tensor.values.reshape(-1).tolist())


def _attribute(value: Any) -> str:
    """Return an attribute as text: bytes as what they say, long lists shortened."""
    if isinstance(value, StoredTensor):
        return _tensor(value)
    if isinstance(value, bytes):
        return shortened(value.decode(errors="replace"), most=LONGEST)
    if isinstance(value, tuple):
        more = f", ... ({len(value):,} in all)" if len(value) > MOST_SHOWN else ""
        return ", ".join(_attribute(item) for item in value[:MOST_SHOWN]) + more
    return f"{value:g}" if isinstance(value, float) else str(value)


def rows_of_file(operations: Sequence[Operation]) -> list[Mapping[str, Any]]:
    """Return operations as rows of a table: number, name, operator, output and numbers stored."""
    return [
        {
            "place": one.number,
            "name": one.name or f"{one.operator} {one.number}",
            "operator": one.operator,
            "output": one.outputs[0][1] if one.outputs else "",
            "stored": f"{one.stored:,}" if one.stored else "",
        }
        for one in operations
    ]
