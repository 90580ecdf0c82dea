"""Training that begins with a shallower network, or with layers that have seen images without labels."""

import re
import tomllib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fovea.data.sources.source import find
from fovea.display import Display
from fovea.errors import ShapeError, UsageError
from fovea.jobs.train import train
from fovea.model.bundle import load
from fovea.model.container import read_card
from fovea.runs.request import prepared
from fovea.training.inference import predict_logits

FAST = {"threads": 1, "precision": "float32", "device": "cpu", "size": 16, "batch": 64, "augment": ()}
SHALLOW = {"model": "pattern", "pattern": "CRP CRP", "widths": [4, 8]}
DEEPER = {"model": "pattern", "pattern": "CRCRP CRCRCRP"}


def quiet(*arguments, **options):
    return train(*arguments, display=Display(quiet=True), **{**FAST, **options})


def ready(display=None, **options):
    return prepared("digits", display=display or Display(quiet=True), **{**FAST, **options})


def differing(found, expected):
    return {name for name in expected if not torch.equal(found[name], expected[name])}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the model file of a small network that knows the digits."""
    return quiet("digits", epochs=3, lr=0.01, out=tmp_path_factory.mktemp("grown") / "run", **SHALLOW)


@pytest.mark.parametrize(
    ("shallow", "deeper"),
    [
        pytest.param(SHALLOW, DEEPER, id="plain"),
        pytest.param({"model": "cifar_resnet20"}, {"model": "cifar_resnet32"}, id="residual", marks=pytest.mark.slow),
    ],
)
def test_a_grown_network_begins_with_the_answers_of_the_shallow_one(shallow, deeper, tmp_path, capsys):
    run = quiet("digits", epochs=1, out=tmp_path / "run", **shallow)
    grown = ready(Display(), start=run.model, grow="identity", **deeper)
    digits, bundle = find("digits").parts["test"].decoded, load(run.model)
    expected, found = (predict_logits(model, digits, grown.preprocess) for model in (bundle.model, grown.model))
    assert (found - expected).abs().max() < 1e-5
    said = capsys.readouterr().err
    [accuracy] = re.findall(r"before training  val loss \S+  val accuracy (\S+) %", said)
    [result] = [result for result in run.results if result["split"] == "val"]
    assert accuracy == f"{100 * result['accuracy']:.2f}" and "start as the identity" in said


def test_arguments_and_normalisation_of_the_shallow_network_hold(trained):
    grown = ready(start=trained.model, grow="identity", **DEEPER)
    assert grown.arguments["widths"] == [4, 8] and grown.plan.recipe.head_first == 0
    assert list(grown.preprocess.mean) == read_card(trained.model)["preprocess"]["mean"]


def test_as_vgg_only_the_first_layers_are_taken(trained, capsys):
    grown = ready(Display(), start=trained.model, grow="vgg", **DEEPER)
    stored, found = load_file(trained.model), grown.model.state_dict()
    assert differing(found, stored) == set()  # a network of two convolutions gives both
    assert "`stage2.conv3` start with random weights" in capsys.readouterr().err


def test_a_grown_run_says_how_it_began_and_goes_on_after_a_kill(trained, tmp_path):
    fields = {"start": trained.model, "grow": "identity", "epochs": 1, **DEEPER}
    whole = quiet("digits", out=tmp_path / "run", **fields)
    recipe = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())
    assert recipe["network"]["grow"] == "identity" and read_card(whole.model)["origin"]["file"] == "model.safetensors"
    expected = load_file(whole.model)
    for file in ("last.safetensors", "model.safetensors", "metrics.jsonl"):
        (tmp_path / "run" / file).unlink()
    resumed = train(resume=tmp_path / "run", display=Display(quiet=True))
    assert differing(load_file(resumed.model), expected) == set()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"grow": "identity", "model": "lenet5"}, UsageError, "needs trained weights of a shallower network"),
        ({"grow": "identity", "start": "imagenet"}, UsageError, "takes a weights file for --from"),
        ({"grow": "sideways", "start": True, **DEEPER}, UsageError, "Unknown way to grow `sideways`"),
        ({"grow": "identity", "start": True, "model": "lenet5"}, ShapeError, "`--grow identity`: `stage1.conv"),
        ({"grow": "identity", "start": True}, ShapeError, "has no additional layers"),
    ],
    ids=["no weights", "imagenet", "no such way", "another family", "no deeper"],
)
def test_what_cannot_grow_is_said(trained, fields, error, message):
    fields = {**fields, **({"start": trained.model} if fields.get("start") is True else {})}
    with pytest.raises(error, match=re.escape(message)):
        ready(**fields)


# pre-training

PRETRAINED = {"epochs": 1, "pretrain": 2, "val_fraction": 0.0, **SHALLOW}


@pytest.fixture
def arrays(tmp_path):
    """Return a function of labels that writes forty images with them."""

    def write(name, labels):
        pixels = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 1), np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=pixels, labels=labels)
        return tmp_path / f"{name}.npz"

    return write


def test_pretraining_is_recorded_said_and_repeats_after_a_kill(arrays, tmp_path, capsys):
    data = arrays("data", np.arange(40) % 2)
    whole = train(data, out=tmp_path / "run", display=Display(), **{**FAST, **PRETRAINED})
    said = capsys.readouterr().err
    assert re.search(r"pre-training: stage2.conv1 does not reconstruct \S+ % of its inputs' variance", said)
    assert tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["training"]["pretrain"] == 2
    expected = load_file(whole.model)
    for file in ("last.safetensors", "model.safetensors", "metrics.jsonl"):
        (tmp_path / "run" / file).unlink()
    resumed = train(resume=tmp_path / "run", display=Display(quiet=True))
    assert differing(load_file(resumed.model), expected) == set()


def test_a_run_with_a_checkpoint_is_not_pretrained_again(arrays, tmp_path, monkeypatch):
    quiet(arrays("data", np.arange(40) % 2), out=tmp_path / "run", **PRETRAINED)

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr("fovea.runs.preparation.pretrain_layers", never)
    train(resume=tmp_path / "run", display=Display(quiet=True))


def test_pretraining_never_reads_a_label(arrays):
    files = [arrays("one", np.arange(40) % 2), arrays("two", np.arange(40) // 20)]
    one, two = (prepared(file, display=Display(quiet=True), **{**FAST, **PRETRAINED}).model for file in files)
    assert differing(one.state_dict(), two.state_dict()) == set()


def test_pretraining_is_for_random_weights(trained):
    with pytest.raises(UsageError, match="`pretrain` .=1. is for random weights; leave out either it or --from"):
        ready(start=trained.model, pretrain=1)
