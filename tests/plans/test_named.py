"""Plans and the named ones: rules, changes, and what their promises rest on."""

import pytest
import torch

import fovea.zoo  # noqa: F401  registers the networks
from fovea.data.augment.recipes import compose
from fovea.data.sources.source import NAMES
from fovea.errors import UsageError
from fovea.plans.named import DEFAULT_PLAN, PLANS, named
from fovea.plans.plan import Plan
from fovea.registry import build
from fovea.training.arithmetic import Arithmetic
from fovea.training.first_sizes import phases, pixels_at
from fovea.training.initialisation import whiten_first_convolution
from fovea.training.optim import make_optimisers
from fovea.training.recipe import Recipe


def plan(**changes):
    return Plan(**{"model": "lenet5", "size": 32, "recipe": Recipe(), **changes})


@pytest.mark.parametrize("name", PLANS)
def test_a_named_plan_can_be_built(name):
    chosen = named(name)
    build(chosen.model, classes=10, c_in=1, size=chosen.size, **chosen.arguments)
    compose(chosen.recipe.augment, size=chosen.size)


@pytest.mark.parametrize("name", PLANS)
def test_a_promise_of_a_test_figure_trains_on_all_data_for_fixed_epochs(name):
    chosen = named(name)
    assert chosen.val_fraction == 0 and chosen.recipe.epochs > 0 and chosen.recipe.patience == 0


@pytest.mark.parametrize(("name", "pflop"), [("cifar10-94", 0.392), ("cifar10-84", 0.0103)])
def test_the_arithmetic_is_as_the_page_on_training_says(name, pflop):
    chosen = named(name)
    recipe = chosen.recipe
    network = build(chosen.model, size=chosen.size, **chosen.arguments)
    whiten_first_convolution(network, torch.randn(10, 3, 8, 8), bias_learns=recipe.whiten_bias)
    arithmetic = Arithmetic(network, make_optimisers(network, recipe), (3, chosen.size, chosen.size))
    images = recipe.batch * recipe.accumulate
    steps, parts = recipe.epochs * 50_000 // images, phases(recipe.first_sizes)
    sizes = [pixels_at(parts, step / steps) for step in range(steps)]
    total = sum(arithmetic.of_step(images, pixels=pixels) for pixels in sizes)
    assert total / 1e15 == pytest.approx(pflop, rel=0.01)


@pytest.mark.parametrize("name", ["cifar10-vgg1", "cifar10-vgg3", "cifar10-vgg3-dropout", "cifar10-vgg3-augmented"])
def test_the_recipes_of_the_lecture_are_as_printed(name):
    chosen = named(name)
    recipe = chosen.recipe
    assert (recipe.optimiser, recipe.lr, recipe.momentum, recipe.batch, recipe.epochs) == ("sgd", 0.001, 0.9, 64, 100)
    assert (recipe.schedule, recipe.nesterov, recipe.weight_decay, chosen.standardise) == (
        "constant",
        False,
        0.0,
        False,
    )


def test_convnetjs_is_trained_as_in_its_demo():
    """SGDTrainer({method: 'adadelta', batch_size: 4, l2_decay: 0.0001}) divides gradients and decay by the batch."""
    chosen = named("cifar10-convnetjs")
    recipe = chosen.recipe
    assert (chosen.model, recipe.optimiser, recipe.batch, recipe.lr) == ("cifar_convnetjs", "adadelta", 4, 1.0)
    assert recipe.weight_decay == 1e-4 / recipe.batch
    assert recipe.augment == ("flip", "shift 2")


def test_digits_are_not_mirrored():
    assert not any("flip" in spec for spec in named("digits").recipe.augment)


def test_every_default_is_a_named_plan_of_a_known_data_set():
    assert set(DEFAULT_PLAN) <= set(NAMES) and set(DEFAULT_PLAN.values()) <= set(PLANS)


def test_an_unknown_recipe_lists_its_neighbours():
    with pytest.raises(UsageError, match="^Unknown recipe `cifar-94`; did you mean `cifar10-94`?"):
        named("cifar-94")


def test_replace_reaches_the_plan_and_its_training():
    changed = plan().replace(size=64, lr=0.5, epochs=3)
    assert (changed.size, changed.recipe.lr, changed.recipe.epochs, changed.model) == (64, 0.5, 3, "lenet5")


def test_replace_lists_the_neighbours_of_an_unknown_field():
    with pytest.raises(UsageError, match="^Unknown recipe field `sizes`; did you mean `size`"):
        plan().replace(sizes=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, r"^`size` \(=0\) must be 1 pixel or more\.$"),
        ({"val_fraction": 1.0}, r"^`val_fraction` \(=1.0\) must be in \[0, 1\)\.$"),
    ],
)
def test_what_no_plan_can_be_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        plan(**change)


def test_only_random_crops_want_larger_images():
    assert plan().room == 1.0
    assert plan(recipe=Recipe(augment=("flip", "crop 0.35"))).room == 1.25
