"""A measured network as boxes and arrows; `measurement.html` makes SVG of them, in the colours of the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fovea.measurement.result import Layer, Measurement, shape_text
from fovea.measurement.tables import folded, megabytes, per_axis, readable_depth, shortened
from fovea.report.layering import Edge, Point, layered
from fovea.texts import scaled

LETTER, MARGIN = 6.7, 10
"""Width of a letter of the names, and the room beside them."""
NARROWEST, WIDEST = 104, 216
HEIGHT, ACROSS, DOWN = 42, 22, 30
"""A box, and the room between two beside and below each other."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A layer, or a module as a whole."""

    x: float
    y: float
    """Its upper left corner."""
    path: str
    """Of the layer or module, in full."""
    name: str
    """The path, shortened to the width of the box."""
    detail: str
    """Its type and the shape that it hands on."""
    note: str
    """What is shown when it is pointed at, line by line."""
    kind: str
    """`weights`, or `plain` for what has none."""
    share: float
    """Of the network's MACs."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Boxes of one size, and the arrows between them."""

    boxes: list[Box]
    arrows: list[str]
    """Paths, as in the attribute `d` of SVG."""
    box_width: float
    box_height: float
    width: float
    height: float
    depth: int | None
    """Modules at this depth are one box each; None where every layer is."""


def drawn(measurement: Measurement, depth: int | None = None) -> Drawing:
    """Return the drawing of what runs, with modules at `depth` as one box each; without, as deep as it stays readable.

    1 is the depth of the network's own children.
    """
    depth = depth or readable_depth(measurement)
    rows = [row for row in (folded(measurement, depth) if depth else measurement.layers) if row.ran]
    boxes = [
        Box(
            x=0,
            y=0,
            path=row.path,
            name=row.path,
            detail=_detail(row),
            note="\n".join(_note(measurement, row)),
            kind="weights" if row.parameters + row.frozen else "plain",
            share=measurement.share(row, "macs") or 0.0,
        )
        for row in rows
    ]
    drawing = framed(boxes, edges_of(measurement, rows))
    return replace(drawing, depth=depth if len(rows) < sum(row.ran for row in measurement.layers) else None)


def framed(boxes: Sequence[Box], edges: Sequence[Edge]) -> Drawing:
    """Return the drawing of boxes that have no place yet; all are as wide as the longest text needs, within bounds.

    `edges` are pairs of indices, the first the lower one.
    """
    letters = max((max(map(len, (box.name, box.detail))) for box in boxes), default=0)
    width = min(max(letters * LETTER + 2 * MARGIN, NARROWEST), WIDEST)
    layout = layered([width] * len(boxes), edges, gap=ACROSS)
    fitting = int((width - 2 * MARGIN) / LETTER)
    points = [point for route in layout.routes.values() for point in route] + layout.boxes
    return Drawing(
        boxes=[
            replace(
                box,
                x=round(place.x - width / 2, 1),
                y=_top(place),
                name=shortened(box.name, fitting),
                detail=shortened(box.detail, fitting + 2),
            )
            for place, box in zip(layout.boxes, boxes, strict=True)
        ],
        arrows=[_arrow(route) for route in layout.routes.values()],
        box_width=round(width, 1),
        box_height=HEIGHT,
        width=round(max((point.x for point in points), default=0) + width / 2 + 2),
        height=_top(max(points, key=lambda point: point.row, default=Point(0, 0))) + HEIGHT + 2,
        depth=None,
    )


def edges_of(measurement: Measurement, rows: Sequence[Layer]) -> list[Edge]:
    """Return which of these rows, as `folded` gives them, get what from which, by their indices."""
    stops, owner, index = {group.path: group.stop for group in measurement.groups}, dict[int, int](), 0
    for number, row in enumerate(rows):
        stop = index + 1 if row is measurement.layers[index] else stops[row.path]
        owner.update(dict.fromkeys(range(index, stop), number))
        index = stop
    found = {(owner[source], owner[i]) for i in owner for source in measurement.layers[i].sources}
    return sorted((source, target) for source, target in found if source != target)


def _detail(row: Layer) -> str:
    return f"{row.type} {shape_text(row.output_shapes[0])}" if row.output_shapes else row.type


def _note(measurement: Measurement, row: Layer) -> Iterator[str]:
    yield f"{row.path} ({row.type})"
    for side, shapes in (("in", row.input_shapes), ("out", row.output_shapes)):
        if shapes:
            yield f"{side}: {', '.join(map(shape_text, shapes))}"
    for name, count in (("parameters", row.parameters), ("frozen", row.frozen), ("values in buffers", row.buffers)):
        if count:
            yield f"{count:,} {name}"
    if row.macs:
        yield f"{scaled(row.macs)} MACs, {100 * row.macs / measurement.total.macs:.1f} % of the network's"
    if row.activation_bytes:
        yield f"activations: {megabytes(row.activation_bytes)} MB"
    if row.field:
        sizes, jumps = (per_axis([getattr(axis, name) for axis in row.field]) for name in ("size", "jump"))
        yield f"a unit sees {sizes} pixels; the next is {jumps} further"
    yield from (f"does not fit: {item.rule}" for item in row.leftovers)


def _top(point: Point) -> int:
    return 2 + point.row * (HEIGHT + DOWN)


def _arrow(route: Sequence[Point]) -> str:
    """Return the path from below the first box, straight through the rows between, to above the last."""
    path = f"M{route[0].x:.1f} {_top(route[0]) + HEIGHT}"
    for before, point in zip(route, route[1:], strict=False):
        top = _top(point)
        if before.x != point.x:
            middle = top - DOWN / 2
            path += f"C{before.x:.1f} {middle:.0f} {point.x:.1f} {middle:.0f} {point.x:.1f} {top}"
        else:
            path += f"V{top}"
        if point is not route[-1]:
            path += f"V{top + HEIGHT}"
    return path
