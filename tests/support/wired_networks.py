"""Small networks of every kind of wiring: each takes (3, 8, 8) and gives ten logits."""

import torch
from torch import nn

from fovea.layers import channel_shuffle


def unit(c_in, c_out, *, kernel=3, **more):
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False, **more)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())


class Added(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return torch.relu(x + self.branch(x))


class Appended(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return torch.cat((x, self.branch(x)), 1)


class Shuffled(nn.Module):
    def forward(self, x):
        return channel_shuffle(x, 2)


def network(*layers, c, positions=1):
    head = (nn.AdaptiveAvgPool2d(1) if positions == 1 else nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return nn.Sequential(*layers, *head, nn.Linear(c * positions, 10))


def residual():
    blocks = (Added(nn.Sequential(unit(16, 16), nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16))) for _ in "abc")
    return network(unit(3, 16), *blocks, c=16)


def dense():
    return network(unit(3, 16), Appended(unit(16, 8)), Appended(unit(24, 8)), unit(32, 16, kernel=1), c=16)


def grouped():
    return network(unit(3, 16), unit(16, 32, groups=4), unit(32, 32, groups=4), unit(32, 16), c=16)


def shuffled():
    first, second = unit(16, 16, kernel=1, groups=2), unit(16, 16, kernel=1, groups=2)
    return network(unit(3, 16), first, Shuffled(), unit(16, 16, groups=16), second, c=16)


def depthwise():
    return network(unit(3, 16), unit(16, 16, groups=16), unit(16, 32, kernel=1), unit(32, 32, groups=32), c=32)


def flattened():
    return network(unit(3, 16), unit(16, 16), c=16, positions=4)


def transposed():
    up = nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1, groups=2, bias=False)
    each = nn.ConvTranspose2d(16, 16, 3, padding=1, groups=16)
    return network(unit(3, 16), up, nn.BatchNorm2d(16), nn.ReLU(), each, nn.ReLU(), unit(16, 16), c=16)


NETWORKS = {form.__name__: form for form in (residual, dense, grouped, shuffled, depthwise, flattened, transposed)}


def built(name):
    """Return the network in evaluation mode, the same weights each time, its norms no identities."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    generator = torch.Generator().manual_seed(1)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model
