"""The picture of a sweep: the losses, and the suggested rate."""

import numpy as np
from PIL import Image

from fovea.drawing.sweep import sweep_picture
from fovea.training.tuning import Sweep

SWEEP = Sweep([1e-3, 1e-2, 1e-1], [2.0, 1.0, 3.0], 1e-3)


def test_a_sweep_is_drawn(tmp_path):
    picture = np.asarray(Image.open(sweep_picture(SWEEP, tmp_path / "sweep.png")).convert("RGB"))
    assert picture.shape == (600, 1050, 3)
    assert (picture == (194, 65, 12)).all(2).any(), "the suggested rate is an orange line"
