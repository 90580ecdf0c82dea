import math

import torch
from torch import nn
from torch.nn import functional as F

from fovea.compression.readers import readings


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.unused = (nn.Conv2d(2, 2, 1) for _ in range(3))
        self.last = nn.Linear(2, 3)

    def forward(self, x):
        y = F.relu(F.max_pool2d(self.first(x), 2), inplace=True)
        z = self.second(y)
        return self.last((y + torch.relu(z)).mean((2, 3)))


def test_readers_are_found_through_pools_and_branches():
    found = readings(Branching().eval(), torch.randn(2, 2, 4, 4), ["first", "second", "unused", "last"])
    assert list(found) == ["first", "second", "last"]
    assert found["first"].cut == (0.0, math.inf)
    assert found["second"].cut == (0.0, math.inf)
    assert found["last"].cut is None
    assert not found["last"].others


def test_the_ends_of_a_clamp_are_read():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU6()).eval()
    assert readings(network, torch.randn(1, 1, 2, 2), ["0"])["0"].cut == (0.0, 6.0)


def test_what_is_also_read_uncut_is_not_cut():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            y = self.layer(x)
            return y.relu() + y

    assert readings(Twice(), torch.randn(1, 2), ["layer"])["layer"].cut is None
