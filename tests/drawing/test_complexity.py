"""What accuracy costs, and how the error fell: every published figure is in the picture."""

import numpy as np
from matplotlib.path import Path
from PIL import Image

from fovea.drawing.complexity import complexity_figure
from fovea.jobs.models import models


def test_the_picture_has_a_circle_for_each_published_figure(tmp_path):
    entries = models("*net*", year=2018)
    upper, lower = complexity_figure(entries).axes
    for axes, key in ((upper, "top1"), (lower, "top5")):
        shown = [tuple(c.get_offsets()[0]) for c in axes.collections if len(c.get_offsets())]
        published = [entry for entry in entries if getattr(entry, key) is not None]
        expected = [(c.macs / 1e9, c.top1) if key == "top1" else (c.year, 100 - c.top5) for c in published]
        np.testing.assert_allclose(sorted(shown), sorted(expected))
    sizes = {entry.name: entry.params for entry in entries if entry.top1 is not None}
    areas = [c.get_sizes()[0] for c in upper.collections if len(c.get_offsets())]
    np.testing.assert_allclose(np.array(areas) / np.array(list(sizes.values())), 3e-6, rtol=1e-9)
    models("*net*", year=2018, plot=tmp_path / "zoo.png")
    assert np.asarray(Image.open(tmp_path / "zoo.png").convert("L")).std() > 5


def test_no_name_lies_on_the_line_of_the_best():
    _, axes = complexity_figure(models("*resnet*")).axes
    (line,) = axes.lines
    corners = axes.transData.transform(line.get_xydata())
    (xs, ys), bends = corners.T, []
    for x0, y0, x1, y1 in zip(xs, ys, xs[1:], ys[1:], strict=False):
        bends += [((x0, y0), (x1, y0)), ((x1, y0), (x1, y1))]
    ways = [Path(way) for way in bends]
    names = [text for text in axes.texts if text.get_text()]
    assert len(names) > 3
    assert [n.get_text() for n in names if any(way.intersects_bbox(n.get_window_extent()) for way in ways)] == []
