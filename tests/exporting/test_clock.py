import numpy as np
import pytest
from torch import nn

from fovea.compression.pruning.clock import Form
from fovea.exporting.clock import OnnxClock, _graph
from fovea.exporting.session import Session

SERIES = Form(2, 2, 2, (3,), (1,), (0,), (1,), (7,))
UP = Form(2, 4, 2, (3, 3), (2, 2), (1, 1), (1, 1), (6, 6), transposed=True)
CONV = Form(2, 4, 2, (3, 3), (2, 2), (1, 1), (1, 1), (6, 6))


@pytest.mark.parametrize(
    ("form", "shape"), [(CONV, (4, 3, 3)), (UP, (4, 11, 11)), (Form(5, 3), (3,)), (SERIES, (2, 5))]
)
def test_the_graph_of_a_layer_has_its_shapes(form, shape):
    session = Session(_graph(form, 2))
    (found,) = session.run("input", np.zeros((3, *form.input_shape), np.float32)).values()
    assert found.shape == (3, *shape)


def test_layers_side_by_side_are_all_computed():
    one, two = (Session(_graph(CONV, copies)).run("input", np.ones((1, 2, 6, 6), np.float32)) for copies in (1, 2))
    (one,), (two,) = one.values(), two.values()
    # the second has weights and bias larger by one, and so sees 9 places of one channel more
    assert np.allclose((two - one)[..., 1, 1], one[..., 1, 1] + 9 + 1)


def test_a_layer_and_a_network_take_time():
    clock = OnnxClock(batch=1, seconds=0.01)
    assert clock.layer(CONV) > 0
    assert clock.network(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)), (2, 6, 6)) > 0
