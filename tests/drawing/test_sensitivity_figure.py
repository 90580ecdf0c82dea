"""The picture of what a network loses without channels or blocks."""

import numpy as np
import pytest
from PIL import Image

from fovea.compression.pruning.sensitivity import Curve, Sensitivity
from fovea.drawing.sensitivity import sensitivity_figure, sensitivity_picture

CURVES = tuple(
    Curve(
        name=f"stage{place}.conv1",
        channels=16,
        points=((16, 0.4), (12, 0.5 * place), (8, 0.9 * place), (4, 2.0 * place)),
    )
    for place in range(1, 8)
)
FOUND = Sensitivity(base=0.4, curves=CURVES, blocks=(("stage1.block1", 0.8), ("stage1.block2", 0.5)), samples=64)


def test_every_group_is_a_line_and_every_block_a_bar():
    lines, bars = sensitivity_figure(FOUND).axes
    # and the loss of the whole network, dashed
    assert len(lines.lines) == len(CURVES) + 1
    assert list(lines.lines[0].get_xdata()) == [0, 25, 50, 75]
    assert [bar.get_width() for bar in bars.patches] == [0.8, 0.5]


def test_the_most_sensitive_groups_are_named():
    named = {text.get_text() for text in sensitivity_figure(FOUND).axes[0].texts}
    assert {f"stage{place}.conv1" for place in (4, 5, 6, 7)} <= named
    assert "stage1.conv1" not in named


@pytest.mark.parametrize("blocks", [(), FOUND.blocks])
def test_it_is_drawn_with_blocks_or_without(tmp_path, blocks):
    found = Sensitivity(base=0.4, curves=CURVES, blocks=blocks)
    picture = np.asarray(Image.open(sensitivity_picture(found, tmp_path / "found.png")).convert("RGB"))
    assert ((picture[..., 0] > 200) & (picture[..., 2] < 80)).any(), "the network as it is, is an orange line"
