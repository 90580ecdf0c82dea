"""What a page gets to show: pictures and curves of what a training publishes, as JSON."""

import json

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.runs import live  # noqa: E402
from fovea.runs.folder import Run  # noqa: E402
from fovea.runs.live import Looked, View, read_watched  # noqa: E402
from fovea.studio.train.previewing import plan_lines  # noqa: E402
from fovea.studio.train.shown import drawn, history_values, view_values  # noqa: E402
from fovea.studio.train.watchers import Watchers  # noqa: E402

STORY = {"losses": [[1, 2.0], [2, 1.5]], "layers": [], "mistakes": [{"truth": "a", "answer": "b", "probability": 0.9}]}


def test_a_view_becomes_pictures_of_the_layer_and_a_curve():
    arrays = {
        "maps.conv": np.arange(48, dtype=np.float32).reshape(3, 4, 4),
        "maps.other": np.zeros((3, 4, 4), np.float32),
        "weight.conv": np.ones((3, 2, 3, 3), np.float32),
        "filters": np.ones((3, 1, 3, 3), np.float32),
        "sample": np.zeros((8, 8, 1), np.uint8),
        "mistake.0": np.zeros((8, 8, 3), np.uint8),
    }
    found = view_values(View(story=STORY, arrays=arrays), "conv")
    assert set(found["pictures"]) == {"maps", "weight", "filters", "sample"}
    assert found["mistakes"][0]["picture"]["url"].startswith("data:image/png;base64,")
    assert found["losses"]["lines"][0]["path"].startswith("M") and json.dumps(found)


@pytest.mark.parametrize("shape", [(1,), (10,), (4, 30), (2, 5, 5), (300, 1, 3, 3), (8, 2, 3, 3, 3)])
def test_arrays_of_any_shape_are_drawn(shape):
    values = np.full(shape, np.nan, np.float32)
    for kernels in (False, True):
        assert drawn(values, kernels=kernels)["width"] >= 1


def test_history_becomes_curves_of_loss_score_and_rate(tmp_path):
    run = Run(tmp_path)
    assert history_values(run) == []
    for epoch in range(2):
        val = {"loss": 1.0, "accuracy": 0.5}
        run.append_metrics({"epoch": epoch, "loss": 2.0, "accuracy": 0.4, "lr": 0.1, "images": 8, "val": val})
    assert [chart["title"] for chart in history_values(run)] == ["Loss", "Accuracy", "Learning rate"]


def test_pages_at_several_layers_are_served_together(tmp_path, monkeypatch):
    run, watchers = Run(tmp_path), Watchers()
    watchers.look(run, "one", Looked(layers=("a",)))
    watchers.look(run, "two", Looked(layers=("b",), sample=3))
    found = read_watched(run)
    assert set(found.layers) == {"a", "b"} and found.sample == 3
    monkeypatch.setattr("fovea.studio.train.watchers.FRESH_S", 0.0)
    watchers.look(run, "two", Looked(layers=("b",)))
    assert read_watched(run).layers == ("b",) and live.FRESH_S > 0


def test_a_plan_is_told_in_lines():
    recipe = {"budget_s": 0.0, "epochs": 3, "batch": 8, "optimiser": "sgd", "lr": 0.1, "schedule": "constant"}
    recipe |= {"momentum": 0.9, "weight_decay": 0.0, "augment": []}
    plan = {"model": "mlp", "parameters": 1000, "size": 8, "fit": "crop", "images": {"train": 100}}
    lines = plan_lines({**plan, "recipe": recipe, "classes": [str(n) for n in range(20)], "reasons": ["small"]})
    assert lines[0] == "network: mlp, 1,000 parameters, input 8 (crop)" and lines[-1] == "small"
    assert "3 epochs" in lines[2] and lines[4].endswith("and 8 more")
