import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.zoo.pattern import Pattern, read


@pytest.mark.parametrize(
    ("text", "stages", "hidden"),
    [
        # Lecture 000, "Putting it all together"
        ("CRCRP", ("CRCRP",), ()),
        ("CRCRCRP", ("CRCRCRP",), ()),
        ("CRCRPCRCRPCRPF", ("CRCRP", "CRCRP", "CRP"), ()),
        # LeNet-5 pools before its activation
        ("CPR CPR FRFRF", ("CPR", "CPR"), ("FR", "FR")),
        (" C ", ("C",), ()),
        ("CPPC FF", ("CPP", "C"), ("F",)),
    ],
)
def test_letters_become_stages_and_dense_layers(text, stages, hidden):
    assert read(text) == Pattern(stages=stages, hidden=hidden)


@pytest.mark.parametrize("text", ["", "F", "RC", "PC", "CXC", "crp", "CFC", "CFP", "C" * 1001])
def test_other_letters_and_orders_are_no_pattern(text):
    assert read(text) is None
    with pytest.raises(
        UsageError, match=r"Network `pattern`: `pattern` \(=.*\) must be letters C \(conv.*CRCRP CRCRP F"
    ):
        registry.build("pattern", pattern=text)


def test_is_the_network_written_out():
    torch.manual_seed(0)
    model = registry.build("pattern", pattern="CRCP CR FRF", widths=[4, 6, 8], c_in=2, size=9, classes=3)
    w, x = dict(model.named_parameters()), torch.randn(2, 2, 9, 9)
    maps = F.conv2d(x, w["stage1.conv1.weight"], w["stage1.conv1.bias"], padding=1).relu()
    maps = F.max_pool2d(F.conv2d(maps, w["stage1.conv2.weight"], w["stage1.conv2.bias"], padding=1), 2)
    maps = F.conv2d(maps, w["stage2.conv1.weight"], w["stage2.conv1.bias"], padding=1).relu()
    hidden = F.linear(maps.flatten(1), w["head.dense1.weight"], w["head.dense1.bias"]).relu()
    assert maps.shape == (2, 6, 4, 4)
    torch.testing.assert_close(model(x), F.linear(hidden, w["head.logits.weight"], w["head.logits.bias"]))


def test_widths_double_up_to_512_where_none_are_given():
    with torch.device("meta"):
        model = registry.build("pattern", pattern="CP CP CP C C C F F", size=32)
    convs = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert convs == [32, 64, 128, 256, 256, 256]
    assert model.head.dense1.out_features == 128


@pytest.mark.parametrize("widths", [[32], [32, 64, 0], [32, 64, "x"], [1, 2, 3, 4]])
def test_a_width_for_each_stage_and_hidden_layer(widths):
    with pytest.raises(UsageError, match=r"must be 3 integers of at least 1: one for each of CRP, CRP, FR\."):
        registry.build("pattern", pattern="CRP CRP FRF", widths=widths)


def test_an_input_too_small_names_the_pooling():
    with pytest.raises(ShapeError, match=r"Layer `stage3.pool1` \(2x2\) .*`size` \(=7\) must be at least 8\."):
        registry.build("pattern", pattern="CP CP CP", size=7)


def test_vgg_block3_is_a_pattern():
    with torch.device("meta"):
        model = registry.build("pattern", pattern="CRCRP CRCRP CRCRP FRF", widths=[32, 64, 128, 128])
    assert sum(p.numel() for p in model.parameters()) == registry.entry("vgg_block3").params
