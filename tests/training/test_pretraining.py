"""Layers that learn to reproduce their inputs, one after the other, without labels."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.errors import UsageError
from fovea.training.pretraining import Autoencoder, hidden_layers, pretrain


def digits(count=512):
    images = torch.tensor(load_digits().images[:count], dtype=torch.float32)[:, None]
    return (images - images.mean()) / images.std()


def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 32)]
    return nn.Sequential(*layers, nn.Sigmoid(), nn.Linear(32, 10))


def learned(model, *, epochs=6, seed=0, images=None):
    """Pre-train `model` and return what its layers have learned."""
    found = []
    batches = torch.split(digits() if images is None else images, 32)
    generator = torch.Generator().manual_seed(seed)
    pretrain(model, lambda _: batches, epochs=epochs, generator=generator, done=found.append)
    return found


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model, before):
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_the_error_is_the_share_of_the_variance_that_was_not_found():
    x, encoder = torch.tensor([[1.0, 3.0], [3.0, 1.0]]), nn.Sequential(nn.Linear(2, 1))
    coder = Autoencoder(encoder, x, torch.Generator().manual_seed(0))
    with torch.no_grad():
        encoder[0].weight.zero_(), coder.weight.zero_(), coder.bias.fill_(2.0)
    assert coder.step(x) == pytest.approx(1)  # the mean of all: nothing is found
    with torch.no_grad():
        encoder[0].weight.zero_(), coder.weight.zero_(), coder.bias.fill_(0.0)
    assert coder.step(x) == pytest.approx(5)  # (1 + 9) / 2, over a variance of 1


def test_the_reconstruction_error_of_every_layer_falls():
    found = learned(net())
    assert [layer for layer, _, _ in found] == ["0", "4"]
    assert all(last < 0.6 * first for _, first, last in found)


def test_the_last_layer_and_the_input_of_others_stay_as_they_are():
    model = net()
    before = state(model)
    learned(model, epochs=1)
    names = {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert changed(model, before) == names | {"4.weight", "4.bias"}
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_learns_while_those_below_it_stay(monkeypatch):
    model, moved = net(), []
    step = Autoencoder.step

    def watched(coder, x):
        before = state(model)
        error = step(coder, x)
        moved.append(frozenset(name.partition(".")[0] for name in changed(model, before)))
        return error

    monkeypatch.setattr(Autoencoder, "step", watched)
    learned(model, epochs=1)
    assert set(moved[:16]) == {frozenset({"0", "1"})} and set(moved[16:]) == {frozenset({"4"})}


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    models = [net() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        learned(model, epochs=1, seed=seed)
    assert changed(models[0], state(models[1])) == set()
    assert changed(models[0], state(models[2])) >= {"0.weight", "4.weight"}


@pytest.mark.parametrize(("name", "layers"), [("lenet5", 4), ("mlp", 1), ("cifar_resnet20", 19), ("squeezenet1_1", 25)])
def test_any_network_can_be_pretrained(name, layers):
    torch.manual_seed(0)
    model = registry.build(name, c_in=1, size=32)
    images = nn.functional.interpolate(digits(4), (32, 32))
    assert len(learned(model, epochs=1, images=images)) == layers
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_frozen_layers_are_left_out():
    model = net()
    model[0].weight.requires_grad_(False)
    assert hidden_layers(model) == ["4"]


def test_a_network_of_one_layer_is_refused():
    with pytest.raises(UsageError, match="`pretrain` needs a network with a layer below the last"):
        learned(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
