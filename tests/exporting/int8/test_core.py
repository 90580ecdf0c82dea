import numpy as np
import pytest
from small_graphs import convolutional

from fovea.display import Display
from fovea.errors import DropError, UsageError
from fovea.exporting.int8.core import Material, int8_core
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.samples import Samples, outputs
from fovea.exporting.int8.settings import Int8Settings
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes

TARGET = Classes(names=("a", "b", "c", "d"))
QUIET = Display(quiet=True)


def network(*, faint=1.0):
    """Return a float core; the first channel of its input counts `faint` times as much."""
    model = convolutional(np.random.default_rng(0))
    return changed(model, "first.weight", lambda weights: weights * np.array([faint, 1, 1]).reshape(1, 3, 1, 1))


def changed(model, name, change):
    graph = Graph.of(model)
    graph.constants[name] = change(graph.constants[name]).astype(np.float32)
    return graph.model(model)


def judged(model, *, std=(0.25, 0.25, 0.25), images="images"):
    """Return the model, its answers evenly spread, and samples whose true classes are these answers."""
    preprocess = Preprocess(size=(8, 8), channels=3, mean=(0.5, 0.4, 0.45), std=std)
    coarse = np.random.default_rng(1).integers(0, 256, (160, 2, 2, 3), dtype=np.uint8)
    samples = Samples(coarse.repeat(4, axis=1).repeat(4, axis=2), preprocess)
    usual = outputs(model, samples).mean(axis=0)
    model = changed(model, "head.bias", lambda bias: bias - usual)
    labels = outputs(model, samples).argmax(1)
    return model, Material(
        target=TARGET,
        calibration=Samples(samples.stored[:60], preprocess),
        validation=Samples(samples.stored[60:], preprocess, labels[60:], "images of x, split val"),
        images=images,
    )


@pytest.fixture(scope="module")
def good():
    return judged(network())


@pytest.fixture(scope="module")
def spoilt():
    """Return a network whose first layer reads a channel of so wide a range that int8 leaves the others no steps."""
    return judged(network(faint=1e-4), std=(2.5e-5, 0.25, 0.25), images="")


def test_a_network_keeps_its_answers_and_no_layer_in_float(good):
    found = int8_core(*good, Int8Settings(max_drop=3), QUIET)
    assert found.cost.before == 1
    assert found.cost.drop <= 3
    assert (found.kept, found.layers) == ((), 3)
    assert found.ranges in ("minmax", "percentile", "mse")
    assert found.model.graph.input[0].name == "images"
    assert found.facts()["kept_float"] == []


def test_ranges_are_chosen_as_asked(good):
    assert int8_core(*good, Int8Settings(max_drop=100, ranges="percentile"), QUIET).ranges == "percentile"


def test_a_drop_above_the_allowed_one_is_an_error_that_says_what_to_do(spoilt):
    with pytest.raises(
        DropError, match=r"int8 loses .* points of accuracy on 100 images of x, split val .*`--max-drop`"
    ):
        int8_core(*spoilt, Int8Settings(max_drop=6, keep=("none",)), QUIET)


def test_the_layer_that_int8_spoils_is_found_and_stays_float(spoilt):
    found = int8_core(*spoilt, Int8Settings(max_drop=6), QUIET)
    assert found.kept == ("first",)
    assert found.cost.drop <= 6
    assert found.facts()["kept_float"] == ["first"]


def test_layers_stay_float_by_name(spoilt):
    found = int8_core(*spoilt, Int8Settings(max_drop=100, keep=("first", "head")), QUIET)
    assert found.kept == ("first", "head")
    assert "first.weight" in [tensor.name for tensor in found.model.graph.initializer]


def test_a_name_that_means_no_layer_is_an_error_with_its_neighbours(good):
    with pytest.raises(UsageError, match="Unknown layer `frist`; did you mean `first`"):
        int8_core(*good, Int8Settings(keep=("frist",)), QUIET)


def test_making_it_twice_gives_the_same_core(good):
    first, second = (int8_core(*good, Int8Settings(max_drop=100), QUIET).model for _ in range(2))
    assert first == second
