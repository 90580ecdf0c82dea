"""A small card and training to make pages of, with names as given."""

import pytest
import torch

from fovea.report.training import Story
from fovea.training.diagnosis import Look


@pytest.fixture
def page_card():
    """Return a function that gives the card of a finished training, every text in it `text` where that is given."""

    def card(text=None):
        def said(default):
            return default if text is None else text

        return {
            "architecture": said("lenet5"),
            "arguments": {"classes": 3},
            "loss": "cross-entropy",
            "temperature": 1.5,
            "calibration": {"split": said("val"), "images": 40},
            "preprocess": {"size": [4, 4], "mean": [0.5]},
            "licences": {"data": said("CC BY 4.0")},
            "training": {
                "data": {"name": said("pets"), "images": {"train": 60}, "notes": [said("a note")]},
                "recipe": {"lr": 0.002, said("augment"): [said("flip")]},
                "versions": {"python": said("3.12.1")},
                "epochs": 2,
                "seconds": 12.5,
                "pflop": 0.001,
            },
        }

    return card


@pytest.fixture
def make_story(make_outcome, page_card):
    """Return a function of changes that gives a training of two epochs, looked into three times."""

    def make(**changes):
        looks = [
            Look(10 * n, float(n), n / 2, 0.002, (-1.0 - n, 0.0, 1.0 + n), {"stem": 0.1, "mid": 1.0, "head": 2.0})
            for n in range(3)
        ]
        history = [
            {"epoch": 0, "loss": 1.5, "accuracy": 0.4, "lr": 0.002, "val": {"loss": 1.2, "accuracy": 0.5}},
            {"epoch": 1, "loss": 1.0, "accuracy": 0.6, "lr": 0.001, "val": None},
        ]
        given = {"outcomes": [make_outcome()], "looks": looks, "history": history, "layer": "relu", "parameters": 1234}
        return Story(**{"card": page_card(), **given, "filters": torch.randn(5, 3, 3, 3).numpy(), **changes})

    return make
