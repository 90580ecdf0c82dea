"""Which layer is explained where none is named."""

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.explanation.target_layer import check_map, target_layer


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "stage4"),
        ("vgg16_bn", "stage5.relu3"),
        ("alexnet", "stage5.relu"),
        ("squeezenet1_0", "head.relu"),
        ("mobilenet_v2", "stage8"),
        ("cifar_resnet20", "stage3"),
    ],
)
def test_the_last_spatial_activation_before_pooling(name, layer):
    model = registry.build(name).eval()
    assert target_layer(model, torch.zeros(1, *registry.entry(name).input)) == layer


def test_pooling_and_dropout_are_followed_back():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten())
    assert target_layer(model.eval(), torch.zeros(1, 1, 8, 8)) == "1"


def test_maps_of_one_place_are_taken_where_there_are_no_others():
    model = nn.Sequential(nn.Conv2d(1, 2, 4), nn.ReLU(), nn.Flatten())
    assert target_layer(model, torch.zeros(1, 1, 4, 4)) == "1"


def test_a_network_without_maps_is_refused():
    with pytest.raises(UsageError, match="No layer of this network has a feature map"):
        target_layer(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), torch.zeros(1, 1, 4, 4))


def test_a_layer_that_is_named_must_give_a_map():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2)).eval()
    model.unused = nn.ReLU()
    model.forward = lambda x: model[3](model[2](model[1](model[0](x))))
    x = torch.zeros(2, 1, 8, 8)
    check_map(model, x, "0")
    with pytest.raises(UsageError, match="Unknown layer `unusd`; did you mean `unused`"):
        check_map(model, x, "unusd")
    with pytest.raises(UsageError, match="The layer `unused` did not run"):
        check_map(model, x, "unused")
    with pytest.raises(
        UsageError,
        match=(
            r"The output of `3` is \(1, 2\), not a feature map \(.*\); the output of "
            r"`1` is one"
        ),
    ):
        check_map(model, x, "3")


@pytest.mark.parametrize(
    ("name", "arguments", "layer"),
    [
        ("unet_padded", {"classes": 2, "width": 2}, "stage5"),
        ("centres", {"classes": 2, "backbone": "cifar_resnet20", "width": 4}, "stage3"),
    ],
)
def test_of_networks_whose_answers_are_maps_it_is_the_last_stage_before_the_head(name, arguments, layer):
    model = registry.build(name, size=32, c_in=3, **arguments).eval()
    assert target_layer(model, torch.zeros(1, 3, 32, 32)) == layer


def test_of_a_dense_network_without_stages_it_is_the_last_of_the_coarsest_maps():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(2, 3, 1))
    assert target_layer(model, torch.zeros(1, 1, 9, 9)) == "1"
