"""The lines of docs/ship.md do what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fovea

PAGE = (Path(fovea.__file__).parents[1] / "docs" / "ship.md").read_text()


@pytest.mark.parametrize("crop", [1.0, 0.875])
def test_ten_lines_of_plain_onnxruntime_answer_as_predict_does(make_bundle, make_card, tmp_path, crop):
    preprocess = {**make_card()["preprocess"], "fit": "crop", **({"crop": crop} if crop < 1 else {})}
    path = make_bundle(preprocess=preprocess)
    pixels = np.random.default_rng(0).integers(0, 256, (37, 52, 3), np.uint8)
    Image.fromarray(pixels).resize((520, 370)).save(tmp_path / "photograph.png")
    fovea.export(path)
    (code,) = re.findall(r"### Ten lines.*?```python\n(.*?)```", PAGE, re.S)
    assert len(code.splitlines()) <= 14
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (expected,) = fovea.load(path).predict(tmp_path / "photograph.png")
    assert done.stdout.splitlines() == [f"{score.label} {score.probability:.4f}" for score in expected.scores]
