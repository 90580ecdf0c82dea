"""Training a changed network further: it repeats itself, it learns from labels or a teacher, and keeps what is held."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from fovea.compression.refit import Refit, refit_recipe
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Part
from fovea.errors import TrainingError, UsageError
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.training.inference import predict_logits
from fovea.training.recipe import Recipe

SIZE = 8
PREPROCESS = Preprocess(size=(SIZE, SIZE), channels=1, mean=(0.4,), std=(0.2,))


def bright_halves(count, *, seed=0):
    """Return noise whose upper (class 0) or lower (class 1) half is brighter, in turn."""
    pixels = np.random.default_rng(seed).integers(0, 120, (count, SIZE, SIZE, 1), np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(pixels, labels, strict=True):
        image[4 * label : 4 * label + 4] += 100
    return Part(labels=labels.astype(np.int64), names=tuple(map(str, range(count))), pixels=pixels)


def net(seed=0):
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2))
    return nn.Sequential(*layers)


def refit(*, seed=0, count=64, **changes):
    return Refit(
        train=bright_halves(count),
        recipe=refit_recipe(Recipe(batch=8, threads=1, precision="float32"), seed=seed),
        target=Classes(names=("up", "down")),
        preprocess=PREPROCESS,
        augmentation=compose((), size=SIZE),
        device=torch.device("cpu"),
        **changes,
    )


def accuracy(model):
    part = bright_halves(40, seed=1)
    answers = predict_logits(model, part.decoded, PREPROCESS).argmax(1).numpy()
    return (answers == part.labels).mean()


def weights(model):
    return torch.cat([tensor.flatten().double() for tensor in model.state_dict().values()])


def test_it_learns_and_leaves_evaluation_mode():
    model = net()
    refit()(model, epochs=8, lr=0.01)
    assert accuracy(model) > 0.95 and not model.training


def test_same_seed_same_weights_and_another_seed_others():
    models = [net() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        refit(seed=seed)(model, epochs=1)
    assert torch.equal(weights(models[0]), weights(models[1]))
    assert not torch.equal(weights(models[0]), weights(models[2]))


@pytest.mark.parametrize(("epochs", "steps"), [(0, 0), (0.25, 2), (1, 8), (1.5, 12), (1e-6, 1)])
def test_fractions_of_epochs_are_steps(epochs, steps):
    taken = []
    refit()(net(), epochs=epochs, after_step=lambda model: taken.append(1))
    assert len(taken) == refit().steps(epochs) == steps


def test_what_is_done_after_each_step_holds_at_the_end():
    model = net()

    @torch.no_grad()
    def hold(trained):
        trained[0].weight[:4] = 0

    refit()(model, epochs=2, after_step=hold)
    assert (model[0].weight[:4] == 0).all() and (model[0].weight[4:] != 0).any()


def test_a_teacher_is_imitated_whatever_the_labels_say():
    teacher = net(1)
    refit()(teacher, epochs=8, lr=0.01)
    student = net(2)
    swapped = bright_halves(64)
    wrong = Part(labels=1 - swapped.labels, names=swapped.names, pixels=swapped.pixels)
    learns = refit(teacher_weight=1.0)
    learns = Refit(**{**vars(learns), "train": wrong})
    learns(student, epochs=12, lr=0.01, teacher=teacher)
    assert accuracy(student) > 0.95


def test_parametrised_weights_train_as_they_are():
    class Positive(nn.Module):
        def forward(self, weight):
            return weight.abs()

    model = net()
    parametrize.register_parametrization(model[4], "weight", Positive())
    before = model[4].parametrizations.weight.original.clone()
    refit()(model, epochs=1, lr=0.01)
    assert (model[4].weight >= 0).all()
    assert not torch.equal(before, model[4].parametrizations.weight.original)


def test_a_loss_without_bound_is_an_error():
    with pytest.raises(TrainingError, match=r"The loss became .* during fine-tuning .* Remove less per step"):
        refit()(net(), epochs=8, lr=1e6)


def test_a_rate_whose_first_step_does_harm_gives_way_to_one_that_does_none():
    notes, careful, plain = [], net(), net()
    learns = refit(lowers_rate=True, note=notes.append)
    learns = replace(learns, recipe=learns.recipe.replace(lr=3.0))
    learns(careful, epochs=2)
    (note,) = notes
    rate = float(note.split()[4].rstrip(";"))
    assert note == f"the learning rate is {rate:.2g}; the first step at 3 would have done harm"
    exact = min((3.0 / 3**k for k in range(5)), key=lambda lr: abs(lr - rate))
    replace(learns, lowers_rate=False)(plain, epochs=2, lr=exact)
    assert torch.equal(weights(careful), weights(plain))


def test_a_rate_that_does_no_harm_stays():
    notes, careful, plain = [], net(), net()
    refit(lowers_rate=True, note=notes.append)(careful, epochs=2)
    refit()(plain, epochs=2)
    assert not notes and torch.equal(weights(careful), weights(plain))


def test_a_network_with_a_rule_of_its_own_takes_no_teacher():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(SIZE * SIZE, 2))

        def learn(self, images, labels, *, loss, progress):
            logits = self(images)
            return loss(logits, labels), logits

        def forward(self, x):
            return x.flatten(1) @ self.weight

    with pytest.raises(
        UsageError, match=("`Own` has its own training rule, which uses labels; it cannot learn from a teacher")
    ):
        refit()(Own(), epochs=1, teacher=net())


def test_what_the_recipe_of_a_first_training_does_is_left_out():
    first = Recipe(optimiser="muon", ema=0.9, patience=3, freeze="all", resample=True, augment=("flip",), batch=32)
    recipe = refit_recipe(first, seed=7)
    assert (recipe.optimiser, recipe.ema, recipe.patience, recipe.freeze, recipe.seed) == ("adam", 0, 0, "none", 7)
    assert (recipe.batch, recipe.augment, recipe.resample) == (32, ("flip",), False)


def test_values_that_weights_share_are_trained_by_adam_whatever_trains_filters():
    muon = replace(refit(), recipe=refit_recipe(Recipe(), seed=0, changes={"optimiser": "muon", "lr": 0.015}))
    recipe = muon.for_values().recipe
    assert (recipe.optimiser, recipe.lr) == ("adam", 0.001)
    adam = replace(refit(), recipe=refit_recipe(Recipe(), seed=0, changes={"lr": 0.0005}))
    assert adam.for_values().recipe == adam.recipe
