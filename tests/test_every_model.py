"""The contract that every registered network keeps."""

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fovea.zoo  # noqa: F401  registers them
from fovea import registry

every_model = pytest.mark.parametrize("name", registry.names())


def build(name: str, **arguments: object) -> nn.Module:
    torch.manual_seed(0)
    return registry.build(name, **arguments).eval()


@every_model
def test_parameters_and_macs_equal_the_card(name):
    card = registry.card(name)
    with torch.device("meta"):
        model = build(name)
        x = torch.empty(1, *card.input)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == card.params
    assert counter.get_total_flops() == 2 * card.macs  # a multiply-add is two operations


@every_model
def test_the_card_says_what_the_defaults_build(name):
    defaults, card = registry.arguments_of(name), registry.card(name)
    assert (defaults["c_in"], defaults.get("size", card.input[1])) == card.input[:2]
    assert card.input[1] == card.input[2]
    assert re.fullmatch(r"(arXiv:\d{4}\.\d{4,5}|doi:10\..+|this project)", card.paper)
    assert card.title
    assert card.year > 1980


@every_model
@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_batch_by_classes_at_even_and_odd_sizes(name, size, batch):
    card = registry.card(name)
    model = build(name, classes=7, size=size)
    with torch.no_grad():
        x = torch.randn(batch, card.input[0], size, size)
        logits, features = model(x), model.features(x)
        assert logits.shape == (batch, 7)
        assert logits.isfinite().all()
        assert torch.equal(model.head(features), logits)
    assert features.ndim == (2 if name == "mlp" else 4)


@every_model
@pytest.mark.parametrize(("c_in", "classes"), [(1, 2), (3, 7), (4, 2)])
def test_any_number_of_channels_and_classes(name, c_in, classes):
    model = build(name, classes=classes, c_in=c_in, size=32)
    with torch.no_grad():
        assert model(torch.zeros(2, c_in, 32, 32)).shape == (2, classes)


@every_model
def test_every_parameter_gets_a_finite_gradient(name):
    model = build(name, classes=5, c_in=3, size=32).train()
    images = torch.randn(4, 3, 32, 32).to(memory_format=torch.channels_last)
    nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.any(), path


@every_model
def test_evaluation_is_deterministic(name):
    model, x = build(name, c_in=3, size=32), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))


@every_model
def test_the_state_dict_round_trips_through_the_resolved_arguments(name):
    arguments = registry.arguments_of(name, classes=3, c_in=2, size=32)
    first, second = build(name, **arguments), registry.build(name, **arguments).eval()
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        assert torch.equal(first(x), second(x))


@every_model
def test_children_are_stem_stages_head_in_order(name):
    children = [child for child, _ in build(name, size=32).named_children()]
    stages = [f"stage{i}" for i in range(1, len(children) + 1)]
    expected = ["stem"] * ("stem" in children) + stages[: len(children) - 1 - ("stem" in children)] + ["head"]
    assert children == expected
    assert "stage1" in children
