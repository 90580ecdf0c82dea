"""Activation maximisation against worked cases: a linear network, the range of pixels, each choice by itself."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.maximise.search import (
    CLASS_INVERSION,
    DEEP_DREAM,
    Search,
    answer,
    channel,
    maximise,
    octave_sizes,
    unit,
    whole_layer,
)
from fovea.explanation.objective import Objective

GREY = {"mean": (0.5,), "std": (0.25,)}
COLOUR = {"mean": (0.5, 0.45, 0.4), "std": (0.2, 0.25, 0.3)}


def linear(C=1, size=6, seed=0):
    model = nn.Sequential(nn.Flatten(), nn.Linear(C * size * size, 2))
    with torch.no_grad():
        model[1].weight.normal_(generator=torch.Generator().manual_seed(seed))
    return model


def convolutional(C=1, *, inplace=True):
    torch.manual_seed(0)
    layers = (nn.Conv2d(C, 4, 3, padding=1), nn.ReLU(inplace), nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(inplace))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).eval()


def cosine(a, b):
    a, b = a.flatten().double(), b.flatten().double()
    return float(a @ b / (a.norm() * b.norm()))


def goal_for(index):
    return answer(Objective(answers=torch.tensor([index])))


def test_a_linear_networks_maximiser_is_its_weights_direction():
    # max w x - l2 mean(x^2) lies at x = w n / (2 l2), here within the range of pixels
    model = linear()
    search = Search(steps=150, lr=0.02, parametrisation="pixels", l2=60.0)
    pixels = maximise(model, goal_for(1), (1, 6, 6, 1), search=search, **GREY).pixels
    x = (torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25
    expected = model[1].weight[1].detach() * 36 / (2 * 60)
    torch.testing.assert_close(x.flatten(), expected, atol=0.02, rtol=0)  # a level is 0.016


def test_without_a_penalty_the_pixels_of_a_linear_network_stop_at_black_and_white():
    model = linear()
    search = Search(steps=80, parametrisation="pixels")
    pixels = maximise(model, goal_for(0), (1, 6, 6, 1), search=search, **GREY).pixels
    white = model[1].weight[0].detach().view(6, 6) > 0
    assert np.array_equal(pixels[0, :, :, 0], np.where(white, 255, 0))


def test_fourier_follows_the_weights_too():
    model = linear(C=3)
    search = Search(steps=200, decay=0.0, colours="independent", l2=1.0)
    pixels = maximise(model, goal_for(0), (1, 6, 6, 3), search=search, **COLOUR).pixels
    x = torch.from_numpy(pixels).float().permute(0, 3, 1, 2) / 255 - 0.45
    assert cosine(x, model[1].weight[0].detach().view(3, 6, 6)) > 0.8


@pytest.mark.parametrize("parametrisation", ["pixels", "fourier"])
@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"octaves": 2},
        {"jitter": 2},
        {"blur": 0.5},
        {"total_variation": 0.1},
        {"l2": 0.01},
        {"colours": "independent"},
    ],
    ids=lambda choice: next(iter(choice), "plain"),
)
def test_the_value_rises_whatever_is_chosen(parametrisation, choice):
    model = convolutional(3)
    search = Search(steps=30, parametrisation=parametrisation, **choice)
    found = maximise(model, channel("2", [1, 4]), (2, 16, 16, 3), search=search, **COLOUR)
    assert found.pixels.shape == (2, 16, 16, 3) and found.pixels.dtype == np.uint8
    assert found.values.shape == (30 * search.octaves, 2)
    assert (found.last > found.values[0]).all()


def test_from_an_image_with_no_room_to_move_it_comes_back():
    image = np.random.default_rng(0).integers(0, 256, (2, 9, 12, 3), dtype=np.uint8)
    for parametrisation in ("pixels", "fourier"):
        search = Search(steps=1, lr=1e-9, parametrisation=parametrisation)
        found = maximise(convolutional(3), whole_layer("2"), image, search=search, **COLOUR)
        assert np.abs(found.pixels.astype(int) - image).max() <= 1  # black and white are half a level off


def test_what_an_octave_adds_is_enlarged_and_not_the_image():
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)
    search = Search(steps=1, lr=1e-9, parametrisation="pixels", octaves=3)
    found = maximise(convolutional(3), whole_layer("2"), image, search=search, **COLOUR)
    assert np.abs(found.pixels.astype(int) - image).max() <= 1


def test_deep_dream_and_class_inversion_are_the_same_function():
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 32, 3), dtype=np.uint8)
    dream = maximise(convolutional(3), whole_layer("3"), image, search=DEEP_DREAM, **COLOUR)
    assert dream.last > dream.values[0] and dream.pixels.shape == image.shape
    inverted = maximise(convolutional(3), goal_for(2), (1, 16, 16, 3), search=CLASS_INVERSION, **COLOUR)
    assert inverted.last > inverted.values[0]


def test_a_unit_changes_only_the_pixels_that_it_sees():
    image = np.full((1, 16, 16, 1), 128, np.uint8)
    search = Search(steps=5, parametrisation="pixels")
    found = maximise(convolutional(), unit("0", 2, (4, 9)), image, search=search, **GREY).pixels[0, :, :, 0]
    rows, columns = np.nonzero(found != 128)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 5, 8, 10)


def test_each_image_of_a_batch_is_found_by_itself():
    model = convolutional()
    start = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    search = Search(steps=10, parametrisation="pixels")
    both = maximise(model, channel("2", [0, 3]), start, search=search, **GREY).pixels
    alone = maximise(model, channel("2", 3), start[1:], search=search, **GREY).pixels
    assert np.abs(both[1:].astype(int) - alone).max() <= 1


def test_a_seed_gives_the_same_image_and_no_other_randomness_is_touched():
    model, search = convolutional(), Search(steps=4, jitter=2)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (maximise(model, channel("2", 0), (1, 16, 16, 1), search=search, **GREY).pixels for _ in range(2))
    other = maximise(model, channel("2", 0), (1, 16, 16, 1), search=Search(steps=4, jitter=2, seed=1), **GREY).pixels
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_network_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Dropout()).train()
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    told = []
    maximise(
        model,
        channel("0", 1),
        (1, 8, 8, 1),
        search=Search(steps=3),
        progress=lambda *done: told.append(done),
        **GREY,
    )
    assert [module.training for module in model] == [True, False, True, True] and told[-1] == (3, 3)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_other_types(dtype):
    model = convolutional().to(dtype)
    found = maximise(model, channel("2", 1), (1, 16, 16, 1), search=Search(steps=20), **GREY)
    assert found.values.isfinite().all() and found.last > found.values[0]


def test_an_in_place_layer_behind_does_not_change_what_is_maximised():
    search = Search(steps=3)
    found = [
        maximise(convolutional(inplace=inplace), channel("0", 1), (1, 8, 8, 1), search=search, **GREY).values
        for inplace in (False, True)
    ]
    assert torch.equal(*found)


def test_a_channel_that_is_off_everywhere_at_the_start_is_found():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.fill_(-0.8)
    search = Search(steps=60)
    found = maximise(model, channel("1", 0), (1, 16, 16, 1), search=search, **GREY)
    assert float(found.values[0]) == 0 and float(found.last) > 0.05


def test_octaves_end_at_the_whole():
    assert octave_sizes((28, 20), Search(octaves=3, octave_scale=1.5)) == [(12, 9), (19, 13), (28, 20)]
    with pytest.raises(UsageError, match=r"`octaves` \(=4\): the first would be 10 x 7, and must be at least 8"):
        octave_sizes((28, 20), Search(octaves=4))


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (channel("2", 9), r"`channel` \(=9\) must be from 0 to 5, the channels of `2`"),
        (channel("2", [1, 2, 3]), r"3 channels for 1 image"),
        (channel("7", 0), "Unknown layer `7`"),
        (unit("2", 0, (9, 1)), r"`place` \(=9,1\) is outside the map of `2`, which is 7 x 7"),
        (unit("6", 0), r"output of `6` is \(1, 3\), which has no positions"),
    ],
)
def test_what_is_not_there_is_refused(goal, message):
    with pytest.raises((UsageError, ShapeError), match=message):
        maximise(convolutional(), goal, (1, 16, 16, 1), **GREY)


def test_a_network_of_one_size_refuses_octaves():
    with pytest.raises(ShapeError, match=r"does not accept images of 9 x 9 .*`octaves` \(=2\)"):
        maximise(linear(size=12), goal_for(0), (1, 12, 12, 1), search=Search(octaves=2), **GREY)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, r"`steps` \(=0\) must be at least 1"),
        ({"blur": -1.0}, r"`blur` \(=-1.0\) must not be negative"),
        ({"lr": 0.0}, r"`lr` \(=0.0\) must be above 0"),
        ({"parametrisation": "cppn"}, r"`parametrisation` \(=cppn\) must be"),
    ],
)
def test_a_wrong_choice_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Search(**wrong)


def test_a_start_of_other_channels_is_refused():
    with pytest.raises(UsageError, match=r"`start` has shape \(1, 8, 8, 3\); it must be \(N, H, W, 1\)"):
        maximise(convolutional(), channel("2", 0), (1, 8, 8, 3), **GREY)
