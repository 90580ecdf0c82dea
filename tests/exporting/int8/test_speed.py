import numpy as np
from small_graphs import convolutional

from fovea.exporting.int8.samples import Samples
from fovea.exporting.int8.speed import FEWEST, MOST, WARM, compared, interleaved
from fovea.preprocess import Preprocess


def test_functions_are_called_in_turn():
    calls = []
    times = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")})
    assert calls == ["a", "b"] * (WARM + MOST)
    assert len(times["a"]) == len(times["b"]) == MOST


def test_slow_functions_are_called_no_more_than_needed(monkeypatch):
    monkeypatch.setattr("fovea.exporting.int8.speed.ENOUGH_S", 0)
    calls = []
    interleaved({"a": lambda: calls.append(0)})
    assert len(calls) == WARM + FEWEST


def test_a_model_beside_itself_is_about_as_fast():
    preprocess = Preprocess(size=(8, 8), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    samples = Samples(np.zeros((1, 8, 8, 3), np.uint8), preprocess)
    model = convolutional(np.random.default_rng(0))
    found = compared(model, model, samples)
    low, high = found.quartiles
    assert low <= found.ratio <= high
    assert found.to_dict()["threads"] == 1
