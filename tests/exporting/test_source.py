import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.exporting.source import python_source


def made(model, **settings):
    space = {}
    exec(compile(python_source(model, **settings), "network.py", "exec"), space)  # what we wrote ourselves
    return space["Network"]().eval()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lenet5", {}),
        ("cifar_resnet20", {}),  # zeros padded to new channels
        ("foveola", {"width": 0.25}),
        ("pattern", {"pattern": "C8k5BR6Ak3s2p1 (Cs2BRC8k1B)R W B R D20 P GD F7BR F"}),
        ("mobilenet_v3_small", {}),  # squeeze and excitation, hard swish
        ("mlp", {}),
    ],
)
def test_it_computes_what_the_network_computes(name, arguments):
    torch.manual_seed(0)
    model = registry.build(name, **arguments).eval()
    again = made(model)
    again.load_state_dict(model.state_dict())
    C, *sizes = registry.entry(name).input
    x = torch.rand(2, C, *(min(size, 64) for size in sizes))
    with torch.no_grad():
        torch.testing.assert_close(again(x), model(x), rtol=0, atol=0)


def test_modes_are_left_as_they_were_and_titles_cannot_end_the_text():
    model = registry.build("lenet5").train()
    text = python_source(model, title='a """ + open("x") #\\')
    assert model.training
    compile(text, "network.py", "exec")
    assert text.startswith('"""a  + open("x") #\n')


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.ones(3), persistent=False)

    def forward(self, x):
        return x - self.mean


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Branching(), "cannot be written as Python: symbolically traced variables"),
        (nn.Sequential(Constant()), "`0` computes with constant tensors of its own"),
        (nn.Sequential(nn.LSTM(2, 3)), "`0` is a LSTM"),
    ],
)
def test_what_cannot_be_written_is_told(model, message):
    with pytest.raises(UsageError, match=message):
        python_source(model)
