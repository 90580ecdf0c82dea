"""Looks inside: worked values, how many there are, and that the training does not notice."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.training.diagnosis import FEWEST, IMAGES, MOST_SHARE, Diagnosis, Look, look_inside, restored, watched_layer


def run(trainer, *, looking):
    diagnosis = Diagnosis(trainer, watched_layer(trainer.model))

    def on_step(_=None):
        if looking and diagnosis.due:
            diagnosis.look()

    on_step()
    trainer.fit(on_step=on_step, on_epoch=lambda *_: None)
    return diagnosis.looks


def test_percentiles_and_gradient_norms_by_hand():
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
    net[1].weight.data.fill_(2.0)
    net[3].weight.data.fill_(5.0)
    images = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(4, 1, 1, 1)
    percentiles, norms = look_inside(net, images, torch.zeros(4), loss=lambda y, _: y.sum(), layer="2")
    assert percentiles == pytest.approx((0.9, 3.0, 5.1))  # of 0, 2, 4, 6
    assert norms == pytest.approx({"1": 5 * 6, "3": 2 * 6})


def test_an_activation_in_place_does_not_hide_its_input():
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(inplace=True))
    net[1].weight.data.fill_(1.0), net[1].bias.data.zero_()
    images = torch.tensor([-2.0, -1.0]).view(2, 1, 1, 1)
    percentiles, _ = look_inside(net, images, torch.zeros(2), loss=lambda y, _: y.sum(), layer="2")
    assert percentiles == pytest.approx((-1.85, -1.5, -1.15))


def test_norms_are_those_of_a_backward_pass_and_biases_have_none(net):
    model = net(norm=False)
    images, labels = torch.randn(6, 1, 8, 8), torch.arange(6) % 2
    _, norms = look_inside(model, images, labels, loss=F.cross_entropy, layer="2")
    F.cross_entropy(model(images), labels).backward()
    assert list(norms) == ["0", "6"]
    assert norms == pytest.approx({name: model[int(name)].weight.grad.norm().item() for name in norms})


def test_a_gradient_without_bound_is_none():
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1))
    _, norms = look_inside(net, torch.ones(1, 1, 1, 1), torch.zeros(1), loss=lambda y, _: y.sum() * 1e39, layer="1")
    assert norms == {"1": None}


def test_a_look_changes_neither_network_nor_random_streams(net):
    model = net().eval()
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    for _ in range(2):
        look_inside(model, torch.randn(4, 1, 8, 8, generator=torch.Generator()), torch.tensor([0, 1, 0, 1]),
                    loss=F.cross_entropy, layer="2")  # fmt: skip
    assert torch.equal(torch.get_rng_state(), state) and not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [hook for module in model.modules() for hook in module._forward_hooks] == []


def test_a_training_ends_in_the_same_bits_whether_it_is_looked_into_or_not(make_trainer):
    seen, unseen = (make_trainer(ema=0.9, seed=3) for _ in range(2))
    assert run(seen, looking=True) and not run(unseen, looking=False)
    for name, value in seen.model.state_dict().items():
        assert torch.equal(value, unseen.model.state_dict()[name])


def test_looks_are_spread_from_before_the_first_step_to_after_the_last(make_trainer):
    looks = run(make_trainer(epochs=8), looking=True)  # 32 steps
    assert [look.step for look in looks] == [4 * n for n in range(FEWEST + 1)]
    assert [look.epoch for look in looks] == list(range(9))
    assert [look.progress for look in looks] == pytest.approx(np.linspace(0, 1, 9))
    assert all(look.percentiles[0] < look.percentiles[1] < look.percentiles[2] for look in looks)


def test_a_training_of_few_steps_is_looked_into_after_each(make_trainer):
    assert [look.step for look in run(make_trainer(epochs=1), looking=True)] == [0, 1, 2, 3, 4]


def test_looks_come_back_from_json_and_go_on_where_they_were(make_trainer):
    trainer = make_trainer(epochs=8)
    looks = run(trainer, looking=True)
    again = restored(json.loads(json.dumps([dataclasses.asdict(look) for look in looks[:3]])))
    assert again == looks[:3]
    rest = Diagnosis(trainer, "2", again)
    due = []
    for step in range(8, 17):
        trainer.clock.total_steps = step
        due.append(rest.due)
    assert due == [False] * 4 + [True] * 5


def test_under_a_budget_looks_take_no_more_than_their_share(make_trainer):
    trainer = make_trainer(epochs=0, budget_s=100.0)
    diagnosis = Diagnosis(trainer, "2")
    diagnosis.look()
    trainer.clock.elapsed_s, diagnosis.spent_s = 50.0, 1.01
    diagnosis.last_s = 100 * MOST_SHARE / FEWEST + 0.01  # as many as a page needs would take too long
    assert not diagnosis.due
    diagnosis.spent_s = 0.99
    assert diagnosis.due


def test_a_short_budget_affords_the_looks_that_a_page_needs(make_trainer):
    trainer = make_trainer(epochs=0, budget_s=10.0)
    diagnosis = Diagnosis(trainer, "2", spent_s=0.9)  # the first look has taken more than its share
    taken = []
    for tenth in range(101):
        trainer.clock.elapsed_s = tenth / 10
        if diagnosis.due:
            diagnosis.looks.append(Look(tenth, 0.0, trainer.progress, 0.1, (0.0, 1.0, 2.0), {}))
            taken.append(tenth)
    assert len(taken) == FEWEST + 1 and taken[-1] == 100


def test_the_batch_is_spread_over_the_training_part(make_trainer, images):
    trainer = make_trainer(train=images(100))
    pixels, labels = Diagnosis(trainer, "2").batch
    assert pixels.shape == (IMAGES, 1, 8, 8) and labels.shape == (IMAGES,)
    assert torch.equal(
        trainer.prepare.undo(pixels[-1:])[0, 0], torch.from_numpy(trainer.train_part.pixels[99, :, :, 0])
    )
    assert labels[-1] == trainer.labels[99]


def test_the_middle_activation_is_watched_unless_another_layer_is_named(net):
    deep = nn.Sequential(*(layer for _ in range(5) for layer in (nn.Linear(2, 2), nn.Sigmoid())))
    assert watched_layer(deep) == "5"
    assert watched_layer(deep, "8") == "8"
    assert watched_layer(nn.Sequential(nn.Flatten(), nn.Linear(2, 2))) == "1"
    assert watched_layer(nn.Flatten()) == ""
    with pytest.raises(UsageError, match="Unknown layer `10`"):
        watched_layer(deep, "10")


@pytest.mark.parametrize(
    ("shape", "count"), [((1, 28, 28), 32), ((3, 96, 96), 32), ((1, 512, 512), 4), ((3, 1024, 1024), 2)]
)
def test_fewer_large_images_are_looked_at(shape, count):
    trainer = SimpleNamespace(preprocess=SimpleNamespace(shape=shape))
    assert Diagnosis(trainer=trainer, layer="").count == count
