import numpy as np
import onnx
import pytest
from small_graphs import convolutional

from fovea.exporting.int8.calibration import min_max, observe
from fovea.exporting.int8.front import image_front, number_front
from fovea.exporting.int8.graph import Graph, attributes
from fovea.exporting.int8.quantising import Observations, quantised
from fovea.exporting.int8.samples import Samples, outputs
from fovea.exporting.int8.selection import select
from fovea.exporting.int8.session import session
from fovea.preprocess import Preprocess

AGREEING = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.25, 0.3)}
DIFFERENT = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def prepared(size=8, channels=3, **norm):
    return Preprocess(size=(size, size), channels=channels, **norm)


def images(preprocess, count=24):
    return np.random.default_rng(1).integers(0, 256, (count, *preprocess.stored_shape), dtype=np.uint8)


def observed(model, preprocess):
    samples = Samples(images(preprocess), preprocess)
    graph = Graph.of(model)
    values = select(graph, stored=["input"]).values - graph.constants.keys() | {"input"}
    return Observations(core=model, seen=observe(model, values, samples), preprocess=preprocess), samples


@pytest.mark.parametrize(
    ("stride", "pad", "kernel"), [(1, 1, 3), (2, 1, 3), (2, 3, 7), (2, 0, 3), (4, 2, 5), (4, 0, 4)]
)
@pytest.mark.parametrize("norm", [AGREEING, DIFFERENT])
def test_levels_of_images_mean_what_normalised_numbers_do(stride, pad, kernel, norm):
    preprocess = prepared(16, **norm)
    model = convolutional(np.random.default_rng(0), size=16, stride=stride, pad=pad, kernel=kernel)
    graph = Graph.of(model)
    front = image_front(graph, preprocess, name="images")
    stored = images(preprocess)
    # the graph in float numbers, its input meaning `level - zero point`
    meant = front.steps["images"].meant(stored)
    found = session(graph.model(model)).run(None, {"images": meant})[0]
    expected = session(model).run(None, {"input": preprocess.normalise(stored)})[0]
    half_levels = norm is AGREEING and pad > 0  # in the padding, where the common zero is no whole level
    assert found == pytest.approx(expected, abs=0.015 * float(expected.std()) if half_levels else 2e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("norm", [AGREEING, DIFFERENT])
def test_stored_images_give_what_normalised_ones_give_within_a_step(stride, norm):
    preprocess = prepared(16, **norm)
    model = convolutional(np.random.default_rng(0), size=16, stride=stride)
    found, samples = observed(model, preprocess)
    stored, numbers = (quantised(found, min_max, images=name) for name in ("images", ""))
    exact = outputs(model, samples)
    assert stored.graph.input[0].name == "images"
    assert numbers.graph.input[0].name == "input"
    for each in (stored, numbers):
        onnx.checker.check_model(each)
        assert np.abs(outputs(each, samples) - exact).max() < 0.1 * exact.std()


def test_an_image_is_the_stored_value_itself(tmp_path):
    preprocess = prepared(16, **AGREEING)
    found, _ = observed(convolutional(np.random.default_rng(0), size=16), preprocess)
    session(quantised(found, min_max, images="images"), save=tmp_path / "optimised.onnx")
    made = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert not {"QuantizeLinear", "DequantizeLinear", "Cast", "Sub", "Mul"} & set(made)


def test_channels_of_different_means_share_a_zero_after_one_addition():
    preprocess = prepared(8, **DIFFERENT)
    graph = Graph.of(convolutional(np.random.default_rng(0)))
    front = image_front(graph, preprocess, name="images")
    assert front.steps["images"] == (1.0, 114)
    assert [node.op_type for node in graph.nodes][:4] == ["Reshape", "Add", "Reshape", "Transpose"]
    shifted = next(steps for name, steps in front.steps.items() if name.endswith("_shifted"))
    least, largest = (255 * (end - mean) for end, mean in ((0, 0.485), (1, 0.406)))
    assert shifted.least == pytest.approx(least, abs=shifted.scale / 2)
    assert shifted.largest == pytest.approx(largest, abs=shifted.scale / 2)


def test_different_means_need_no_addition_without_padding():
    graph = Graph.of(convolutional(np.random.default_rng(0), pad=0))
    image_front(graph, prepared(8, **DIFFERENT), name="images")
    assert "Add" not in [node.op_type for node in graph.nodes]


def test_blocks_of_pixels_become_channels():
    graph = Graph.of(convolutional(np.random.default_rng(0), size=16, stride=2, pad=3, kernel=7))
    image_front(graph, prepared(16, **AGREEING), name="images")
    conv = next(node for node in graph.nodes if node.op_type == "Conv")
    assert graph.constants[conv.input[1]].shape == (6, 12, 4, 4)
    assert attributes(conv)["strides"] == [1, 1]


@pytest.mark.parametrize(("stride", "pad", "kernel"), [(2, 1, 3), (2, 3, 7), (4, 2, 5)])
def test_blocks_change_no_number_of_a_float_input(stride, pad, kernel):
    model = convolutional(np.random.default_rng(0), size=16, stride=stride, pad=pad, kernel=kernel)
    graph = Graph.of(model)
    number_front(graph, (3, 16, 16))
    assert "Slice" in [node.op_type for node in graph.nodes]
    x = np.random.default_rng(2).standard_normal((4, 3, 16, 16)).astype(np.float32)
    changed = session(graph.model(model)).run(None, {"input": x})[0]
    assert changed == pytest.approx(session(model).run(None, {"input": x})[0], abs=1e-5)


def test_sides_that_blocks_do_not_divide_stay_whole():
    model = convolutional(np.random.default_rng(0), size=15, stride=2)
    graph = Graph.of(model)
    image_front(graph, prepared(15, **AGREEING), name="images")
    assert "Slice" not in [node.op_type for node in graph.nodes]


def test_a_first_layer_in_float_gets_normalised_numbers():
    found, _ = observed(convolutional(np.random.default_rng(0)), prepared(8, **AGREEING))
    model = quantised(found, min_max, images="images", kept=["a_node"])
    assert model.graph.input[0].name == "input"


def test_the_means_of_the_first_layer_are_those_of_its_input():
    preprocess = prepared(8, **DIFFERENT)
    stored = images(preprocess)
    for norm_size in (1, 2):
        graph = Graph.of(convolutional(np.random.default_rng(0), stride=norm_size))
        means = preprocess.normalise(stored).mean(axis=(0, 2, 3))
        front = image_front(graph, preprocess, name="images", means=means)
        (found,) = front.means.values()
        levels = stored.mean(axis=(0, 1, 2)) - 255 * np.array(DIFFERENT["mean"])
        assert found == pytest.approx(np.tile(levels, norm_size**2), abs=1e-3)
