"""What a network that knows something keeps, what learns first, and what more slowly."""

import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.optim import make_optimisers
from fovea.training.recipe import Recipe
from fovea.training.transfer import Learners, body, rate_factors


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())


def staged(*, head=True):
    """Return a network of a stem, two stages and a head, the same weights each time."""
    torch.manual_seed(0)
    end = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), *([nn.Dropout(0.1), nn.Linear(16, 2)] if head else [])]
    return Classifier(stem=block(1, 4), stages=[block(4, 4), block(4, 4)], head=nn.Sequential(*end))


def changed(model, before):
    """Return the parts of which a tensor has changed."""
    now = model.state_dict()
    return sorted({name.partition(".")[0] for name in now if not torch.equal(now[name], before[name])})


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def train(make_trainer, fit):
    """Return a function of recipe fields that trains and gives the parts that changed."""

    def run(*, steps=None, **fields):
        trainer = make_trainer(model=staged(), **fields)
        before = state(trainer.model)
        fit(trainer, steps=steps)
        return changed(trainer.model, before)

    return run


# what is frozen


@pytest.mark.parametrize(
    ("freeze", "learning"),
    [
        ("none", ["head", "stage1", "stage2", "stem"]),
        ("stem", ["head", "stage1", "stage2"]),
        ("stage1", ["head", "stage2"]),
        ("all", ["head"]),
    ],
)
def test_frozen_parts_keep_their_weights_and_their_statistics(train, freeze, learning):
    assert train(freeze=freeze, epochs=1) == learning


def test_frozen_statistics_are_kept_while_weights_learn(make_trainer, fit):
    trainer = make_trainer(model=staged(), frozen_statistics=True, epochs=1)
    before = state(trainer.model)
    fit(trainer)
    now = trainer.model.state_dict()
    assert torch.equal(now["stage1.1.running_mean"], before["stage1.1.running_mean"])
    assert not torch.equal(now["stage1.1.weight"], before["stage1.1.weight"])


def test_batch_norms_of_a_head_take_their_statistics_from_what_they_see():
    model = staged()
    model.head = nn.Sequential(block(4, 4), *model.head)
    Learners(model, Recipe(frozen_statistics=True)).settle(head_only=False)
    awake = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    assert awake == ["head.0.1"]


def test_validation_in_between_does_not_wake_what_is_frozen(make_trainer, images, fit):
    trainer = make_trainer(model=staged(), freeze="all", val=images(8, seed=1), epochs=3)
    before = state(trainer.model)
    assert len(fit(trainer)) == 3
    assert changed(trainer.model, before) == ["head"]


# what learns first


def test_the_head_learns_alone_and_then_all(train):
    share = {"epochs": 4, "head_first": 0.5}  # 4 steps an epoch
    assert train(steps=8, **share) == ["head"]
    assert train(steps=9, **share) == ["head", "stage1", "stage2", "stem"]


def test_what_waits_for_the_head_and_what_is_frozen_go_together(train):
    assert train(epochs=2, head_first=0.5, freeze="stem") == ["head", "stage1", "stage2"]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("stop", [3, 8, 10])
def test_a_resumed_training_repeats_to_the_bit(make_trainer, fit, tmp_path, stop, optimiser):
    fields = {"epochs": 4, "head_first": 0.5, "freeze": "stem", "stage_decay": 0.5, "ema": 0.9, "augment": ("flip",)}
    fields |= {"optimiser": optimiser, "lr": 0.01}
    whole = make_trainer(model=staged(), **fields)
    fit(whole)
    first = make_trainer(model=staged(), **fields)
    fit(first, steps=stop)
    save_checkpoint(tmp_path / "last", first)
    second = make_trainer(model=staged(), **fields)
    load_checkpoint(tmp_path / "last", second)
    fit(second)
    assert changed(second.model, state(whole.model)) == []
    assert changed(second.average.model, state(whole.average.model)) == []


# what learns more slowly


def test_each_part_learns_at_a_factor_of_the_next():
    model = staged()
    factors = rate_factors(model, Recipe(stage_decay=0.5))
    assert [factors[part.weight] for part in (model.head[3], model.stage2[0], model.stage1[1], model.stem[0])] == [
        1.0,
        0.5,
        0.25,
        0.125,
    ]


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "muon"])
def test_optimisers_use_the_factors_and_hold_every_parameter_once(optimiser):
    model = staged()
    recipe = Recipe(optimiser=optimiser, stage_decay=0.5, lr=0.08, lr_rest=0.08)
    groups = [group for one in make_optimisers(model, recipe) for group in one.param_groups]
    rate_of = {p: group["base_lr"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rate_of) == len(list(model.parameters()))
    assert rate_of[model.stage2[0].weight] == pytest.approx(0.04)
    assert rate_of[model.stem[1].bias] == pytest.approx(0.01)


def test_without_decay_there_are_as_many_groups_as_kinds_of_parameters():
    [optimiser] = make_optimisers(staged(), Recipe())
    assert [group["base_lr"] for group in optimiser.param_groups] == [0.1, 0.1]


# any network


def test_without_a_child_called_head_it_is_the_last(net):
    assert list(body(net())) == ["0", "1", "2", "3", "4", "5"]
    assert list(body(staged())) == ["stem", "stage1", "stage2"]
    assert body(nn.Linear(2, 2)) == {}


def test_an_unknown_part_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="Unknown part to freeze to `stage3`; did you mean `stage"):
        Learners(staged(), Recipe(freeze="stage3"))


@pytest.mark.parametrize("fields", [{"freeze": "all"}, {"head_first": 0.5}, {"freeze": "stage1", "head_first": 0.1}])
def test_a_head_without_weights_cannot_learn_alone(fields):
    with pytest.raises(UsageError, match="leave nothing to learn: the head of this network has no weights"):
        Learners(staged(head=False), Recipe(**fields))
