"""The head that training begins from and ends with: never worse than fitted, refitted in the end, resumed exactly."""

import json
import tomllib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fovea import registry
from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.train import train
from fovea.model.container import read_card
from fovea.runs.request import prepared
from fovea.training.frozen_maps import can_be_kept

FAST = {"threads": 1, "precision": "float32", "device": "cpu", "size": 16, "batch": 8, "model": "cifar_resnet20"}
EPOCHS = {"epochs": 2, "val_fraction": 0.25}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Return a folder of 48 noisy images of two sizes: a bright half on the left or on the right."""
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("photographs")
    for label in ("left", "right"):
        (folder / label).mkdir()
        for index in range(24):
            pixels = generator.integers(0, 170, (48, 50 + index % 2, 3), np.uint8)
            half = slice(0, 24) if label == "left" else slice(24, None)
            pixels[:, half] += 60
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file of weights of a small network."""
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(registry.build("cifar_resnet20").state_dict(), file)
    return file


def run(photographs, weights, out, **options):
    options = {**FAST, **EPOCHS, "augment": "", **options}
    return train(photographs, start=weights, out=out, display=Display(quiet=True), **options)


def same(first, second):
    found, expected = load_file(first), load_file(second)
    return all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_training_that_spoils_the_network_ends_with_the_fitted_head(photographs, weights, tmp_path):
    result = run(photographs, weights, tmp_path / "run", lr=0.005, weight_decay=150.0, refit_head=False)
    assert tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["training"]["head_strength"] > 0
    found, begun = load_file(result.model), torch.load(weights)
    body = [name for name in begun if not name.startswith("head.") and "num_batches" not in name]
    assert all(torch.equal(found[name], begun[name]) for name in body)
    before = prepared(photographs, start=weights, display=Display(quiet=True), **{**FAST, **EPOCHS, "augment": ""})
    assert result.results[0]["accuracy"] == before.head_score.value


@pytest.mark.slow
def test_the_head_is_fitted_to_validation_images_after_they_were_scored(photographs, weights, tmp_path):
    result = run(photographs, weights, tmp_path / "run", epochs=1)
    before, after = tmp_path / "run" / "before-refit.safetensors", result.model
    assert not torch.equal(load_file(before)["head.logits.weight"], load_file(after)["head.logits.weight"])
    again = run(photographs, weights, tmp_path / "again", epochs=1, refit_head=False)
    assert same(before, again.model)
    assert [r["accuracy"] for r in read_card(after)["results"]] == [r["accuracy"] for r in again.results]


@pytest.mark.slow
def test_a_finished_run_that_is_resumed_comes_to_the_same(photographs, weights, tmp_path):
    first = run(photographs, weights, tmp_path / "run", epochs=1)
    tensors = load_file(first.model)
    second = train(resume=tmp_path / "run", display=Display(quiet=True))
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(second.model).items())
    assert [r["accuracy"] for r in second.results] == [r["accuracy"] for r in first.results]


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 5])
def test_a_killed_training_on_kept_maps_goes_on_to_the_bit(photographs, weights, tmp_path, dying_after, step):
    options = {"freeze": "stage2", "frozen_views": 2, "augment": "flip"}
    whole = run(photographs, weights, tmp_path / "whole", **options)
    with dying_after(step):
        run(photographs, weights, tmp_path / "killed", **options)
    resumed = train(resume=tmp_path / "killed", display=Display(quiet=True))
    assert same(resumed.model, whole.model)


@pytest.mark.slow
def test_maps_that_are_kept_train_as_those_computed_at_every_step(photographs, weights, tmp_path):
    options = {"freeze": "stage2", "keep_best": False, "refit_head": False}
    kept = run(photographs, weights, tmp_path / "kept", frozen_views=1, **options)
    anew = run(photographs, weights, tmp_path / "anew", **options)
    found, expected = load_file(kept.model), load_file(anew.model)
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)


def test_what_is_known_of_the_head_is_said_and_maps_are_kept_unless_images_are_mixed(photographs, weights, capsys):
    training = prepared(photographs, start=weights, display=Display(), freeze="stage2", **{**FAST, **EPOCHS})
    said = capsys.readouterr().err
    assert "head: logistic regression on the features of 36 images" in said and "cross-validated accuracy" in said
    assert can_be_kept(training.model, training.plan.recipe)
    assert not can_be_kept(training.model, training.plan.recipe.replace(augment=("mixup 0.2",)))
    assert not can_be_kept(training.model, training.plan.recipe.replace(freeze="none"))


def test_the_head_is_fitted_to_versions_of_images_from_kept_maps_too(photographs, weights):
    options = {**FAST, **EPOCHS, "augment": "flip", "head_strength": 0.1, "freeze": "stage2"}
    anew, kept, plain = (
        prepared(photographs, start=weights, display=Display(quiet=True), **options, **more).head
        for more in ({"head_versions": 3}, {"head_versions": 3, "frozen_views": 3}, {"head_versions": 1})
    )
    assert (anew.versions, kept.versions, plain.versions) == (3, 3, 1) and anew.images == plain.images == 36
    assert torch.allclose(anew.weight, kept.weight, atol=1e-3)
    assert not torch.allclose(anew.weight, plain.weight, atol=1e-2)


def test_the_user_decides_the_normalisation(photographs, weights):
    options = {**FAST, **EPOCHS, "mean": (0.5,), "std": (0.25,)}
    training = prepared(photographs, start=weights, display=Display(quiet=True), **options)
    assert training.preprocess.mean == (0.5,) * 3 and training.preprocess.std == (0.25,) * 3
    with pytest.raises(UsageError, match=r"`mean` .* must be one number, or one for each of the 3 channels"):
        prepared(photographs, start=weights, display=Display(quiet=True), **{**options, "mean": (0.5, 0.5)})


@pytest.mark.slow
def test_a_budget_chooses_the_size_and_what_learns(photographs, weights, tmp_path):
    options = {name: value for name, value in FAST.items() if name not in ("size",)}
    result = train(photographs, start=weights, budget=8, out=tmp_path / "run", display=Display(quiet=True), **options)
    recipe = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())
    assert recipe["network"]["size"] <= 32 and recipe["training"]["freeze"] in (
        "none",
        "all",
        "stem",
        "stage1",
        "stage2",
    )
    assert json.loads(json.dumps(result.to_dict()))["results"]
