"""Style transfer: Gram matrices by hand, the layers by rule, and losses that fall."""

import numpy as np
import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.explanation.maximise.style import Transfer, gram, stage_layers, transfer_style

COLOUR = {"mean": (0.5, 0.45, 0.4), "std": (0.2, 0.25, 0.3)}


def network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1))
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()


def picture(H, W, seed=0):
    """Stripes of a period and direction of their own."""
    rows, columns = np.indices((H, W))
    waves = np.stack([np.sin(rows * (seed + 1) / 2 + k) + np.cos(columns * (2 - seed) + k) for k in range(3)], 2)
    return (127.5 + 60 * waves).clip(0, 255).astype(np.uint8)


def test_a_gram_matrix_by_hand():
    maps = torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0], [0.0, 0.0]]).view(1, 4, 1, 2)[:, :3]
    expected = torch.tensor([[5.0, 2.0, 1.0], [2.0, 1.0, -1.0], [1.0, -1.0, 10.0]]) / 2
    assert torch.equal(gram(maps)[0], expected)


def test_a_gram_matrix_does_not_know_places():
    maps = torch.randn(2, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    moved = maps.flatten(2)[:, :, order].view_as(maps)
    torch.testing.assert_close(gram(moved), gram(maps))
    twice = torch.cat([maps, maps], 3)
    torch.testing.assert_close(gram(twice), gram(maps))  # nor how many


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vgg16_bn", ("stage1.relu2", "stage2.relu2", "stage3.relu3", "stage4.relu3", "stage5.relu3")),
        ("cifar_resnet20", ("stage1", "stage2", "stage3")),
    ],
)
def test_the_last_activation_of_each_stage(name, layers):
    model = registry.build(name).eval()
    x = torch.zeros(1, *registry.entry(name).input)
    assert stage_layers(model, x) == layers


def test_pooling_is_not_a_stage_and_a_network_without_maps_is_refused():
    assert stage_layers(network(), torch.rand(1, 3, 8, 8)) == ("1", "4")
    with pytest.raises(UsageError, match="No layer of this network has a feature map"):
        stage_layers(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.rand(1, 3, 2, 2))


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("parametrisation", ["pixels", "fourier"])
def test_the_loss_falls(optimiser, parametrisation):
    transfer = Transfer(steps=25, optimiser=optimiser, parametrisation=parametrisation, style=10.0)
    told = []
    found = transfer_style(
        network(),
        picture(16, 20),
        picture(24, 18, seed=1),
        transfer=transfer,
        progress=lambda *done: told.append(done),
        **COLOUR,
    )
    assert found.pixels.shape == (16, 20, 3) and found.pixels.dtype == np.uint8
    assert (found.content_layers, found.style_layers) == (("1",), ("1", "4"))
    total = found.content + 10.0 * found.style + transfer.total_variation * found.total_variation
    assert total.shape == (25,) and total[-1] < 0.7 * total[0] and told[-1] == (25, 25)
    assert float(found.content[0]) < 1e-3  # it starts from the content, but for black and white


def test_an_image_in_its_own_style_stays_as_it_is():
    image = picture(16, 16)
    transfer = Transfer(steps=10, optimiser="lbfgs", parametrisation="pixels", total_variation=0.0)
    found = transfer_style(network(), image, image, transfer=transfer, **COLOUR)
    assert float(found.style[0]) < 1e-10 and np.abs(found.pixels.astype(int) - image).max() <= 1


def test_layers_may_be_named_and_one_side_left_out():
    transfer = Transfer(steps=4)
    image = picture(16, 16)
    found = transfer_style(
        network(), image, picture(8, 8, seed=1), content_layers=[], style_layers=["0"], transfer=transfer, **COLOUR
    )
    assert found.style_layers == ("0",) and (found.content == 0).all()


def test_the_network_and_the_randomness_are_left_alone():
    model = network().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    transfer_style(model, picture(16, 16), picture(16, 16, seed=1), transfer=Transfer(steps=3), **COLOUR)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items()) and model.training
    assert all(p.grad is None for p in model.parameters()) and torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())


def test_what_does_not_fit_is_refused():
    image = picture(16, 16)
    with pytest.raises(ShapeError, match=r"`style` has shape \(16, 16, 1\); it must be \(H, W, 3\)"):
        transfer_style(network(), image, image[:, :, :1], **COLOUR)
    with pytest.raises(ShapeError, match="The output of `7` is .* not a feature map"):
        transfer_style(network(), image, image, style_layers=["7"], content_layers=["1"], **COLOUR)
    with pytest.raises(UsageError, match="Unknown layer `8`"):
        transfer_style(network(), image, image, style_layers=["8"], **COLOUR)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, r"`steps` \(=0\)"),
        ({"style": -1.0}, r"`style` \(=-1.0\) must not be negative"),
        ({"optimiser": "sgd"}, r"`optimiser` \(=sgd\)"),
    ],
)
def test_a_wrong_choice_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Transfer(**wrong)
