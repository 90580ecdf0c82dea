"""What a page shows of a run: the published arrays as pictures, its history as curves, all as JSON values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.drawing.mosaic import Mosaic, png
from fovea.report.charts import HEIGHT, WIDTH, Axis, Chart, Line
from fovea.report.rasters import filter_grid
from fovea.runs.folder import Run
from fovea.runs.listing import Listed
from fovea.runs.live import View
from fovea.studio.elements import png_url

SCALE = 3
"""Pixels of the page that a value of a small picture takes, at most."""
SIDE = 420
MOST_KERNELS = 1024
"""Of a layer, drawn at once."""

Shown = dict[str, Any]


def row_values(row: Listed, name: str) -> Shown:
    """Return a run of the table; `name` is its path from the folder of the studio."""
    return {
        **{"name": name, "state": row.state, "network": row.network, "data": row.data, "epochs": row.epochs},
        **{"result": row.result, "report": row.report, "model": row.model, "fault": row.fault},
    }


def view_values(view: View, layer: str) -> Shown:
    """Return what a training has published, with the pictures of one layer."""
    story = view.story
    pictures: Shown = {}
    for name in ("maps", "weight", "gradient"):
        array = view.arrays.get(f"{name}.{layer}")
        if array is not None and array.size:
            pictures[name] = drawn(array, kernels=name != "maps")
    filters = view.arrays.get("filters")
    if filters is not None and filters.ndim == 4 and filters.shape[1] in (1, 3):
        pictures["filters"] = _picture(Image.fromarray(filter_grid(np.nan_to_num(filters)), "RGBA"))
    if "sample" in view.arrays:
        pictures["sample"] = _image(view.arrays["sample"])
    mistakes = [
        {**mistake, "picture": _image(view.arrays[key]) if (key := f"mistake.{number}") in view.arrays else None}
        for number, mistake in enumerate(story.get("mistakes", []))
    ]
    kept = ("step", "epoch", "progress", "elapsed_s", "images_per_s", "lr", "values", "asked", "paused", "refused")
    return {
        **{name: story.get(name) for name in kept},
        "layers": story.get("layers", []),
        "layer": layer,
        "pictures": pictures,
        "mistakes": mistakes,
        "losses": chart_values(_loss_chart(story.get("losses", []))),
    }


def history_values(run: Run) -> list[Shown]:
    """Return the curves over the epochs that a run has written."""
    history = run.read_metrics()
    if not history:
        return []
    charts = [_over_epochs("Loss", history, "loss")]
    known = ("epoch", "loss", "lr", "images", "elapsed_s", "val", "improved")
    charts += [_over_epochs(name, history, name) for name in history[-1] if name not in known]
    charts.append(_chart("Learning rate", [Line("learning rate", [(x["epoch"] + 1.0, x["lr"]) for x in history])]))
    return [chart_values(chart) for chart in charts if chart.drawn]


def drawn(array: NDArray[Any], *, kernels: bool) -> Shown:
    """Return maps (C, H, W), or kernels (F, C, k, k), float32, as one picture; red is above zero, blue below."""
    values = np.nan_to_num(array.astype(np.float32))
    if values.ndim == 2 and kernels:  # a dense layer is one map
        values = values[None]
    elif values.ndim > 3:
        values = values.reshape(-1, *values.shape[-2:])
    values = values[:MOST_KERNELS]
    mosaic = Mosaic.of(values.shape)
    return _picture(mosaic.picture(values))


def _picture(image: Image.Image) -> Shown:
    width, height = image.size
    scale = max(1, min(8, SIDE // max(width, height)))
    return {"url": png_url(png(image)), "width": width * scale, "height": height * scale}


def _image(pixels: NDArray[np.uint8]) -> Shown:
    """Return a small image (h, w, 1 or 3) uint8 as a picture."""
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    h, w = squeezed.shape[:2]
    scale = max(1, round(72 / max(h, w)))
    return {"url": png_url(png(Image.fromarray(squeezed))), "width": w * scale, "height": h * scale}


def chart_values(chart: Chart) -> Shown:
    """Return a chart as paths and texts."""
    return {
        "title": chart.title,
        "size": [WIDTH, HEIGHT],
        "lines": [{"name": line.name, "path": line.path} for line in chart.drawn],
        "x": [[tick.at, tick.label] for tick in chart.x_ticks],
        "y": [[tick.at, tick.label] for tick in chart.y_ticks],
        "label": chart.x.label,
    }


def _loss_chart(losses: Sequence[Sequence[float]]) -> Chart:
    points = [(float(step), float(loss)) for step, loss in losses if math.isfinite(loss)]
    return _chart("Loss of the steps", [Line("loss", points)], x="step")


def _over_epochs(name: str, history: Sequence[Mapping[str, Any]], key: str) -> Chart:
    train = [(line["epoch"] + 1.0, line[key]) for line in history if line.get(key) is not None]
    val = [(line["epoch"] + 1.0, line["val"][key]) for line in history if (line.get("val") or {}).get(key) is not None]
    return _chart(name.capitalize(), [Line("train", train), Line("validation", val)])


def _chart(title: str, lines: Sequence[Line], *, x: str = "epoch") -> Chart:
    across, up = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    return Chart(title=title, lines=lines, x=Axis.over(x, across), y=Axis.over("", up, zero=True))
