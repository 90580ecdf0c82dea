"""A data set as the last layer sees it: a map with thumbnails, and the images nearest to a prediction's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fovea.explanation.attribution.registry import COUNT
from fovea.explanation.features.embedding import embed, nearest, planar
from fovea.jobs.pictures.asked import Asked, Samples, pictured
from fovea.report.rasters import Pixels, in_colour
from fovea.report.sheet import Drawn, Group, Sheet

LAYOUTS = ("pca", "tsne")
SHOWN = range(1, 1001)
"""Of the nearest images."""
SIDE = 1600
"""Pixels of the map."""
MOST = 1000
"""Images on the map, the first of a part that is shuffled by `seed`."""
FRAME = 2
HUES = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")


@pictured(
    "embedding",
    does="a map of a data set by the features of the last layer, with thumbnails",
    data="must",
    takes=("layer",),
    settings={"layout": "pca", "most": MOST, "perplexity": 30.0},
    bounds={"layout": LAYOUTS, "most": range(3, COUNT[-1] + 1), "perplexity": COUNT},
)
def embedding(asked: Asked) -> Sheet:
    """Draw the images of a data set where the features before the last layer put them, on a plane."""
    layout, most = asked.setting("layout", "pca"), asked.setting("most", MOST)
    chosen = _some(len(asked.samples), most, asked.seed)
    batches = (
        asked.bundle.inputs_of(asked.samples.some(chosen[first : first + asked.batch]))
        for first in _told(asked, len(chosen), "embedding")
    )
    found = embed(asked.model, batches, layer=asked.layer)
    plane = planar(found.features, layout, perplexity=asked.setting("perplexity", 30.0), seed=asked.seed)  # type: ignore[arg-type]
    labels = np.concatenate([part.labels for part in asked.part.decoded.parts.values()])[chosen]
    groups = asked.bundle.target.strata(labels)
    one_each = groups if groups is not None and groups.ndim == 1 else None
    picture = _mapped(plane, asked.samples, chosen, one_each)
    legend = "" if one_each is None else _legend(asked.part.decoded.classes)
    named = {"pca": "the two principal components", "tsne": "t-SNE"}[layout]
    drawn = Drawn(picture, "", f"{len(chosen):,} images of {asked.where}, by {named}.{legend}", "map", 1040)
    names = np.array([asked.samples.names[index] for index in chosen])
    return Sheet(
        title=f"{asked.part.decoded.name} by the features before {found.layer}",
        lead=asked.name,
        groups=[Group(drawn=[drawn])],
        arrays={"plane": plane.numpy(), "features": found.features.numpy(), "labels": labels, "names": names},
        figures={"layer": found.layer, "layout": layout, "images": len(chosen)},
        lines=[f"Map      {len(chosen):,} images by {named}, before `{found.layer}`"],
    )


def _told(asked: Asked, total: int, title: str) -> Any:
    told = asked.progress(title)
    for first in range(0, total, asked.batch):
        yield first
        told(min(first + asked.batch, total), total)


def _some(total: int, most: int, seed: int) -> list[int]:
    order = np.random.default_rng(seed).permutation(total)[:most]
    return [int(index) for index in np.sort(order)]


def _mapped(plane: Tensor, samples: Samples, chosen: Sequence[int], labels: NDArray[Any] | None) -> Pixels:
    """Return thumbnails at their places (N, 2) on a white square, framed in the colour of their class."""
    thumb = int(np.clip(SIDE / (1.4 * max(len(chosen), 1) ** 0.5), 16, 96))
    places = plane.numpy() - plane.numpy().min(0)
    places = places / np.maximum(places.max(0), 1e-12) * (SIDE - thumb)
    canvas = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for row, index in enumerate(chosen):
        left, top = places[row].round().astype(int)
        image = Image.fromarray(in_colour(samples[index])).resize((thumb - 2 * FRAME,) * 2, Image.Resampling.BILINEAR)
        colour = (90, 90, 90) if labels is None else _colour(int(labels[row]))
        canvas[top : top + thumb, left : left + thumb] = colour
        canvas[top + FRAME : top + thumb - FRAME, left + FRAME : left + thumb - FRAME] = np.asarray(image)
    return canvas


def _colour(index: int) -> tuple[int, ...]:
    return tuple(bytes.fromhex(HUES[index % len(HUES)][1:]))


def _legend(classes: Sequence[str]) -> str:
    names = ("blue", "orange", "green", "red", "purple", "brown", "pink", "grey", "olive", "cyan")
    shown = ", ".join(f"{name} {colour}" for name, colour in zip(classes, names, strict=False))
    return f" Frames: {shown}{'; the colours repeat for further classes' if len(classes) > len(names) else ''}."


@pictured(
    "nearest",
    does="the images of a data set nearest to an image by the features of the last layer",
    images="must",
    data="must",
    labelled=True,
    takes=("layer",),
    settings={"count": 9, "metric": "l2"},
    bounds={"count": SHOWN, "metric": ("l2", "cosine")},
)
def neighbours(asked: Asked) -> Sheet:
    """Draw the images of a data set whose features before the last layer are nearest to those of each image."""
    count, metric = asked.setting("count", 9), asked.setting("metric", "l2")
    known = embed(asked.model, asked.batches("embedding"), layer=asked.layer)
    queries = embed(asked.model, asked.given_batches(), layer=asked.layer)
    found = nearest(known.features, queries.features, count=count, metric=metric)  # type: ignore[arg-type]
    groups, figures, lines = [], [], []
    target = asked.bundle.target
    said = [target.prediction(row).label for row in target.decode(queries.outputs)]
    for image, answer, rows, distances in zip(asked.images, said, found.rows, found.distances, strict=True):
        drawn, listed = [Drawn(in_colour(image.pixels), answer, "the image itself", width=150)], []
        for row, distance in zip(rows.tolist(), distances.tolist(), strict=True):
            label = target.text_of(asked.labels[row], asked.bundle.classes)
            drawn.append(
                Drawn(in_colour(asked.samples[row]), label, f"{distance:.3g}  {asked.samples.names[row]}", width=105)
            )
            listed.append({"image": asked.samples.names[row], "label": label, "distance": distance})
        groups.append(Group(image.name, drawn=drawn))
        figures.append({"image": image.name, "answer": answer, "nearest": listed})
        alike = sum(one["label"] == answer for one in listed)
        lines.append(f"{image.name}  {answer}  {alike} of the {len(listed)} nearest have this label")
    return Sheet(
        title="The nearest images",
        lead=f"{asked.name}: the nearest of {len(known.features):,} images, {asked.where}, before {known.layer}; "
        f"distances are {metric}.",
        groups=groups,
        arrays={"rows": found.rows.numpy(), "distances": found.distances.numpy()},
        figures={"layer": known.layer, "metric": metric, "images": figures},
        lines=lines,
    )
