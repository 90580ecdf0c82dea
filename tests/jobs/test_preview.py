"""The contact sheet before a training."""

import numpy as np
from PIL import Image

from fovea.display import Display
from fovea.jobs.preview import preview
from fovea.runs.request import prepared

FAST = {"threads": 1, "precision": "float32", "device": "cpu"}


def test_a_preview_shows_a_batch_as_the_network_gets_it(tmp_path):
    path = preview("digits", out=tmp_path / "preview.png", augment=(), **FAST)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (4 * 130, 8 * 130, 3)
    tile = sheet[:128, :128, 0][::4, ::4]
    train_part = prepared("digits", display=Display(quiet=True), **FAST).dataset.parts["train"]
    assert (np.asarray(train_part.decoded[:])[..., 0] == tile).all((1, 2)).any()


def test_a_preview_times_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("fovea.runs.preparation.time_settings", None)
    assert preview("digits", out=tmp_path / "preview.png").is_file()
