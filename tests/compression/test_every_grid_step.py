"""Every step that moves weights to grids, signs or factors, on residual, dense, grouped and shuffled networks."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.compression.binarise import binarise
from fovea.compression.changes import changed
from fovea.compression.factors import lowrank, separable
from fovea.compression.inq import inq
from fovea.compression.predefined import predefined
from fovea.compression.quantise import quantise
from fovea.exporting.core import float_core
from fovea.exporting.session import Session
from fovea.layers import channel_shuffle
from tests.support.refitting import small_work
from tests.support.small_networks import Dense, Grouped, Residual

SHAPE = (3, 12, 12)


class Shuffled(Grouped):
    """With a mean that works for any number of images."""

    def forward(self, x):
        return self.dense(F.adaptive_avg_pool2d(channel_shuffle(self.body(20 * x), 3), 1).flatten(1))


STEPS = {
    "quantise": partial(quantise, epochs=1),
    "inq": partial(inq, bits=5, epochs=3),
    "binarise": partial(binarise, epochs=1),
    "xnor": partial(binarise, epochs=1, inputs=True),
    "lowrank": partial(lowrank, share=0.6, epochs=1),
    "separable": partial(separable, epochs=1),
    "predefined": partial(predefined, support=4, epochs=1),
}
NETWORKS = {"residual": Residual, "dense": Dense, "shuffled": Shuffled}
NOT_FOR = {("separable", "shuffled"), ("xnor", "shuffled"), ("lowrank", "shuffled")}
"""All inner convolutions of the shuffled network have groups."""


def network(name):
    torch.manual_seed(0)
    model = NETWORKS[name]()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(16, *SHAPE))
    return model.eval()


CASES = [(step, name) for step in STEPS for name in NETWORKS if (step, name) not in NOT_FOR]


@pytest.mark.parametrize(("step", "name"), CASES)
def test_changes_and_tensors_rebuild_the_network(step, name):
    done = STEPS[step](network(name), small_work(SHAPE))
    built = changed(network(name), done.changes)
    built.load_state_dict(done.model.state_dict())
    x = torch.randn(4, *SHAPE)
    with torch.no_grad():
        assert torch.equal(built.eval()(x), done.model(x))
    assert not any("parametrizations" in key for key in done.model.state_dict())
    with torch.device("meta"):
        empty = NETWORKS[name]()
    shapes = {key: tensor.shape for key, tensor in changed(empty, done.changes).state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in done.model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_leaves_is_exported(step):
    done = STEPS[step](network("residual"), small_work(SHAPE))
    x = torch.randn(20, *SHAPE)
    with torch.no_grad():
        expected = done.model(x).numpy()
    found = Session(float_core(done.model, SHAPE).SerializeToString()).run("input", x.numpy())["logits"]
    assert np.abs(found - expected).max() <= (0 if step == "quantise" else 1e-4 * expected.std())
