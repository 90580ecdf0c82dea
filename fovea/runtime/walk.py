"""A walk over a graph before it runs: every operation allowed, every shape known, memory and work bounded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fovea.budget import INPUT, batch_bytes
from fovea.errors import BundleError, shortened
from fovea.runtime.onnx_file import Node, OnnxFile, StoredTensor, Value
from fovea.runtime.rules import RULES
from fovea.runtime.rules.interface import MOST_VALUES, Applied, Entry, Known, Made, RefusedError
from fovea.shapes import Shape, has_shape

OPSETS = range(18, 24)
"""Versions of the operators that are read: before them, axes and factors stand elsewhere."""
MOST_WORK = 2_000_000_000_000
"""Multiplications, about, for one sample; the largest networks for photographs need a hundredth."""
MOST_INPUTS, MOST_OUTPUTS = 4096, 4096
STEP = 100
"""As many multiplications are done in the time in which one value is computed or copied by itself."""
ORDERS = 4
"""By how much another order of the operations may raise what is held at a time."""


class Needs(NamedTuple):
    """What a batch takes while it runs."""

    peak: int
    """Bytes at a time, in the order of the file."""
    total: int
    """Bytes of all that is made."""
    kept: int
    """Bytes of what does not depend on the input: it is computed, and kept, when the file is loaded."""
    work: int
    """Multiplications, and what takes as long."""

    @property
    def bytes(self) -> int:
        """Bytes of all samples at a time, whatever the order, to a factor of `ORDERS`."""
        return max(self.peak, self.total // ORDERS)


class Step(NamedTuple):
    """An operation and its rule."""

    node: Node
    entry: Entry


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A graph without the values of its large tensors, walked for as many samples as are asked about."""

    source: str
    steps: tuple[Step, ...]
    stored: Mapping[str, Known]
    """The contents of the file, by name."""
    input: Value
    sample_shape: tuple[int, ...]
    outputs: tuple[Value, ...]
    infos: tuple[Value, ...]
    opset: int
    rows: Mapping[str, Shape] = field(default_factory=dict)
    """The shape that each output must have for one sample, by name."""
    _found: dict[int, Needs] = field(default_factory=dict)

    def needs(self, samples: int) -> Needs:
        """Return what a batch of so many samples takes.

        Raises: BundleError for an operation that is refused, or that contradicts what the file says of its values.
        """
        if samples not in self._found:
            self._found[samples] = self._walked(samples)
        return self._found[samples]

    def check_batch(self, samples: int) -> None:
        """Raise BundleError if a batch takes more than all of one may."""
        if (needed := self.needs(samples).bytes) > batch_bytes():
            raise BundleError(
                f"`{self.source}` would need {needed // 1_000_000:,} MB for {samples} samples, more than their "
                "share of what one takes; give fewer at a time."
            )

    def _walked(self, samples: int) -> Needs:
        walk = _Walk(self, samples)
        for step in self.steps:
            walk.take(step)
        for value in (*self.outputs, *self.infos):
            walk.compare(value)
        for value in self.outputs:
            walk.check_rows(value)
        return Needs(walk.peak, walk.total, walk.kept, walk.work)


class _Walk:
    """One walk: what is known of each value so far, and what is held at this moment."""

    def __init__(self, plan: Plan, samples: int) -> None:
        self.plan = plan
        given = Known(plan.input.dtype, (samples, *plan.sample_shape))
        self.known: dict[str, Known] = {**plan.stored, plan.input.name: given}
        self.uses = Counter(name for step in plan.steps for name in step.node.inputs if name)
        self.uses.update(value.name for value in plan.outputs)
        self.most_work = MOST_WORK * samples
        self.held = self.peak = self.total = given.bytes
        self.kept = self.work = 0

    def take(self, step: Step) -> None:
        """Apply the rule of an operation, and count."""
        node = step.node
        inputs = tuple(self.known.get(name) if name else None for name in node.inputs)
        try:
            made = step.entry.rule(Applied(node, inputs, self.plan.opset))
            self._check(made, node)
        except RefusedError as refused:
            raise BundleError(f"`{self.plan.source}` cannot be used: {node.place}: {refused}.") from None
        except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
            reason = str(error).splitlines()[0][:200]
            raise BundleError(f"`{self.plan.source}` cannot be used: {node.place}: {reason}.") from error
        self._count(node, inputs, made)

    def compare(self, value: Value) -> None:
        """Raise BundleError if the file says something else of a value than follows from its operations."""
        found = self.known.get(value.name)
        if found is None or value.name in self.plan.stored:
            return
        said = found.shape if value.shape is None else value.shape
        fits = len(found.shape) == len(said) and all(
            isinstance(own, str) or own == length for own, length in zip(said, found.shape, strict=True)
        )
        if not fits or value.dtype != found.dtype:
            raise BundleError(
                f"`{self.plan.source}` cannot be used: it says that `{shortened(value.name)}` is {value.dtype} "
                f"{said}, but it is {found.dtype} {found.shape}."
            )

    def check_rows(self, value: Value) -> None:
        """Raise BundleError if an output has no row for each sample, or one of another shape than it should."""
        found = self.known[value.name].shape
        row = self.plan.rows.get(value.name, found[1:])
        if found[:1] != (self._samples,) or not has_shape(found[1:], row):
            raise BundleError(
                f"`{self.plan.source}` cannot be used: of {self._samples} samples it makes `{shortened(value.name)}` "
                f"of {found}, but its card declares {(self._samples, *row)}."
            )

    def _check(self, made: Made, node: Node) -> None:
        for output in made.outputs:
            if not all(output.shape) and output.values is None:
                raise RefusedError(f"it makes a tensor without values, {output.shape}")
            if excess := INPUT.excess(output.bytes // max(1, self._samples)):
                raise RefusedError(f"it makes a tensor of {excess}")
        if excess := INPUT.excess(self.kept):
            raise RefusedError(f"what is computed once, by here, takes {excess}")
        self.work += STEP * made.steps + made.products
        if self.work > self.most_work:
            raise RefusedError(f"by here the network takes more than {MOST_WORK:,} multiplications for one sample")
        if len(made.outputs) < len(node.outputs):
            raise RefusedError(f"it has {len(node.outputs)} outputs")

    @property
    def _samples(self) -> int:
        return self.known[self.plan.input.name].shape[0]

    def _count(self, node: Node, inputs: tuple[Known | None, ...], made: Made) -> None:
        named = [(name, output) for name, output in zip(node.outputs, made.outputs, strict=False) if name]
        given = [(name, known) for name, known in zip(node.inputs, inputs, strict=True) if known is not None]
        self.known.update(named)
        if made.outputs[0].constant:
            self.kept += sum(output.bytes for _, output in named)
            return
        replaced = next((name for name, known in given if made.in_place and self._replaces(name, known, made)), "")
        fresh = 0 if replaced else sum(output.bytes for _, output in named)
        self.total += fresh + made.workspace
        self.held += fresh
        self.peak = max(self.peak, self.held + made.workspace)
        for name, known in given:
            self.uses[name] -= 1
            if not (self.uses[name] or known.constant or name == replaced):
                self.held -= known.bytes
        self.held -= sum(output.bytes for name, output in named if not self.uses[name])

    def _replaces(self, name: str, known: Known, made: Made) -> bool:
        """Tell whether the first output may take the place of an input that nothing else needs."""
        alone = self.uses[name] == 1 and not known.constant and name != self.plan.input.name
        return alone and known.bytes == made.outputs[0].bytes


def planned(
    file: OnnxFile, given: Value, sample_shape: tuple[int, ...], rows: Mapping[str, Shape] | None = None
) -> Plan:
    """Return the plan of a file with the input `given`, of samples of a shape; one sample has `rows` of these shapes.

    Raises: BundleError for operators that are not allowed, or names that do not go together.
    """
    if (opset := file.opsets.get("", 0)) not in OPSETS or len(file.opsets) != 1:
        said = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in list(file.opsets.items())[:5])
        raise BundleError(
            f"`{file.source}` cannot be used: it has the operators of {shortened(said)}; supported are those of "
            f"ai.onnx {OPSETS.start} to {OPSETS.stop - 1}."
        )
    stored = {name: _known(tensor) for name, tensor in file.tensors.items()}
    steps = tuple(_step(file.source, node) for node in file.nodes)
    _check_names(file, given, steps)
    return Plan(
        source=file.source,
        steps=steps,
        stored=stored,
        input=given,
        sample_shape=sample_shape,
        outputs=file.outputs,
        infos=file.infos,
        opset=opset,
        rows=rows or {},
    )


def _known(tensor: StoredTensor) -> Known:
    """Return what is known of a stored tensor; of a large one not its values."""
    values = np.array(tensor.values) if tensor.size <= MOST_VALUES else None
    return Known(tensor.dtype, tensor.shape, values, constant=True)


def _step(source: str, node: Node) -> Step:
    entry = RULES.get((node.domain, node.operator))
    if entry is None:
        domain = f" of `{shortened(node.domain)}`" if node.domain else ""
        raise BundleError(
            f"`{source}` cannot be used: its operator `{shortened(node.operator)}`{domain} is none that Fovea writes."
        )
    wrong = [name for name, value in node.attributes.items() if not _is(value, entry.attributes.get(name))]
    if wrong:
        raise BundleError(
            f"`{source}` cannot be used: {node.place} has an attribute `{shortened(wrong[0])}` that is not known here, "
            "or of another kind."
        )
    if not 1 <= len(node.outputs) <= entry.outputs or len(node.inputs) > MOST_INPUTS or not node.outputs[0]:
        raise BundleError(
            f"`{source}` cannot be used: {node.place} has {len(node.inputs)} inputs and {len(node.outputs)} outputs."
        )
    return Step(node, entry)


def _is(value: object, kind: type | None) -> bool:
    if kind is tuple:
        return isinstance(value, tuple) and all(isinstance(item, int) for item in value)
    return kind is not None and isinstance(value, kind)


def _check_names(file: OnnxFile, given: Value, steps: tuple[Step, ...]) -> None:
    """Raise BundleError unless each value is made once, and before it is used: so there is no circle."""
    known = {given.name, *file.tensors}
    for step in steps:
        if missing := [name for name in step.node.inputs if name and name not in known]:
            raise BundleError(
                f"`{file.source}` cannot be used: {step.node.place} uses `{shortened(missing[0])}`, which nothing "
                "before it makes."
            )
        for name in filter(None, step.node.outputs):
            if name in known:
                raise BundleError(f"`{file.source}` cannot be used: `{shortened(name)}` is made twice.")
            known.add(name)
    made = {name for step in steps for name in step.node.outputs}
    lost = [value.name for value in file.outputs if value.name not in made]
    if lost or len({value.name for value in file.outputs}) < len(file.outputs):
        raise BundleError(
            f"`{file.source}` cannot be used: nothing makes its output `{shortened(lost[0])}`."
            if lost
            else f"`{file.source}` cannot be used: it has the same output twice."
        )
    if len({info.name for info in file.infos}) < len(file.infos):
        raise BundleError(f"`{file.source}` cannot be used: it describes the same value twice.")
