import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.measurement.network import measure_network
from fovea.zoo.spelling import spelled


def built(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "vgg11", "mobilenet_v1", "mobilenet_v2", "vgg_block3"])
def test_the_letters_of_a_network_cost_what_it_costs(name):
    card = registry.entry(name)
    model = built(name)
    classes = registry.arguments_of(name)["classes"]
    letters = built("pattern", pattern=spelled(model), size=card.input[-1], classes=classes)
    found = measure_network(letters, card.input).total
    assert (found.parameters, found.macs) == (card.params, card.macs)


@pytest.mark.parametrize(
    "text", ["C4k5s2p0R P C6W B R6 Ak3s2p1 F9RD20 F", "C8BRPk3s2p1 (C8g2BRC8k1g4B)R (C16s2BRC16B)R GD F9B F"]
)
def test_letters_are_read_back_from_their_network(text):
    assert "".join(spelled(built("pattern", pattern=text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: built("alexnet"), "there is no letter for `stage2.norm`"),
        (lambda: built("googlenet"), "no letter for its operation `cat"),
        (lambda: built("cifar_resnet20"), "no letter for its operation `pad"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, (3, 5)), nn.Flatten(), nn.Linear(4, 2)), r"`0`, Conv2d\(3, 4, kernel"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3)), "does not end in a dense layer"),
        (lambda: nn.Sequential(nn.Linear(3, 4)), "an order that a pattern cannot have"),
    ],
)
def test_what_has_no_letter_is_named(model, message):
    with pytest.raises(UsageError, match=message):
        spelled(model())
