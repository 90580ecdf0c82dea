import numpy as np
import pytest
from small_graphs import core

from fovea.errors import UsageError
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.layers import layer_names, name_layers, named

NAMES = ("model.stem.conv", "model.stage1.conv1", "model.stage1.conv2", "model.stage10.conv")


@pytest.fixture
def model():
    nodes = [
        ("Conv", [source, f"{name}.weight"], f"y{index}", {})
        for index, (source, name) in enumerate(zip(("input", "y0", "y1", "y2"), NAMES, strict=True))
    ]
    nodes.append(("Relu", ["y3"], "logits", {}))
    made = core(nodes, {f"{name}.weight": np.ones((1, 1, 1, 1), np.float32) for name in NAMES}, shape=(1, 2, 2))
    graph = Graph.of(made)
    name_layers(graph)
    return graph.model(made)


def test_layers_are_called_by_their_place_in_the_network(model):
    assert layer_names(model) == ["stem.conv", "stage1.conv1", "stage1.conv2", "stage10.conv"]


def test_a_part_means_all_layers_below_it_and_no_others(model):
    assert named(model, ["stage1", "stem.conv"]) == ["stage1.conv1", "stage1.conv2", "stem.conv"]


def test_a_name_of_nothing_is_an_error(model):
    with pytest.raises(UsageError, match="Unknown layer `stage1.conv3`"):
        named(model, ["stage1.conv3"])


def test_layers_of_the_same_weights_have_different_names():
    nodes = [("Conv", ["input", "a.weight"], "y", {}), ("Conv", ["y", "a.weight"], "logits", {})]
    graph = Graph.of(core(nodes, {"a.weight": np.ones((1, 1, 1, 1), np.float32)}, shape=(1, 2, 2)))
    name_layers(graph)
    assert [node.name for node in graph.nodes] == ["a", "a_1"]
