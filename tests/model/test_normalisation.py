"""The normalisation of weights that do not say it: found by the answers of a network that was trained under one."""

import pytest
import torch
from torch import nn

from fovea import registry
from fovea.model.normalisation import (
    CONVENTIONS,
    LEAST_INFORMATION,
    Trial,
    best_of,
    consistent,
    conventions_of,
    loss_of_a_head,
    open_between,
    reverse_channels,
    settled,
    surest,
    tell_apart,
    tried,
    with_own_head,
)
from fovea.model.reading import WeightsFile, read_weights
from fovea.model.weights import load_into

SIDE = 12


def photographs(count=64):
    """Return images (N, 3, 12, 12) 0..1 whose class is the colour of a bright column at some place, with noise."""
    generator = torch.Generator().manual_seed(0)
    images = 0.35 + 0.08 * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    labels = torch.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        column = int(torch.randint(0, SIDE - 2, (), generator=generator))
        image[label, :, column : column + 2] += 0.35
    return images.clamp(0, 1), labels


def trained(convention):
    """Return a small network trained on such images under a convention."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(12, 3))
    images, labels = photographs()
    mean, std = (torch.tensor(values)[:, None, None] for values in convention[1:3])
    fed = (images - mean) / std
    fed = fed.flip(1) if convention.reversed else fed
    scale = fed.std()
    with torch.no_grad():
        model[0].weight /= scale
    groups = [{"params": [model[0].weight], "lr": 0.03 / scale.item()}, {"params": [model[0].bias]}]
    optimiser = torch.optim.Adam([*groups, {"params": model[4].parameters()}], lr=0.03)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(fed), labels).backward()
        optimiser.step()
    return model


@pytest.mark.parametrize("convention", [CONVENTIONS[0], CONVENTIONS[3]], ids=lambda convention: convention.name)
def test_the_scale_of_the_training_is_found(convention):
    images, _ = photographs()
    trials = tried(trained(convention), images, [CONVENTIONS[3], CONVENTIONS[0]])
    assert best_of(trials).convention == convention


def trial(entropy, *, surprise=None, information=1.0):
    return Trial(CONVENTIONS[1], surprise or entropy + 0.1, information, entropy, 1.0)


def test_a_difference_that_chance_may_make_leaves_two_conventions_open():
    few = trial(3.24)._replace(entropies=(3.0, 3.2, 3.4, 3.36))
    close = trial(3.25)._replace(entropies=(3.4, 3.0, 3.1, 3.5))
    clear = trial(3.34)._replace(entropies=(3.1, 3.31, 3.49, 3.46))
    unsteady = close._replace(surprise=47.0)
    assert open_between([few, close]) == [few, close]
    assert open_between([clear, few]) == [few] and open_between([few, unsteady]) == [few]


def test_more_images_decide_by_their_entropy_alone():
    images, _ = photographs()
    model = trained(CONVENTIONS[0])
    few = [tried_one._replace(surprise=0.0) for tried_one in tried(model, images[:4], CONVENTIONS)]
    expected = min(tried(model, images, CONVENTIONS), key=lambda tried_one: tried_one.entropy)
    found = surest(model, images, few)
    assert found.convention == expected.convention and found.entropy == pytest.approx(expected.entropy)


def test_a_network_that_says_the_same_of_all_images_finds_nothing():
    usual, constant = trial(2.0), trial(0.01, information=LEAST_INFORMATION / 2)
    assert best_of([usual, constant]) is usual
    assert tell_apart([usual, constant]) and not tell_apart([constant, constant])


def test_answers_settle_it_where_they_are_clearly_surer_under_one_convention():
    sure, close, other = trial(2.0), trial(2.1), trial(2.3)
    sure = sure._replace(convention=CONVENTIONS[0])
    assert settled([sure, other], sure) and not settled([sure, close, other], sure)
    assert not settled([sure._replace(information=0.1), other], sure._replace(information=0.1))


def test_a_head_on_features_predicts_labels_best_under_the_true_convention():
    images, labels = photographs(240)
    model = trained(CONVENTIONS[0])
    losses = {other: loss_of_a_head(model, images, labels, other) for other in CONVENTIONS}
    assert min(losses, key=losses.get) == CONVENTIONS[0]


def test_a_network_without_a_dense_end_has_no_such_head():
    images, labels = photographs(8)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert loss_of_a_head(model, images, labels, CONVENTIONS[0]) is None


def test_a_network_that_is_sure_of_different_things_is_fed_wrongly():
    usual, saturated = trial(1.0), trial(0.01, surprise=47.0)
    assert best_of([usual, saturated]) is usual
    assert best_of([saturated, usual]) is usual


def test_inconsistent_answers_are_out():
    usual, saturated = trial(1.0), trial(0.01, surprise=47.0)
    assert consistent([saturated, usual]) == [usual]
    assert consistent([usual, trial(0.001, surprise=0.001, information=0.0)]) == [usual]


def test_of_equally_sure_answers_the_steadier_ones_count():
    usual, steadier, surer = trial(2.0, surprise=2.5), trial(2.001, surprise=2.2), trial(1.5, surprise=3.0)
    assert best_of([usual, steadier]) is steadier
    assert best_of([usual, steadier, surer]) is surer


def test_a_reversed_network_says_the_same_of_red_first():
    model = registry.build("cifar_resnet20").eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = model(images.flip(1))
        reverse_channels(model)
        assert torch.allclose(model(images), before, atol=1e-5)


def test_the_head_of_a_file_comes_with_its_classes(tmp_path):
    torch.manual_seed(1)
    state = registry.build("cifar_resnet20", classes=7).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    own = with_own_head(read_weights(tmp_path / "weights.pth"), "cifar_resnet20")
    assert own is not None and torch.equal(own.state_dict()["head.logits.weight"], state["head.logits.weight"])


def test_a_file_without_a_head_has_no_own_one(tmp_path):
    state = registry.build("cifar_resnet20").state_dict()
    body = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    file = WeightsFile(path=tmp_path / "body.pth", tensors=body, sha256="0" * 64)
    assert with_own_head(file, "cifar_resnet20") is None


def test_the_usual_convention_of_a_library_is_tried_first(tmp_path):
    model = registry.build("cifar_resnet20")
    file = WeightsFile(path=tmp_path / "w.pth", tensors=model.state_dict(), sha256="0" * 64)
    origin = load_into(model, file, network="cifar_resnet20")
    assert conventions_of(origin) == list(CONVENTIONS)
