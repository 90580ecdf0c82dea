"""The picture of a chain of steps."""

from types import SimpleNamespace

from fovea.drawing.chain import _labels


def test_steps_at_the_same_point_share_a_label():
    rows = [SimpleNamespace(step=name) for name in ("as given", "fold", "share=4bit", "prune=2x")]
    labels = _labels(rows, [250.0, 252.0, 34.5, 34.5], [99.0, 99.0, 99.0, 97.0])
    assert labels == [("as given, fold", 250.0, 99.0), ("share=4bit", 34.5, 99.0), ("prune=2x", 34.5, 97.0)]


def test_one_step_has_one_label():
    assert _labels([SimpleNamespace(step="as given")], [250.0], [99.0]) == [("as given", 250.0, 99.0)]
