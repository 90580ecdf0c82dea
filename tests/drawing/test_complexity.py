"""What accuracy costs, and how the error fell: every published figure is in the picture."""

import numpy as np
from PIL import Image

from fovea.drawing.complexity import complexity_figure
from fovea.jobs.models import models


def test_the_picture_has_a_circle_for_each_published_figure(tmp_path):
    cards = models("*net*", year=2018)
    upper, lower = complexity_figure(cards).axes
    for axes, key in ((upper, "top1"), (lower, "top5")):
        shown = [tuple(c.get_offsets()[0]) for c in axes.collections if len(c.get_offsets())]
        published = [card for card in cards if getattr(card, key) is not None]
        expected = [(c.macs / 1e9, c.top1) if key == "top1" else (c.year, 100 - c.top5) for c in published]
        np.testing.assert_allclose(sorted(shown), sorted(expected))
    sizes = {card.name: card.params for card in cards if card.top1 is not None}
    areas = [c.get_sizes()[0] for c in upper.collections if len(c.get_offsets())]
    np.testing.assert_allclose(np.array(areas) / np.array(list(sizes.values())), 3e-6, rtol=1e-9)
    models("*net*", year=2018, plot=tmp_path / "zoo.png")
    assert np.asarray(Image.open(tmp_path / "zoo.png").convert("L")).std() > 5
