import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.exporting.core import float_core

SHAPE = (3, 12, 16)
LAYOUT = {"Transpose", "Gather", "Shape", "Range", "Scatter", "ScatterND"}


@pytest.fixture(scope="module")
def core(loaded):
    return float_core(loaded.model, SHAPE)


def sizes(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_core_computes_the_logits_for_any_number_of_images(core, loaded, count):
    x = torch.randn(count, *SHAPE)
    session = onnxruntime.InferenceSession(core.SerializeToString())
    (logits,) = session.run(["logits"], {"input": x.numpy()})
    np.testing.assert_allclose(logits, loaded.model(x).detach(), rtol=1e-5, atol=1e-5)


def test_the_core_names_its_input_its_output_and_the_batch(core):
    assert [(value.name, sizes(value)) for value in core.graph.input] == [("input", ["N", *SHAPE])]
    assert [(value.name, sizes(value)) for value in core.graph.output] == [("logits", ["N", 3])]
    assert [(entry.domain, entry.version) for entry in core.opset_import] == [("", 20)]


def test_no_layout_is_shuffled_inside_although_the_weights_lie_channels_last(core, loaded):
    assert loaded.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not LAYOUT & {node.op_type for node in core.graph.node}


def test_a_mean_of_maps_that_lie_channels_last_needs_no_gather():
    class Permuting(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.pool, self.dense = nn.LayerNorm(3), nn.AdaptiveAvgPool2d(1), nn.Linear(3, 2)

        def forward(self, x):
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return self.dense(self.pool(x).flatten(1))

    core = float_core(Permuting().eval(), SHAPE)
    assert not (LAYOUT - {"Transpose"}) & {node.op_type for node in core.graph.node}


def test_norms_are_folded_into_convolutions(core):
    assert "BatchNormalization" not in {node.op_type for node in core.graph.node}


def test_nothing_of_this_machine_is_written(core):
    content = core.SerializeToString()
    assert b'File "' not in content
    assert b".py" not in content
    assert not any(node.metadata_props for node in core.graph.node)


def test_the_network_is_left_as_it_was(core, loaded):
    assert loaded.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not loaded.model.training


def test_height_and_width_stay_open_where_asked(loaded):
    core = float_core(loaded.model, SHAPE, dynamic_size=True)
    assert sizes(core.graph.input[0]) == ["N", 3, "H", "W"]
    x = torch.randn(2, 3, 20, 10)
    (logits,) = onnxruntime.InferenceSession(core.SerializeToString()).run(["logits"], {"input": x.numpy()})
    np.testing.assert_allclose(logits, loaded.model(x).detach(), rtol=1e-5, atol=1e-5)


def test_the_main_head_alone_is_exported():
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.auxiliary = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.main(x), self.auxiliary(x)

    core = float_core(TwoHeads().eval(), (4,))
    assert [value.name for value in core.graph.output] == ["logits"]


def test_a_network_whose_way_hangs_on_values_is_refused():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(4, 2)

        def forward(self, x):
            return self.dense(x) if x.sum() > 0 else self.dense(-x)

    with pytest.raises(UsageError, match="cannot be written as an ONNX graph"):
        float_core(Branching().eval(), (4,))


@pytest.mark.parametrize("bins", [1, 2, 5])
def test_a_pyramid_of_pools_is_exported_whatever_divides_the_map(bins):
    pyramid = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveMaxPool2d(bins), nn.Flatten(), nn.LazyLinear(2))
    x = torch.randn(3, *SHAPE)
    expected = pyramid(x).detach()
    (logits,) = onnxruntime.InferenceSession(float_core(pyramid.eval(), SHAPE).SerializeToString()).run(
        ["logits"], {"input": x.numpy()}
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
