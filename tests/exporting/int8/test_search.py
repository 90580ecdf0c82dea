import numpy as np
import pytest
from small_graphs import convolutional

from fovea.exporting.int8.calibration import min_max, observe
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.quantising import Observations, quantised
from fovea.exporting.int8.samples import Samples, outputs
from fovea.exporting.int8.search import fewest, ranked
from fovea.exporting.int8.selection import select
from fovea.preprocess import Preprocess


@pytest.mark.parametrize("needed", [1, 2, 3, 4, 5, 8, 11])
def test_the_shortest_beginning_that_suffices_is_found(needed):
    names = [f"layer{index}" for index in range(11)]
    asked = []

    def suffices(kept):
        asked.append(len(kept))
        return len(kept) >= needed

    assert fewest(names, suffices) == names[:needed]
    assert len(asked) <= 8


def test_nothing_is_found_where_all_do_not_suffice():
    assert fewest(["a", "b", "c"], lambda kept: False) is None


@pytest.fixture
def spoilt():
    """Return a network whose input has a channel of a range so wide that int8 leaves the others no steps."""
    generator = np.random.default_rng(0)
    model = convolutional(generator)
    graph = Graph.of(model)
    weights = graph.constants["first.weight"].copy()
    weights[:, 0] *= 1e-4
    graph.constants["first.weight"] = weights
    model = graph.model(model)
    preprocess = Preprocess(size=(8, 8), channels=3, mean=(0.5,) * 3, std=(2.5e-5, 0.25, 0.25))
    stored = generator.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8)
    samples = Samples(stored, preprocess)
    values = select(graph, stored=["input"]).values - graph.constants.keys() | {"input"}
    return Observations(core=model, seen=observe(model, values, samples), preprocess=preprocess), samples


def test_the_layer_that_int8_spoils_comes_first(spoilt):
    found, samples = spoilt
    before = outputs(found.core, samples)
    names = ["c_node", "logits_node", "a_node"]
    order = ranked(names, lambda kept: quantised(found, min_max, kept=kept), samples, before, seconds=60, progress=None)
    assert order[0] == "a_node"


def test_without_time_the_order_of_the_graph_stands(spoilt):
    found, samples = spoilt
    order = ranked(
        ["b", "a"], lambda kept: found.core, samples, outputs(found.core, samples), seconds=-1, progress=None
    )
    assert order == ["b", "a"]
