import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.zoo.unet import Expansion, Form, Lateral, _unet, cropped


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments).eval()


def test_the_maps_have_the_sizes_of_figure_1():
    _, *maps = on_meta("unet").maps(torch.empty(1, 1, 572, 572, device="meta"))
    assert [tuple(x.shape[1:]) for x in maps] == [
        *((64, 568, 568), (128, 280, 280), (256, 136, 136), (512, 64, 64), (1024, 28, 28)),
    ]


@pytest.mark.parametrize(("size", "answered"), [(572, 388), (188, 4), (284, 100), (189, 4)])
def test_a_tile_is_answered_for_its_centre(size, answered):
    x = torch.empty(1, 1, size, size, device="meta")
    assert on_meta("unet", size=size)(x).shape == (1, 2, answered, answered)


def test_the_answer_is_centred():
    torch.manual_seed(0)
    model = _unet((2, 4, 8, 16, 32), 2, Form(c_in=1, dropout=0.0, padding=0)).eval()
    x = torch.randn(1, 1, 188, 188, requires_grad=True)
    model(x)[0, 0].sum().backward()
    seen = x.grad[0, 0] != 0
    rows = seen.any(1).nonzero().flatten()
    assert (rows[0] + rows[-1]).item() == 187


def test_padding_changes_no_parameter():
    own, padded = on_meta("unet").state_dict(), on_meta("unet_padded").state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in padded.items()}


@pytest.mark.parametrize("name", ["unet_padded", "unet_on"])
@pytest.mark.parametrize("size", [(16, 16), (33, 47), (50, 64)])
def test_every_pixel_is_answered(name, size):
    model = registry.build(name, classes=3, c_in=1, size=16, width=2).eval()
    assert model(torch.zeros(2, 1, *size)).shape == (2, 3, *size)


def test_a_stride_lays_pixels_into_channels_and_back():
    """The same weights as 3x3 and 1x1 convolutions on four pixels in the channels."""
    plain = registry.build("unet_padded", classes=2, c_in=4, width=2, size=32, dropout=0.0)
    plain.head.logits = nn.Conv2d(2, 8, 1)
    strided = registry.build("unet_padded", classes=2, c_in=1, width=2, size=64, dropout=0.0, stride=2)
    state = plain.state_dict()
    first = F.pixel_shuffle(state["stage1.conv1.weight"], 2)
    state["stage1.conv1.weight"] = first
    state["head.logits.weight"] = F.pixel_shuffle(state["head.logits.weight"].permute(1, 0, 2, 3), 2)
    state["head.logits.bias"] = torch.zeros(2)
    nn.init.zeros_(plain.head.logits.bias)
    strided.load_state_dict(state)
    x = torch.randn(2, 1, 64, 64)
    expected = F.pixel_shuffle(plain.head(*plain.maps(F.pixel_unshuffle(x, 2))), 2)
    assert torch.allclose(strided(x), expected, atol=1e-4)


def test_each_image_is_normalised_by_its_own_statistics():
    model = registry.build("unet_padded", classes=2, c_in=1, width=2, size=32, dropout=0.0, instance_norm=True)
    assert [name for name, _ in model.stage1.named_children()] == ["conv1", "in1", "relu1", "conv2", "in2", "relu2"]
    assert model.stage1.conv1.bias is None
    images = torch.randn(3, 1, 32, 32) * torch.tensor([0.1, 1.0, 10.0])[:, None, None, None]
    together = model.eval()(images)
    for training in (False, True):
        alone = torch.cat([model.train(training)(image[None]) for image in images])
        assert torch.allclose(alone, together, atol=1e-4)


def test_a_map_is_cropped_around_its_centre_and_padded_by_repeating():
    x = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert cropped(x, torch.zeros(1, 1, 1, 3)).tolist() == [[[[11, 12, 13]]]]
    assert cropped(x[..., :1, :2], torch.zeros(1, 1, 2, 3)).tolist() == [[[[0, 1, 1], [0, 1, 1]]]]
    assert cropped(x, x).tolist() == x.tolist()


def test_an_expansion_sees_the_map_of_the_contracting_path_first():
    block = Expansion(4, padding=0, norm="")
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.convs.conv1.weight[0, 0, 1, 1] = 1  # the first channel of the skip
        block.convs.conv2.weight[0, 0, 1, 1] = 1
    skip = torch.arange(2 * 100.0).reshape(1, 2, 10, 10)
    y = block(torch.zeros(1, 4, 4, 4), skip)
    assert y.shape == (1, 2, 4, 4)
    assert torch.equal(y[0, 0], skip[0, 0, 3:7, 3:7])


def test_a_lateral_projects_before_it_enlarges():
    block = Lateral(8, 3, 2).eval()
    assert block(torch.zeros(1, 8, 4, 5), torch.zeros(1, 3, 7, 10)).shape == (1, 2, 7, 10)
    assert block.project.weight.shape == (2, 8, 1, 1)


def test_weights_are_drawn_by_their_incoming_nodes():
    torch.manual_seed(0)
    weight = registry.build("unet_padded", width=16).stage4.conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


def test_dropout_stands_at_the_end_of_the_contracting_path():
    model = on_meta("unet")
    assert [path for path, m in model.named_modules() if isinstance(m, nn.Dropout)] == [
        "stage4.dropout",
        "stage5.dropout",
    ]
    assert not [m for m in on_meta("unet", dropout=0.0).modules() if isinstance(m, nn.Dropout)]


def test_any_network_with_stages_can_be_the_contracting_path():
    for name in ("foveola", "mobilenet_v2_035", "vgg11_bn"):
        assert on_meta("unet_on", backbone=name)(torch.empty(1, 3, 64, 96, device="meta")).shape == (1, 2, 64, 96)


def test_what_cannot_be_is_told():
    with pytest.raises(ShapeError, match=r"Layer `head.up1` .* `size` \(=187\) must be at least 188\."):
        on_meta("unet", size=187)
    with pytest.raises(UsageError, match="`batch_norm` and `instance_norm` exclude each other"):
        on_meta("unet_padded", batch_norm=True, instance_norm=True)
    with pytest.raises(UsageError, match=r"Network `unet_on`: Unknown network `resnet19`; did you mean"):
        on_meta("unet_on", backbone="resnet19")
    with pytest.raises(UsageError, match=r"`backbone` \(=unet_on\) must be an image classification network"):
        on_meta("unet_on", backbone="unet_on")
