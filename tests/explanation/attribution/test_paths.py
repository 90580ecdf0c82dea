"""What all methods that go back through the network share: any shape, type and wrapping."""

import pytest
import torch
from small_networks import Residual, built, images, same_state, state
from torch import nn

from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.objective import Objective

NAMES = (
    *("saliency", "gradient_x_input", "smoothgrad", "integrated_gradients"),
    *("guided", "deconvnet", "guided_gradcam", "deeplift", "lrp"),
)


def explained(name, model, x, **options):
    return METHODS[name](model, x, Objective(answers=torch.tensor([1])), batch=8, **options)


class Wrapped(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.module = model

    def forward(self, images):
        return self.module(images)


@pytest.mark.parametrize("name", NAMES)
def test_wrapped_and_frozen_networks_give_the_same(name):
    x = images()
    expected = explained(name, built(Residual), x).values
    frozen = Wrapped(built(Residual)).requires_grad_(False)
    before = state(frozen)
    torch.testing.assert_close(explained(name, frozen, x).values, expected)
    assert same_state(before, state(frozen))


@pytest.mark.parametrize("name", NAMES)
def test_grey_images_down_to_a_single_place(name):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Linear(4, 3)),
    ).eval()
    x = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    found = explained(name, model, x)
    assert found.values.shape == (2, 6, 6) and found.values.isfinite().all()
    assert all(figure.shape == (2,) and figure.device.type == "cpu" for figure in found.figures.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_signed_is_said(name):
    found = explained(name, built(Residual), images()).values
    assert METHODS[name].signed == bool((found < 0).any())


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_may_be_a_difference(name):
    model, x = built(Residual), images()
    both = Objective(answers=torch.tensor([1, 2]), against=torch.tensor([2, 1]))
    one, other = METHODS[name](model, x, both), METHODS[name](model, x.flip(0), both.of(0))
    assert one.values.shape == other.values.shape == (2, 12, 12)
    torch.testing.assert_close(one.values[0], other.values[1])


@pytest.mark.parametrize("name", NAMES)
def test_an_interruption_leaves_nothing_behind(name):
    class Interrupted(Residual):
        def forward(self, x):
            super().forward(x)
            raise KeyboardInterrupt

    model = built(Interrupted)
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        METHODS[name](model, images(), Objective(answers=torch.tensor([1])))
    assert same_state(before, state(model)) and not torch.overrides._get_current_function_mode_stack()
