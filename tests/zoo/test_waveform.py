import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.waveform import TABLE_1


@pytest.mark.parametrize(
    ("name", "millions"),
    # Dai et al. 2016, Table 1
    [("m3", 0.2), ("m5", 0.5), ("m11", 1.8), ("m18", 3.7)],
)
def test_layers_and_parameters_are_those_of_the_table(name, millions):
    with torch.device("meta"):
        model = registry.build(f"waveform_{name}")
    layers = sum(isinstance(module, nn.Conv1d | nn.Linear) for module in model.modules())
    assert layers == sum(stage.n for stage in TABLE_1[name.upper()]) + 1 == int(name[1:])
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    assert weights / 1e6 == pytest.approx(millions, abs=0.06)


def test_maps_are_a_quarter_as_long_behind_the_first_convolution_and_each_pooling():
    with torch.device("meta"):
        model = registry.build("waveform_m11")
        x, lengths = torch.empty(1, 1, 32000), []
        for name, stage in model.named_children():
            for layer, module in stage.named_children() if name != "head" else ():
                x = module(x)
                if layer == "pool" or (name, layer) == ("stage1", "conv1"):
                    lengths.append(x.shape[-1])
    assert lengths == [8000, 2000, 500, 125, 31]


def test_a_series_that_is_too_short_is_told_how_long_it_must_be():
    with pytest.raises(ShapeError, match=r"Layer `stage4\.pool` \(4\) .* `size` \(=1000\) must be at least 1024\."):
        registry.build("waveform_m5", size=1000)


def test_any_length_passes_through_the_same_network():
    model = registry.build("waveform_m3").eval()
    assert [model(torch.zeros(1, 1, length)).shape for length in (800, 4001)] == [(1, 10)] * 2
