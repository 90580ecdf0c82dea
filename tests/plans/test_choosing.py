"""What plan a training gets, and what of it is settled before the first step."""

import dataclasses

import pytest
import torch

from fovea.data.sources.source import find
from fovea.display import Display
from fovea.errors import UsageError
from fovea.plans.choosing import Request, choose_plan
from fovea.runs.request import prepared

FAST = {"threads": 1, "precision": "float32", "device": "cpu"}


def test_digits_are_not_mirrored_when_they_are_evaluated():
    plan = choose_plan(find("digits"), Request(recipe="cifar10-94", changes={}), device=torch.device("cpu"))
    assert plan.recipe.test_flip is False
    asked = Request(recipe="cifar10-94", changes={"test_flip": True})
    assert choose_plan(find("digits"), asked, device=torch.device("cpu")).recipe.test_flip is True


def test_a_choice_of_network_leaves_the_named_recipe():
    options = {**FAST, "display": Display(quiet=True)}
    assert prepared("digits", **options).plan.recipe.lr == 0.003
    assert prepared("digits", model="cifar_resnet20", epochs=1, **options).plan.recipe.optimiser == "adamw"
    both = prepared("digits", model="mlp", recipe="digits", **options)
    assert (both.architecture, both.plan.recipe.lr) == ("mlp", 0.003)


def test_a_network_is_trained_as_its_entry_says_and_the_user_has_the_last_word():
    def chosen(**changes):
        return choose_plan(find("digits"), Request(model="capsnet_digits", changes=changes), device=torch.device("cpu"))

    plan = chosen()
    assert (plan.recipe.loss, plan.recipe.optimiser, plan.standardise) == ("margin", "adam", False)
    assert chosen(loss="cross-entropy", standardise=True).recipe.loss == "cross-entropy"
    assert chosen(epochs=0, budget_s=60.0).recipe.epochs == 0


def test_threads_and_precision_are_settled_and_recorded(monkeypatch):
    monkeypatch.setattr("fovea.training.tuning.available_threads", lambda: 1)
    training = prepared("digits", precision="auto", display=Display(quiet=True), device="cpu").plan.recipe
    assert training.threads == 1 and training.precision in ("float32", "bfloat16")


def test_text_switches_standardisation_off():
    options = {"threads": 1, "precision": "float32", "device": "cpu", "display": Display(quiet=True)}
    assert prepared("digits", standardise="false", **options).preprocess.std == (1.0,)


def test_a_recipe_without_standardisation_only_scales_pixels_to_one():
    options = {"threads": 1, "precision": "float32", "device": "cpu", "display": Display(quiet=True)}
    assert prepared("digits", recipe="cifar10-vgg1", **options).preprocess.mean == (0.0,)
    assert prepared("digits", recipe="cifar10-vgg1", **options).preprocess.std == (1.0,)
    assert prepared("digits", recipe="digits", **options).preprocess.mean[0] > 0.1


@pytest.mark.parametrize("task", ["number", "labels", "grade"])
def test_what_a_kind_of_target_has_not_is_refused_or_left_out(task):
    dataset = dataclasses.replace(find("digits"), task=task)
    device = torch.device("cpu")
    requests = Request(recipe="cifar10-84", changes={}), Request(changes={}), Request(model="mlp", changes={})
    assert all(choose_plan(dataset, request, device=device).recipe.label_smoothing == 0 for request in requests)
    noun = {"number": "a number", "labels": "several labels", "grade": "a grade"}[task]
    with pytest.raises(UsageError) as caught:
        choose_plan(dataset, Request(changes={"label_smoothing": 0.1}), device=device)
    assert str(caught.value) == (
        f"`label_smoothing` (=0.1) is for --task classes; a network that predicts {noun} "
        "has nothing to smooth, so leave it out."
    )
    probe = Request(changes={"probe": True, "epochs": 0})
    if task == "number":
        assert choose_plan(dataset, probe, device=device).recipe.probe
        return
    with pytest.raises(UsageError) as caught:
        choose_plan(dataset, probe, device=device)
    assert str(caught.value) == (
        f"`probe` has no closed form for a network that predicts {noun}; `freeze=all` trains the head alone."
    )
