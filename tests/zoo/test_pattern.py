import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.measurement.network import measure_network
from fovea.zoo.letters import Pattern, read, resembles, words


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


@pytest.mark.parametrize("text", ["", "F", "RC", "PC", "CXC", "crp", "CFC", "CFP", "C" * 2501])
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


# Table 1, 18 layers
RESNET18 = "C64k7s2BRPk3s2p1 (CBRCB)R(CBRCB)R (Cs2BRCB)R(CBRCB)R (Cs2BRCB)R(CBRCB)R (Cs2BRCB)R(CBRCB)R GF"
MOBILENET_V1 = "C32s2BR " + " ".join(
    f"W{'s2' if s == 2 else ''}BR C{c}k1BR"  # Table 1
    for c, s in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
)
VGG11 = "C64RP C128RP C256RC256RP C512RC512RP C512RC512RP F4096RD F4096RD F"  # Table 1, A


@pytest.mark.parametrize(
    ("name", "letters"), [("resnet18", RESNET18), ("mobilenet_v1", f"{MOBILENET_V1} GF"), ("vgg11", VGG11)]
)
def test_networks_of_the_zoo_in_letters_cost_the_same(name, letters):
    with torch.device("meta"):
        model = registry.build("pattern", pattern=letters, classes=1000, size=224)
    measured = measure_network(model, (3, 224, 224)).total
    card = registry.entry(name)
    assert (measured.parameters, measured.macs) == (card.params, card.macs)


def test_numbers_set_channels_kernel_stride_and_padding():
    model = registry.build("pattern", pattern="C7k5s2p0 Ak3s1p1 W F9", c_in=2, size=11, classes=3)
    conv, depthwise = model.stage1.conv1, model.stage2.depthwise1
    assert conv.weight.shape == (7, 2, 5, 5) and depthwise.weight.shape == (7, 1, 3, 3)
    assert (conv.stride, conv.padding, depthwise.padding) == ((2, 2), (0, 0), (1, 1))
    assert model.head.dense1.weight.shape == (9, 7 * 4 * 4)
    assert model(torch.zeros(1, 2, 11, 11)).shape == (1, 3)


def test_groups_divide_the_channels():
    conv = registry.build("pattern", pattern="C8 C6k1g2 GF", widths=[8]).stage1.conv2
    assert conv.weight.shape == (6, 4, 1, 1)
    with pytest.raises(UsageError, match=r"`C6g4`: the groups \(=4\) must divide 8 and 6 channels"):
        registry.build("pattern", pattern="C8 C6g4 GF", widths=[8])


def test_a_path_adds_its_input_or_a_projection_of_it():
    torch.manual_seed(0)
    model = registry.build("pattern", pattern="C4 (CBRC4B)R (C6s2) GF", widths=[4, 6], size=9).eval()
    same, other = model.stage1.block1, model.stage2.block1
    x = torch.randn(2, 4, 9, 9)
    assert isinstance(same.shortcut, nn.Identity)
    torch.testing.assert_close(same(x), same.residual(x) + x)
    assert other(x).shape == (2, 6, 5, 5)
    torch.testing.assert_close(other(x), other.residual(x) + other.shortcut(x))


def test_convolutions_have_a_bias_but_before_batch_norm():
    model = registry.build("pattern", pattern="CBRC")
    assert model.stage1.conv1.bias is None and model.stage1.conv2.bias is not None


def test_dropout_takes_a_half_or_the_percent_written():
    model = registry.build("pattern", pattern="CRD20P GD F8RD F")
    rates = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.2, 0.5, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        "C0",
        "Ck0",
        "Cs0",
        "R5",
        "B3",
        "C(",
        "C(C",
        "C)C(",
        "C()",
        "C(P)",
        "C((C)C)",
        "CGP",
        "CFG",
        "CF8RR",
        "C5.5",
        "Cg0",
        "Wg2",
        "Pg2",
    ],
)
def test_numbers_and_paths_that_make_no_sense_are_no_pattern(text):
    assert read(text) is None


def test_a_path_that_changes_the_size_is_told():
    with pytest.raises(ShapeError, match=r"`stage1.block1` adds maps of 30x30 to maps of 32x32: inside \( \)"):
        registry.build("pattern", pattern="C(Ck3p0)F")


@pytest.mark.parametrize(
    ("text", "meant"), [("CRCRP F", True), ("C8k5(CB)", True), ("CRX F", True), ("vgg16", False), ("VGG16", False)]
)
def test_letters_are_told_from_names(text, meant):
    assert resembles(text) == meant


def test_words_are_written_as_they_are_read():
    text = "C64k7s2p0BR6Pk3s2p1(WBC64k1B)RAD20GF100RDF"
    assert "".join(word.text for word in words(text)) == text
