"""The arithmetic of a training, by hand."""

import pytest
import torch
from torch import nn

from fovea.training.arithmetic import Arithmetic
from fovea.training.optim import make_optimisers, orthogonalising_macs
from fovea.training.recipe import Recipe


def network():
    layers = {"first": nn.Conv2d(1, 4, 3, padding=1), "second": nn.Conv2d(4, 8, 3, padding=1)}
    head = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "logits": nn.Linear(8, 2)}
    model = nn.Sequential()
    for name, layer in {**layers, **head}.items():
        model.add_module(name, layer)
    return model


def of_step(model, images=10, *, optimiser="sgd", pixels=0):
    arithmetic = Arithmetic(model, make_optimisers(model, Recipe(optimiser=optimiser)), (1, 6, 6))
    return arithmetic.of_step(images, pixels=pixels)


FIRST, SECOND, LOGITS = 36 * 9 * 4, 36 * 9 * 4 * 8, 8 * 2


def test_a_layer_takes_six_operations_per_multiply_add_and_the_first_four():
    assert of_step(network()) == 10 * (4 * FIRST + 6 * SECOND + 6 * LOGITS)


def test_a_frozen_first_layer_takes_two_and_the_next_four():
    model = network()
    model.first.requires_grad_(False)
    assert of_step(model) == 10 * (2 * FIRST + 4 * SECOND + 6 * LOGITS)


def test_without_anything_to_learn_there_is_the_forward_pass():
    arithmetic = Arithmetic(network().requires_grad_(False), [], (1, 6, 6))
    assert arithmetic.of_step(10) == 10 * 2 * (FIRST + SECOND + LOGITS)


def test_smaller_images_take_less():
    assert of_step(network(), pixels=3) == 10 * ((4 * FIRST + 6 * SECOND) / 4 + 6 * LOGITS)


def test_muon_takes_its_matrix_products():
    extra = of_step(network(), optimiser="muon") - of_step(network())
    assert extra == 2 * (orthogonalising_macs(4, 9) + orthogonalising_macs(8, 36))


@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4)])
def test_an_orthogonalised_matrix_takes_seventeen_small_products_and_two_large_ones(rows, columns):
    assert orthogonalising_macs(rows, columns) == 2 * 4 * 4 * 9 + 17 * 4**3


def test_counting_leaves_network_and_random_numbers_alone():
    model = nn.Sequential(*network(), nn.Dropout())
    before = torch.random.get_rng_state()
    Arithmetic(model, [], (1, 6, 6)).of_step(1)
    assert torch.equal(before, torch.random.get_rng_state()) and model.training
    assert all(parameter.grad is None for parameter in model.parameters())
