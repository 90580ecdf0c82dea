"""Training that begins with trained weights: which ones, into what, with what preprocessing, and resumed."""

import re
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.card import Card
from fovea.data.dataset import Dataset, Part
from fovea.display import Display
from fovea.errors import BundleError, NotFoundError, StorageError, UsageError
from fovea.jobs.train import train
from fovea.model import normalisation
from fovea.model.bundle import load, save_bundle
from fovea.model.container import read_card
from fovea.model.normalisation import CONVENTIONS
from fovea.plans.choosing import Request, choose_plan
from fovea.plans.start_weights import start_at_hand, start_named
from fovea.registry import IMAGENET_MEAN
from fovea.runs import normalising
from fovea.runs.request import prepared

FAST = {"threads": 1, "precision": "float32", "device": "cpu", "size": 16, "batch": 8}
NET = "cifar_resnet20"


def quiet(*arguments, **options):
    return train(*arguments, display=Display(quiet=True), **{**FAST, **options})


def ready(*arguments, **options):
    return prepared(*arguments, display=Display(quiet=True), **{**FAST, **options})


@pytest.fixture
def weights(tmp_path):
    """Return a file of weights of a small network, and the tensors in it."""
    torch.manual_seed(5)
    state = registry.build(NET).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    return tmp_path / "weights.pth", state


@pytest.fixture
def photographs(tmp_path):
    """Return a folder of 24 noisy images of two sizes: red ones and green ones."""
    generator = np.random.default_rng(0)
    for label, channel in (("red", 0), ("green", 1)):
        (tmp_path / "photographs" / label).mkdir(parents=True)
        for index in range(12):
            pixels = generator.integers(0, 100, (50, 48 + index % 2, 3), np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(tmp_path / "photographs" / label / f"{index}.png")
    return tmp_path / "photographs"


def differing(found, expected):
    return {name.partition(".")[0] for name in expected if not torch.equal(found[name], expected[name])}


# what it begins with


def test_a_file_gives_the_body_its_normalisation_and_leaves_the_head_new(photographs, weights):
    file, state = weights
    training = ready(photographs, model=NET, start=file)
    found = training.model.state_dict()
    assert found["head.logits.weight"].shape == (2, 64)
    assert differing(found, {name: t for name, t in state.items() if not name.startswith("head.")}) == set()
    assert training.preprocess.mean == IMAGENET_MEAN
    assert training.plan.start == str(file) and training.plan.recipe.fit_head
    assert training.origin["file"] == "weights.pth" and training.origin["licence"] == "unknown"


def test_a_model_file_gives_network_arguments_size_and_normalisation(photographs, tmp_path, make_card, capsys):
    model = registry.build("foveola", classes=3, c_in=3, width=0.25, size=24)
    arguments = registry.arguments_of("foveola", classes=3, c_in=3, width=0.25, size=24)
    preprocess = {**make_card()["preprocess"], "size": [24, 24], "mean": [0.1, 0.2, 0.3]}
    card = make_card(architecture="foveola", arguments=arguments, preprocess=preprocess, licences={"weights": "CC0"})
    save_bundle(tmp_path / "own.safetensors", model, Card.from_dict(card, source="own"))
    training = ready(photographs, start=tmp_path / "own.safetensors", size=None)
    assert training.architecture == "foveola" and training.arguments["width"] == 0.25
    assert training.preprocess.size == (24, 24) and training.preprocess.mean == (0.1, 0.2, 0.3)
    assert training.origin["licence"] == "CC0"
    assert "does not say" not in capsys.readouterr().err
    body = {name: t for name, t in model.state_dict().items() if not name.startswith("head.")}
    assert differing(training.model.state_dict(), body) == set()


def test_grey_images_get_as_many_channels_as_the_weights_want(tmp_path, weights):
    for label in ("a", "b"):
        (tmp_path / "grey" / label).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(np.full((50, 50), 60 * index, np.uint8)).save(tmp_path / "grey" / label / f"{index}.png")
    training = ready(tmp_path / "grey", model=NET, start=weights[0], val_fraction=0.25)
    assert training.preprocess.channels == 3
    assert training.dataset.parts["train"].decoded.shape[3] == 3


def test_the_model_file_says_what_it_began_with(photographs, weights, tmp_path):
    result = quiet(photographs, model=NET, start=weights[0], epochs=1, out=tmp_path / "run")
    card = read_card(result.model)
    assert card["origin"]["file"] == "weights.pth" and len(card["origin"]["sha256"]) == 64
    assert card["licences"]["weights"] == "unknown"
    assert tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["network"]["start"] == str(weights[0])


def test_the_file_used_is_said(photographs, weights, capsys):
    prepared(photographs, display=Display(), model=NET, start=weights[0], **FAST)
    said = capsys.readouterr().err
    assert "plan: cifar_resnet20 at 16 px, beginning with the weights weights.pth" in said
    assert "weights: weights.pth, by the names of fovea, licence unknown; the head is new" in said
    assert "`weights.pth` does not say how pixels are normalised; its answers to training images differ too" in said
    assert "that of its library, ImageNet's: mean 0.485" in said and "--mean and --std give others" in said


def test_labels_tell_the_normalisation_where_answers_do_not(photographs, weights, capsys, monkeypatch):
    monkeypatch.setattr(normalising, "FEWEST_LABELLED", 4)
    monkeypatch.setattr(normalisation, "STEADY", 1e9)  # answers of random weights are not consistent
    training = prepared(photographs, display=Display(), model=NET, start=weights[0], **FAST)
    said = capsys.readouterr().err
    assert "a head on its features predicts labels of training images best if it is " in said
    losses = [float(value) for value in re.findall(r" (\d\.\d\d)(?: nats|;|\))", said.split("best if it is")[1])]
    assert len(losses) > 1 and losses == sorted(losses)
    chosen = next(one for one in CONVENTIONS if f"best if it is {one.described()}" in said)
    assert training.preprocess.mean == pytest.approx(chosen.mean)


def test_boxes_are_no_labels_that_could_tell_it(photographs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(normalising, "FEWEST_LABELLED", 4)
    monkeypatch.setattr(normalisation, "STEADY", 1e9)
    torch.save(registry.build("resnet18").state_dict(), tmp_path / "resnet18.pth")
    rows = [f"photographs/red/{index}.png,spot,1,1,{20 + index},30" for index in range(12)]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,label,x0,y0,x1,y1", *rows]))
    given = {"model": "centres", "start": tmp_path / "resnet18.pth", "backbone": "resnet18"}
    prepared(tmp_path / "boxes.csv", display=Display(), task="boxes", **given, **{**FAST, "size": 64})
    assert "its answers to training images differ too little to tell it" in capsys.readouterr().err


def test_parts_stay_frozen_through_a_run(photographs, weights, tmp_path):
    file, state = weights
    result = quiet(photographs, model=NET, start=file, freeze="stage2", epochs=2, keep_best=False, out=tmp_path / "run")
    found = load(result.model).model.state_dict()
    changed = differing(found, {name: t for name, t in state.items() if not name.startswith("head.")})
    assert changed == {"stage3"}


@pytest.fixture
def masks(tmp_path):
    """Return a folder of 8 grey images with masks of two halves."""
    for folder in ("images", "masks"):
        (tmp_path / "halves" / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for index in range(8):
        pixels = generator.integers(0, 100, (32, 32), np.uint8)
        pixels[: 4 * index + 2] += 100
        Image.fromarray(pixels).save(tmp_path / "halves" / "images" / f"{index}.png")
        Image.fromarray((pixels >= 100).astype(np.uint8)).save(tmp_path / "halves" / "masks" / f"{index}.png")
    return tmp_path / "halves"


def test_masks_begin_on_the_stages_of_a_network_for_classes(masks, weights):
    file, state = weights
    training = ready(masks, task="masks", model="unet_on", backbone=NET, width=2, start=file, size=32, batch=2)
    found = training.model.state_dict()
    assert differing(found, {name: t for name, t in state.items() if not name.startswith("head.")}) == set()
    assert found["head.logits.weight"].shape[0] == 2 and training.preprocess.channels == 3
    trainer = training.trainer()
    trainer.train_step(torch.tensor([0, 1]))
    assert trainer.model.head.up1.convs.bn1.num_batches_tracked == 1
    assert trainer.model.stem.bn.num_batches_tracked == state["stem.bn.num_batches_tracked"]


# weights at hand


def dataset(*, native_size=None, name="made"):
    part = Part(labels=np.arange(1000) % 5, names=tuple(map(str, range(1000))), files=())
    return Dataset(name=name, parts={"train": part}, classes=tuple("abcde"), channels=3, native_size=native_size)


@pytest.fixture
def at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    for file in ("squeezenet1_0-x.pth", "mobilenet_v2-x.pth", "resnet50-x.pth", "resnet20-x.th", "mine.pth"):
        (tmp_path / "weights" / file).touch()


def chosen(data, **request):
    return choose_plan(data, Request(**{"changes": {}, **request}), device=torch.device("cpu"))


def test_photographs_begin_with_the_most_accurate_weights_that_are_not_too_large(at_hand):
    plan = chosen(dataset())
    assert plan.model == "mobilenet_v2" and plan.start.endswith("mobilenet_v2-x.pth") and plan.size == 224
    [reason] = plan.reasons
    assert reason.endswith("beginning with the weights mobilenet_v2-x.pth; --from none trains from scratch")


@pytest.mark.parametrize("asked", [{"start": "none"}, {"model": "resnet18"}, {"recipe": "cifar10-94"}])
def test_weights_at_hand_are_left_where_something_else_is_asked_for(at_hand, asked):
    assert chosen(dataset(), **asked).start == ""


def test_weights_at_hand_are_for_photographs(at_hand):
    assert chosen(dataset(native_size=(32, 32))).start == ""
    assert chosen(dataset(native_size=(32, 32), name="cifar10")).start == ""


BUILT_ON = {"masks": ("unet_on", 256), "boxes": ("centres", 256), "points": ("simple_baseline", 128)}


@pytest.mark.parametrize("task", BUILT_ON)
def test_what_lies_on_images_is_learned_on_the_stages_of_the_network_of_the_weights(at_hand, tmp_path, task):
    (model, size) = BUILT_ON[task]
    file = str(tmp_path / "weights" / "mobilenet_v2-x.pth")
    plan = chosen(replace(dataset(), task=task), start=file)
    assert (plan.model, plan.arguments, plan.size) == (model, {"backbone": "mobilenet_v2"}, size)
    assert plan.recipe.frozen_statistics and plan.recipe.head_first > 0
    asked = chosen(replace(dataset(), task=task), start=file, model=model, changes={"backbone": "mobilenet_v2"})
    assert asked.arguments == plan.arguments and asked.recipe == plan.recipe


def test_a_budget_replaces_the_epochs(at_hand):
    plan = chosen(dataset(), changes={"budget_s": 60.0, "epochs": 0})
    assert plan.model == "mobilenet_v2" and plan.recipe.budget_s == 60


def test_without_weights_there_are_none_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path))
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path))
    assert start_at_hand() is None and chosen(dataset()).model == "foveola"


# what is asked for by name


def test_imagenet_takes_a_network_or_the_favourite(tmp_path):
    assert start_named("imagenet", model=None)[:2] == ("imagenet", "mobilenet_v2")
    assert start_named("imagenet", model="resnet18")[:2] == ("imagenet", "resnet18")
    assert start_named("imagenet", model="resnet18").size == 224


def test_a_file_name_tells_the_network_or_it_is_asked_for(weights):
    assert start_named("/data/resnet20-12fca82f.th", model=None)[1:] == (NET, {}, 32)
    with pytest.raises(UsageError, match="weights.pth` does not say which network it is for; add --model"):
        start_named(str(weights[0]), model=None)


def test_weights_that_are_not_there_are_said_to_be_missing(tmp_path):
    with pytest.raises(
        NotFoundError, match=r"^There is no file `.*x`; --from takes a file of weights, a model file, imagenet"
    ):
        start_named(str(tmp_path / "x"), model=None)


def test_weights_that_cannot_be_had_stop_before_there_is_a_run(photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    for start, error in (("gone.pth", StorageError), ("cut.pth", BundleError)):
        with pytest.raises(error):
            quiet(photographs, model=NET, start=start)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("field", [{"whiten": True}, {"initialisation": "he"}])
def test_what_is_for_random_weights_is_refused(photographs, weights, field):
    with pytest.raises(UsageError, match="is for random weights; leave out either it or --from"):
        ready(photographs, model=NET, start=weights[0], **field)


# the closed form


def test_a_probe_is_a_run_without_epochs_whose_body_stays(photographs, weights, tmp_path):
    file, state = weights
    result = quiet(photographs, model=NET, start=file, probe=True, val_fraction=0.25, out=tmp_path / "run")
    [val] = result.results
    assert val["accuracy"] == 1.0 and result.report is not None
    found = load(result.model).model.state_dict()
    assert differing(found, {name: t for name, t in state.items() if not name.startswith("head.")}) == set()


def test_a_probe_goes_without_epochs(photographs, weights):
    with pytest.raises(UsageError, match="`probe` .=True. goes without `epochs` and `budget_s`"):
        ready(photographs, model=NET, start=weights[0], probe=True, epochs=2)


# resumed


RESUMED = {"model": NET, "epochs": 3, "head_first": 0.4, "freeze": "stem", "stage_decay": 0.6, "val_fraction": 0.25}


@pytest.mark.parametrize("step", [2, 4])
def test_an_interrupted_run_goes_on_to_the_same_end_without_the_weights_file(
    photographs, weights, tmp_path, dying_after, step
):
    fields = {**RESUMED, "start": weights[0]}
    whole = quiet(photographs, out=tmp_path / "whole", **fields)
    with dying_after(step):
        quiet(photographs, out=tmp_path / "run", **fields)
    weights[0].unlink()
    resumed = train(resume=tmp_path / "run", display=Display(quiet=True))
    assert differing(load_file(resumed.model), load_file(whole.model)) == set()
    assert read_card(resumed.model)["origin"] == read_card(whole.model)["origin"]


@pytest.mark.parametrize("how", [{"epochs": 1}, {"probe": True}], ids=["trained", "probe"])
def test_a_run_killed_before_its_first_checkpoint_reads_the_weights_again(photographs, weights, tmp_path, how):
    whole = quiet(photographs, out=tmp_path / "run", model=NET, start=weights[0], val_fraction=0.25, **how)
    expected = load_file(whole.model)
    for file in ("last.safetensors", "model.safetensors", "metrics.jsonl"):
        (tmp_path / "run" / file).unlink(missing_ok=True)
    resumed = train(resume=tmp_path / "run", display=Display(quiet=True))
    assert differing(load_file(resumed.model), expected) == set()


def test_weights_of_a_shrunk_network_are_refused_and_the_way_on_is_said(make_bundle):
    path = make_bundle(format=3, changes=[{"kind": "fold", "into": {}}])
    with pytest.raises(UsageError, match="is shrunk: its layers are no longer those of `mlp`.*--steps finetune=3"):
        start_named(str(path), model=None)
