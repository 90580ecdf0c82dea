"""The page of `fovea trust`: which methods of explanation are to be believed on a network, and why.

Pixels are (H, W, C) uint8 0..255; boxes (b, 4) int64 of x0, y0, x1, y1 in them, half-open.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from fovea.explanation.trust.curves import Areas
from fovea.explanation.trust.planted import LEAST_LIFT, PATCH, SIDE, planted
from fovea.explanation.trust.result import RIVALS, Row, Verdicts, mean_curve
from fovea.explanation.trust.sanity import DEPARTURES, MOST_CORRELATION, MOST_SIMILARITY, Sanity
from fovea.report.charts import Axis, Chart, Line
from fovea.report.page import picture, render
from fovea.report.rasters import Pixels

CUE, DECOY, BOX = (217, 72, 15), (47, 111, 176), (34, 197, 94)
"""Colours of outlines."""
SHOWN = 224
"""Pixels of the longer side of a picture, at least."""

LIMITS = sorted({MOST_CORRELATION, MOST_SIMILARITY})
CHANCE = PATCH**2 / SIDE**2

MEANINGS = {
    "insertion": (
        "Area under the curve of the probability as the pixels that the map ranks highest come into a blurred image.",
        "high",
    ),
    "deletion": ("The same as these pixels are replaced by the mean colour of the training images.", "low"),
    "above random": (
        "On how many images insertion minus deletion is higher than for a map of random cells.",
        "all",
    ),
    "above centre": ("The same against a Gaussian at the centre, where photographers place their subject.", "all"),
    "sanity": (
        "Whether the maps are others when the weights are random: rank correlation and structural similarity of the "
        f"two, which must be below {' and '.join(f'{limit:g}' for limit in LIMITS)}. A method that fails shows the "
        "image rather than what the network learned.",
        "pass",
    ),
    "pointing": ("How often the maximum of the map lies in a box.", "high"),
    "energy": ("The share of the map that lies in the boxes.", "high"),
    "cue lift": (
        "On a small network whose only cue is known: the share of the map inside the cue, divided by that of chance. "
        f"At {LEAST_LIFT:g}, and more than in the decoy, the cue counts as found.",
        "high",
    ),
    "cue pointing": (f"How often the maximum lies in that cue; by chance it would be {100 * CHANCE:.0f} %.", "high"),
    "s/image": ("Seconds that a map takes.", "low"),
    "verdict": (
        "Which checks the method fails: sanity, either of the two rivals by the mean over the images, the cue.",
        "pass",
    ),
}
"""What a column says, and what is good."""


class Detail(NamedTuple):
    """What the page shows of one method."""

    row: Row
    charts: list[Chart]


def trust_page(verdicts: Verdicts, pictures: Sequence[tuple[Pixels, Tensor]]) -> str:
    """Return the page as HTML; `pictures` are the images (H, W, C) uint8, each with its boxes (b, 4) int64."""
    columns, rows = verdicts.table
    applying = [row for row in verdicts.rows if row.trust is not None]
    return render(
        "trust.html",
        verdicts=verdicts,
        columns=columns,
        rows=[[(text, _kind(column, text)) for column, text in zip(columns, row, strict=True)] for row in rows],
        knowing_nothing=len(RIVALS),
        meanings=[(column, *MEANINGS[column]) for column in columns if column in MEANINGS],
        details=_details(applying),
        departures=DEPARTURES,
        limits=LIMITS,
        cues=[row for row in applying if row.cue is not None],
        chance=CHANCE,
        planted=[] if verdicts.accuracy is None else list(_planted()),
        images=[
            {"name": name, "answer": answer, "source": outlined(pixels, [(boxes, BOX)])}
            for name, answer, (pixels, boxes) in zip(verdicts.images, verdicts.answers, pictures, strict=True)
        ],
    )


def outlined(pixels: Pixels, boxes: Sequence[tuple[Tensor, tuple[int, int, int]]]) -> str:
    """Return an image (H, W, C) uint8, small ones enlarged, with boxes (b, 4) int64 in a colour each, as an address."""
    zoom = max(1, SHOWN // max(pixels.shape[:2]))
    coloured = pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)
    drawn = coloured.repeat(zoom, axis=0).repeat(zoom, axis=1)
    width = max(2, max(drawn.shape[:2]) // 100)
    for some, colour in boxes:
        for x0, y0, x1, y1 in (zoom * some).tolist():
            inner = drawn[y0 + width : y1 - width, x0 + width : x1 - width].copy()
            drawn[y0:y1, x0:x1] = colour
            drawn[y0 + width : y1 - width, x0 + width : x1 - width] = inner
    return picture(drawn, side=max(drawn.shape[:2]))


def _kind(column: str, text: str) -> str:
    """Return the class of a cell: whether it supports the method."""
    if column == "verdict" and text:
        return {"pass": "good", "does not apply": "dim"}.get(text, "bad")
    return "bad" if text.startswith("FAIL") else ""


def _details(rows: Sequence[Row]) -> Iterator[Detail]:
    """Yield the charts of each method; the axes of all are the same."""
    curves = [curve for row in rows if row.trust for curve in (row.trust.areas.came, row.trust.areas.went) if curve]
    y = Axis.over("", [value for curve in curves for _, value in mean_curve(curve)], zero=True)
    for row in rows:
        if row.trust is None:
            continue
        each = {row.method.title: row.trust.areas} | {RIVALS[name]: getattr(row.trust, name) for name in RIVALS}
        sanity = [] if row.trust.sanity is None else [_sanity_chart(row.trust.sanity)]
        yield Detail(row, [_chart("Insertion", "came", each, y), _chart("Deletion", "went", each, y), *sanity])


def _chart(title: str, way: str, each: dict[str, Areas], y: Axis) -> Chart:
    curves = {name: mean_curve(curve) for name, areas in each.items() if (curve := getattr(areas, way))}
    lines = [Line(name, [(100 * share, value) for share, value in curve]) for name, curve in curves.items()]
    x = Axis(label=f"pixels that {way}, %", low=0, high=100)
    return Chart(title=title, lines=lines, x=x, y=y)


def _sanity_chart(sanity: Sanity) -> Chart:
    places = range(len(sanity.steps) + 1)
    notes = ["nothing random", *(f"random from {step.layer} on" for step in sanity.steps)]
    measured = {
        "rank correlation": [1.0, *(step.correlation for step in sanity.steps)],
        "structural similarity": [1.0, *(step.similarity for step in sanity.steps)],
    }
    lines = [
        Line(
            name,
            [*zip(places, values, strict=True)],
            [f"{note}: {v:.2f}" for note, v in zip(notes, values, strict=True)],
        )
        for name, values in measured.items()
    ]
    y = Axis.over("", [value for values in measured.values() for value in values], zero=True)
    x = Axis(label="steps of random layers, from the head down", low=0, high=places[-1])
    return Chart(title="Sanity check", lines=lines, x=x, y=y, levels=LIMITS)


def _planted() -> Iterator[dict[str, Any]]:
    """Yield a planted image of each class, its cue and its decoy outlined."""
    test = planted()
    for label, stripes in enumerate(("horizontal", "vertical")):
        index = test.labels.tolist().index(label)
        values = test.x[index, 0].numpy()
        grey = np.clip(127.5 + 127.5 * values / np.abs(values).max(), 0, 255).round().astype(np.uint8)
        boxes = [(test.cues[index], CUE), (test.decoys[index], DECOY)]
        yield {"label": label, "stripes": stripes, "source": outlined(grey[..., None], boxes)}
