"""A measurement as Markdown and CSV, two side by side, and what columns and remarks say of it."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fovea.errors import unknown
from fovea.measurement.result import CONVENTIONS, SUMMED, Layer, Measurement, article, sample_name, shape_text, total_of
from fovea.texts import in_cell, scaled

MOST_ROWS = 100
"""Without a depth, layers are shown one by one up to this many rows; beyond, by the modules they are in."""
LONGEST_TYPE = 17
"""Characters of a type in the table."""
MOST_LEFTOVERS, MOST_BRANCHES = 2, 4
"""More strides that do not divide are counted; more branches are a range."""
PLACES = {1: ("step",), 2: ("row", "column"), 3: ("frame", "row", "column")}
"""What stands along each axis of an input with so many."""
SORTS = {"activations": "activation_bytes", "kept": "kept_bytes", "bytes": "parameter_bytes"} | {
    name: name for name in ("parameters", "frozen", "buffers", "macs", "macs_per_parameter")
}
"""What rows can be sorted by, and where it stands."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which rows to show, and in which order."""

    depth: int | None = None
    """Modules nested deeper are summed up; None shows every layer, in text as long as there are not too many."""
    sort: str | None = None
    """A key of `SORTS`, the largest first; None keeps the order in which layers run."""
    top: int | None = None
    """How many rows; None for all."""


def rows_of(measurement: Measurement, choice: Choice) -> list[Layer]:
    """Return the rows to show.

    Raises:
        UsageError: `sort` is no column.
    """
    rows = folded(measurement, choice.depth) if choice.depth else list(measurement.layers)
    if choice.sort is not None:
        if choice.sort not in SORTS:
            raise unknown("column", choice.sort, SORTS)
        # what is unknown sorts as nothing, to the end
        rows.sort(key=lambda row: getattr(row, SORTS[choice.sort or ""]) or 0, reverse=True)
    return rows[: choice.top]


def folded(measurement: Measurement, depth: int) -> list[Layer]:
    """Return the rows with modules at `depth` as one row each; 1 is that of the network's own children."""
    groups = {group.first: group for group in measurement.groups if group.path and _depth(group.path) == depth}
    rows: list[Layer] = []
    index = 0
    while index < len(measurement.layers):
        group, layer = groups.get(index), measurement.layers[index]
        # a group without rows begins where the next row does, which may be one that never ran
        if group is None or not layer.ran or group.stop == group.first:
            rows.append(layer)
            index += 1
            continue
        rows.append(
            Layer(
                path=group.path,
                type=group.type,
                input_shapes=group.input_shapes,
                output_shapes=group.output_shapes,
                field=group.field,
                uncounted=tuple(n for row in measurement.layers[group.first : group.stop] for n in row.uncounted),
                **asdict(total_of(measurement.layers[group.first : group.stop])),
            )
        )
        index = group.stop
    return rows


def readable_depth(measurement: Measurement) -> int | None:
    """Return the largest depth with at most `MOST_ROWS` rows; None if all layers are no more than that."""
    if len(measurement.layers) <= MOST_ROWS:
        return None
    deepest = max(_depth(group.path) for group in measurement.groups)
    return next((d for d in range(deepest, 1, -1) if len(folded(measurement, d)) <= MOST_ROWS), 1)


def _depth(path: str) -> int:
    return path.count(".") + 1 if path else 0


@dataclass(frozen=True)
class Column:
    """One column of the table for people."""

    title: str
    text: Callable[[Measurement, Layer], str]
    rank: int = 0
    """The highest is left out first where a line is too long; 0 never."""
    left: bool = False
    name: str = ""
    """What it is called where its title says too little."""
    meaning: str = ""
    """What the legend says of it."""


COLUMNS = (
    Column("layer", lambda m, row: named(row) + ("" if row.ran else " (not run)"), left=True),
    Column("type", lambda m, row: shortened(row.type, LONGEST_TYPE), rank=3, left=True),
    Column("output", lambda m, row: shape_text(row.output_shapes[0]) if row.output_shapes else "", rank=1),
    Column("parameters", lambda m, row: f"{row.parameters:,}" if row.parameters else ""),
    Column("%", lambda m, row: percent(m.share(row, "parameters")), rank=8, name="% of parameters"),
    Column("frozen", lambda m, row: f"{row.frozen:,}" if row.frozen else "", rank=4),
    Column("buffers", lambda m, row: f"{row.buffers:,}" if row.buffers else "", rank=10),
    Column("MACs", lambda m, row: macs_text(row), meaning="multiply-adds (2 FLOPs each)"),
    Column("%", lambda m, row: percent(m.share(row, "macs")), rank=5, name="% of MACs"),
    Column(
        "per par.",
        lambda m, row: f"{row.macs_per_parameter:,.0f}" if row.macs_per_parameter else "",
        rank=11,
        meaning="MACs per parameter",
    ),
    Column(
        "out",
        lambda m, row: byte_text(row.activation_bytes) if row.activation_bytes else "",
        rank=7,
        meaning="activations made",
    ),
    Column(
        "kept",
        lambda m, row: "" if row.kept_bytes == 0 else byte_text(row.kept_bytes),
        rank=6,
        meaning="of these, kept for the backward pass",
    ),
    Column("joins", lambda m, row: joins_text(row), rank=4, meaning="fields of the branches that meet"),
    Column(
        "field", lambda m, row: per_axis([axis.size for axis in row.field or ()]), meaning="{pixels} that a unit sees"
    ),
    Column(
        "jump",
        lambda m, row: per_axis([axis.jump for axis in row.field or ()]),
        rank=2,
        meaning="distance between the fields of neighbours",
    ),
    Column(
        "start",
        lambda m, row: per_axis([axis.start for axis in row.field or ()]),
        rank=9,
        meaning="centre of the first",
    ),
)


def markdown_table(measurement: Measurement, choice: Choice) -> Iterator[str]:
    """Yield the lines of the table in Markdown, with all columns that hold anything."""
    depth = choice.depth or readable_depth(measurement)
    rows = rows_of(measurement, Choice(depth=depth, sort=choice.sort, top=choice.top))
    columns = [column for column in COLUMNS if any(column.text(measurement, row) for row in rows)]
    yield f"| {' | '.join(column.title for column in columns)} |"
    yield "|" + "".join("---|" if column.left else "---:|" for column in columns)
    for row in rows:
        # `joins` holds bars, which would end the cell
        cells = (column.text(measurement, row).replace("|", "\\|") for column in columns)
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from (f"- {line}" for line in (*totals(measurement), *remarks(measurement), *CONVENTIONS))


def csv_table(measurement: Measurement, choice: Choice) -> str:
    """Return the rows as CSV with a header, all numbers as they are; of several axes `11x7`."""
    records = [_record(measurement, row) for row in rows_of(measurement, choice)]
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: in_cell(value) for name, value in record.items()} for record in records)
    return file.getvalue()


def records(measurement: Measurement) -> list[dict[str, Any]]:
    """Return a row per layer with the columns of the CSV."""
    return [_record(measurement, row) for row in measurement.layers]


def _record(measurement: Measurement, row: Layer) -> dict[str, Any]:
    sums = {name: None if name == "macs" and row.uncounted else getattr(row, name) for name in SUMMED}
    shares = {f"{name}_share": _rounded(measurement.share(row, name)) for name in SUMMED}
    axes = row.field or ()
    return {
        "path": row.path,
        "type": row.type,
        "input_shape": "x".join(map(str, next(iter(row.input_shapes), ()))),
        "output_shape": "x".join(map(str, next(iter(row.output_shapes), ()))),
        **sums,
        "macs_per_parameter": _rounded(row.macs_per_parameter),
        **shares,
        **{key: "x".join(f"{getattr(axis, key):g}" for axis in axes) for key in ("size", "jump", "start")},
    }


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def comparison(a: Measurement, b: Measurement) -> list[tuple[str, str, str, str]]:
    """Return (quantity, of a, of b, b / a) for what a network costs and sees."""
    rows: list[tuple[str, str, str, str]] = []
    for name in SUMMED:
        x, y = (None if name == "macs" and name in m.missing else getattr(m.total, name) for m in (a, b))
        if x != 0 or y != 0:
            left, right = (f"{value:,}" if value is not None else "?" for value in (x, y))
            rows.append((name.replace("_", " "), left, right, _ratio(x, y)))
    # a network without parameters: by 1 instead of 0
    if not any("macs" in m.missing for m in (a, b)):
        x, y = (m.total.macs / max(1, m.total.parameters + m.total.frozen) for m in (a, b))
        rows.append(("macs per parameter", f"{x:,.0f}", f"{y:,.0f}", _ratio(x, y)))
    whole = (a.groups[0], b.groups[0])
    left, right = (", ".join(map(shape_text, group.output_shapes)) for group in whole)
    rows.append(("output", left, right, ""))
    left, right = (seen_text(m) or "?" for m in (a, b))
    return [*rows, ("receptive field", left, right, "")]


def seen_text(measurement: Measurement) -> str:
    """Return the receptive field of the output, and where it is larger than the input, that one's size; "" if unknown.

    As `907 (the image has 224)`: what lies beyond the border is padding.
    """
    last = measurement.groups[0] if measurement.groups else measurement.layers[-1]
    sizes, field = measurement.input_shape[1:], [axis.size for axis in last.field or ()]
    if not any(size is not None and size > side for size, side in zip(field, sizes, strict=False)):
        return per_axis(field)
    return f"{per_axis(field)} (the {sample_name(measurement.input_shape)} has {per_axis(sizes)})"


def differences(a: Measurement, b: Measurement, *, depth: int | None = None) -> list[tuple[str, str, str]]:
    """Return (path, what it is in a, what in b) for each row whose type, output, parameters or MACs differ."""
    left, right = ({row.path: _said(row) for row in rows_of(m, Choice(depth=depth)) if row.ran} for m in (a, b))
    paths = dict.fromkeys((*left, *right))
    return [(path, left.get(path, ""), right.get(path, "")) for path in paths if left.get(path) != right.get(path)]


def _said(row: Layer) -> str:
    output = shape_text(row.output_shapes[0]) if row.output_shapes else ""
    count = row.parameters + row.frozen
    costs = (f"{count:,} parameters" if count else "", f"{macs_text(row)} MACs" if macs_text(row) else "")
    return ", ".join(part for part in (f"{row.type} {output}", *costs) if part)


def _ratio(a: float | None, b: float | None) -> str:
    return f"{b / a:.3g}" if a and b is not None else ""


def totals(measurement: Measurement) -> Iterator[str]:
    """Yield the sums over all layers, in words."""
    total = measurement.total
    macs = f"{total.macs:,} MACs"
    if "macs" in measurement.missing:  # a sum that lacks some is the least that it can be; a zero says nothing
        macs = f"at least {macs}" if total.macs else "an unknown number of MACs"
    frozen = f", {total.frozen:,} frozen ones" if total.frozen else ""
    yield (
        f"Total: {total.parameters:,} trainable parameters{frozen} ({byte_text(total.parameter_bytes)}), "
        f"{total.buffers:,} values in buffers, {macs}."
    )
    if measurement.convention == "keras":
        yield (
            f"As Keras counts: {total.parameters + measurement.not_trainable:,} parameters, {total.parameters:,} "
            f"trainable and {measurement.not_trainable:,} not."
        )
    kept = "" if total.kept_bytes is None else f"; training keeps {byte_text(total.kept_bytes)} of them"
    per = article(sample_name(measurement.input_shape))
    yield f"Activations: {byte_text(total.activation_bytes)} {per}{kept}."


def remarks(measurement: Measurement) -> Iterator[str]:
    """Yield what does not fit, what is missing and why."""
    lines = [line for row in measurement.layers for line in leftover_lines(row)]
    yield from lines if len(lines) <= MOST_LEFTOVERS else [unseen_text(measurement)]
    if lines:
        yield fitting_text(measurement)
    if idle := [row.path for row in measurement.layers if not row.ran]:
        yield f"Not run in evaluation: {', '.join(idle[:3])}{' and more' if len(idle) > 3 else ''}."
    for reason in dict.fromkeys(measurement.missing.values()):
        columns = [name.replace("_", " ") for name, why in measurement.missing.items() if why == reason]
        yield f"Missing: {' and '.join(columns)}, {reason}."
    yield from measurement.notes


def leftover_lines(row: Layer) -> list[str]:
    """Return in words what a stride leaves uncovered; rows and columns, frames and steps are counted from 0.

    As lecture 004 says of a 3x3 kernel with stride 3 on 7x7: "does not fit".
    """
    names = PLACES.get(len(row.field or ()), tuple(f"axis {i} at " for i in range(8)))
    by_rule: dict[str, list[str]] = {}
    for item in row.leftovers:
        first, last = (item.uncovered[0], item.uncovered[-1]) if item.uncovered else (0, 0)
        indices = f"{names[item.axis]} {first}" if first == last else f"{names[item.axis]}s {first} to {last}"
        by_rule.setdefault(item.rule, []).append(indices if item.uncovered else f"a {names[item.axis]} of padding")
    return [f"{named(row)} does not fit, {rule}: {' and '.join(found)} not covered." for rule, found in by_rule.items()]


def unseen_text(measurement: Measurement) -> str:
    """Return in words how many strides do not divide, and whether that matters."""
    strides = [[bool(item.uncovered) for item in row.leftovers] for row in measurement.layers if row.leftovers]
    unseen = sum(map(any, strides))
    names = PLACES.get(len(measurement.input_shape) - 1, ("place",))
    listed = "`--strict` lists them."
    if not unseen:
        return f"{len(strides)} strides leave only padding unseen (harmless); {listed}"
    verb = "leaves" if unseen == 1 else "leave"
    padding = f", {len(strides) - unseen} only padding" if unseen < len(strides) else ""
    text = f"{unseen} stride{'s' * (unseen > 1)} {verb} a {' or '.join(names)} unseen{padding}"
    return f"{text} (usually harmless); {listed}"


def fitting_text(measurement: Measurement) -> str:
    """Return in words which input sizes would fit."""
    axes = measurement.fitting
    if not all(axes):
        return "No input size near this one makes every stride divide."
    if len(set(axes)) == 1:
        return f"Every stride divides for inputs of {' or '.join(map(str, axes[0]))}."
    return "Every stride divides for inputs of " + " by ".join("/".join(map(str, sizes)) for sizes in axes) + "."


def shortened(text: str, width: int) -> str:
    """Return `text` with its middle left out, if it is longer than `width`."""
    if len(text) <= width:
        return text
    end = (width - 1) * 2 // 3  # of a path the end tells more; one character is the ellipsis
    return f"{text[: width - 1 - end]}\N{HORIZONTAL ELLIPSIS}{text[-end:]}"


def joins_text(row: Layer) -> str:
    """Return the different sizes of the fields that meet in a row: `1|3|5`, and of many `7..31`."""
    sizes = list(dict.fromkeys(per_axis([axis.size for axis in branch]) for branch in row.branches))
    if len(sizes) < 2:
        return ""
    return "|".join(sizes) if len(sizes) <= MOST_BRANCHES else f"{sizes[0]}..{sizes[-1]}"


def per_axis(values: Sequence[float]) -> str:
    """Return one number where it is the same on all axes: `11`; else `11x7`."""
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def named(row: Layer) -> str:
    """Return the path of a row, or of a network that is one layer its type."""
    return row.path or row.type


def percent(share: float | None) -> str:
    """Return a share as whole percent; nothing where it is none."""
    return "" if not share else f"{100 * share:.0f}"


def macs_text(row: Layer) -> str:
    """Return the multiply-adds of a row; ? where nothing of them is known, + where there are more."""
    macs = scaled(row.macs) if row.macs else ""
    return macs + "+" * bool(row.macs and row.uncounted) or "?" * bool(row.uncounted)


def byte_text(count: int | None) -> str:
    """Return bytes to three digits with B, kB, MB or GB; ? for unknown."""
    if count is None or count < 1000:
        return "?" if count is None else f"{count} B"
    return f"{scaled(count)}B"


def megabytes(count: int | None) -> str:
    """Return bytes as MB of 10^6, to three digits; nothing for none, ? for unknown."""
    if not count:
        return "?" if count is None else ""
    return f"{count / 1e6:,.0f}" if count >= 1e8 else f"{count / 1e6:.3g}"
