import numpy as np
import pytest
from onnx_files import graphs, write_onnx
from PIL import Image

from fovea import runtime

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def net(tmp_path):
    return runtime.load(write_onnx(tmp_path / "net.onnx"))


def test_the_class_of_the_brightest_channel_is_said(net, tmp_path):
    Image.new("RGB", (8, 8), RED).save(tmp_path / "a.png")
    answers = net.predict([tmp_path / "a.png", np.full((5, 6, 3), BLUE, np.uint8), Image.new("RGB", (9, 4), RED)])
    assert [answer.label for answer in answers] == ["red", "blue", "red"]
    expected = np.exp(6) / (np.exp(6) + 2)
    assert answers[0].probability == pytest.approx(expected, abs=1e-6)
    assert net.predict((tmp_path / "a.png").read_bytes())[0] == answers[0]


@pytest.mark.parametrize("name", graphs())
def test_networks_of_all_kinds_of_operators_run(name, tmp_path):
    """What the walk says of shapes is what onnxruntime finds: it would refuse outputs of others."""
    net = runtime.load(write_onnx(tmp_path / "net.onnx", **graphs()[name]))
    samples = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    assert net.scores(samples).shape == (5, 3) and net.logits(samples, batch=2).shape == (5, 3)
