"""What a run settles before its first step, and writes down."""

import tomllib

import fovea
from fovea.display import Display

FAST = {"model": "lenet5", "epochs": 1, "threads": 1, "precision": "float32", "device": "cpu"}


def test_the_batch_that_small_data_leaves_is_the_one_written_down(tmp_path):
    result = fovea.train("digits", batch=5000, out=tmp_path / "run", display=Display(quiet=True), **FAST)
    written = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["training"]
    card = fovea.info(result.model).card
    training = card["training"]
    images = training["data"]["images"]["train"]
    assert written["batch"] == training["recipe"]["batch"] == images < 5000
