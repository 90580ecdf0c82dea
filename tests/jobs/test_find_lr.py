"""The sweep of learning rates before a training."""

import math

from PIL import Image

from fovea.jobs.find_lr import find_lr

FAST = {"threads": 1, "precision": "float32", "device": "cpu"}


def test_find_lr_rises_and_draws(tmp_path):
    sweep = find_lr("digits", out=tmp_path / "lr.png", batch=256, **FAST)
    assert sweep.rates == sorted(sweep.rates) and 1e-6 < sweep.suggested < 1
    assert min(sweep.losses) < math.log(10)
    with Image.open(tmp_path / "lr.png") as picture:
        assert picture.size == (1050, 600)
