import math

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.alexnet import local_response_norm


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def sizes(model, size):
    """Return the height of each map that a convolution or a pooling makes."""
    x, heights = torch.empty(1, 3, size, size, device="meta"), []
    for name, stage in model.named_children():
        for layer in stage if name != "head" else ():
            x = layer(x)
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                heights.append(x.shape[2])
    return heights


def test_local_response_normalisation_written_out():
    # Krizhevsky et al. 2012, section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75
    torch.manual_seed(0)
    x = 100 * torch.randn(2, 7, 3, 3, dtype=torch.float64)
    expected = torch.empty_like(x)
    for i in range(7):
        around = x[:, max(0, i - 2) : i + 3].square().sum(1)
        expected[:, i] = x[:, i] / (2 + 1e-4 * around) ** 0.75
    torch.testing.assert_close(local_response_norm()(x), expected)


@pytest.mark.parametrize(
    ("name", "size", "maps"),
    [
        ("alexnet", 227, [55, 27, 27, 13, 13, 13, 13, 6]),  # lecture 000
        ("alexnet_owt", 224, [55, 27, 27, 13, 13, 13, 13, 6]),
        ("zfnet", 224, [110, 55, 26, 13, 13, 13, 13, 6]),  # Zeiler and Fergus 2013, Figure 3
        ("zfnet_slide", 227, [111, 55, 55, 27, 27, 27, 27, 13]),
    ],
)
def test_the_maps_have_the_printed_sizes(name, size, maps):
    assert sizes(on_meta(name), size) == maps


def test_the_input_printed_in_the_paper_gives_54_pixels():
    assert sizes(on_meta("alexnet", size=224), 224)[0] == 54


def kinds(stage):
    return [name for name, _ in stage.named_children()]


def test_normalisation_comes_before_pooling_in_2012_and_after_it_in_2013():
    alexnet, zfnet = on_meta("alexnet"), on_meta("zfnet")
    assert kinds(alexnet.stage1) == kinds(alexnet.stage2) == ["conv", "relu", "norm", "pool"]
    assert kinds(zfnet.stage1) == kinds(zfnet.stage2) == ["conv", "relu", "pool", "norm"]
    assert kinds(alexnet.stage3) == kinds(alexnet.stage4) == ["conv", "relu"]
    assert kinds(alexnet.stage5) == ["conv", "relu", "pool"]


def test_layers_2_4_and_5_see_only_the_maps_on_their_own_gpu():
    model = on_meta("alexnet")
    assert [getattr(model, f"stage{i}").conv.groups for i in range(1, 6)] == [1, 2, 1, 2, 2]
    conv = registry.build("alexnet", size=67).stage2.conv
    x = torch.randn(1, 96, 5, 5)
    changed = x.clone()
    changed[:, 48:] = 0
    assert torch.equal(conv(x)[:, :128], conv(changed)[:, :128])
    assert not torch.equal(conv(x)[:, 128:], conv(changed)[:, 128:])


def test_dropout_of_one_half_follows_both_hidden_dense_layers():
    model = on_meta("alexnet")
    assert kinds(model.head) == [
        *("flatten", "dense1", "relu1", "dropout1", "dense2", "relu2", "dropout2", "logits"),
    ]
    assert (model.head.dropout1.p, model.head.dropout2.p) == (0.5, 0.5)


def test_weights_are_he_normal_by_fan_in_and_small_for_the_logits():
    torch.manual_seed(0)
    model = registry.build("alexnet", size=67)
    for layer, deviation in (
        (model.stage2.conv, math.sqrt(2 / (48 * 5 * 5))),
        (model.head.dense2, math.sqrt(2 / 4096)),
        (model.head.logits, 0.01),
    ):
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.01)
        assert not layer.bias.any()


def test_a_new_network_tells_images_apart():
    torch.manual_seed(0)
    model = registry.build("alexnet", size=67).eval()
    with torch.no_grad():
        logits = model(torch.randn(4, 3, 67, 67))
    assert logits.std(0).mean() > 0.01  # 1e-5 with the deviation of the paper, which is for pixels from 0 to 255


@pytest.mark.parametrize(
    ("name", "smallest", "layer"),
    [
        ("alexnet", 67, "stage5.pool"),
        ("alexnet_owt", 63, "stage5.pool"),  # as torchvision documents
        ("zfnet", 47, "stage5.pool"),
        ("zfnet_slide", 35, "stage5.pool"),
    ],
)
def test_too_small_an_input_is_told_the_layer_and_the_smallest(name, smallest, layer):
    assert sizes(on_meta(name, size=smallest), smallest)[-1] == 1
    with pytest.raises(ShapeError, match=rf"`{layer}` \(3x3\) does not fit.*must be at least {smallest}\."):
        on_meta(name, size=smallest - 1)
