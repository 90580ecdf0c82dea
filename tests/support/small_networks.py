"""Small networks of every kind that methods of explanation must take: (N, 3, 12, 12) -> (N, 4), in float64."""

import torch
from torch import nn
from torch.nn import functional as F

from fovea.layers import SqueezeExcitation, channel_shuffle


def conv(c_in, c_out, **kwargs):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, **kwargs), nn.BatchNorm2d(c_out))


class Residual(nn.Module):
    """Two blocks with one ReLU for all, in place, as the sum is."""

    def __init__(self):
        super().__init__()
        self.stem, self.first, self.second = conv(3, 8), conv(8, 8), conv(8, 8)
        self.relu = nn.ReLU(inplace=True)
        self.dense = nn.Linear(8, 4)

    def forward(self, x):
        x = self.relu(self.stem(x))
        for block in (self.first, self.second):
            y = block(x)
            y += x
            x = self.relu(y)
        return self.dense(x.mean((2, 3)))


class Dense(nn.Module):
    """Concatenated maps, normalised before they are convolved."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, bias=False)
        self.norm, self.conv = nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.last, self.pool = nn.BatchNorm2d(10), nn.AvgPool2d(2)
        self.dense = nn.Linear(10 * 25, 4)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)
        return self.dense(torch.flatten(self.pool(F.relu_(self.last(x))), 1))


class Grouped(nn.Module):
    """Grouped and depthwise convolutions, channels shuffled, and ReLU6."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(3, 9, groups=3), nn.ReLU6(inplace=True), conv(9, 9, groups=9), nn.ReLU6())
        self.dense = nn.Linear(9, 4)

    def forward(self, x):
        x = channel_shuffle(self.body(20 * x), 3)
        return self.dense(F.adaptive_avg_pool2d(x, 1).view(len(x), -1))


class Gated(nn.Module):
    """Squeeze and excitation behind a max pool."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(3, 2), SqueezeExcitation(8, 2))
        self.dense = nn.Linear(8, 4)

    def forward(self, x):
        return self.dense(self.body(x).amax((2, 3)))


class Normalised(nn.Module):
    """Local response norm, overlapping max pools, a clamp, and no module for any of them."""

    def __init__(self):
        super().__init__()
        self.conv, self.dense = nn.Conv2d(3, 8, 3), nn.Linear(8 * 16, 4)

    def forward(self, x):
        x = self.conv(x).clamp_(min=0)
        x = F.max_pool2d(F.local_response_norm(x, 5, alpha=2.0, beta=0.75, k=1.5), 3, 2)
        return self.dense(x.flatten(1))


class Curved(nn.Module):
    """Activations that are not ReLUs, group and layer norm."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3)
        self.layer, self.dense = nn.LayerNorm(8), nn.Linear(8, 4)
        self.prelu = nn.PReLU(8)

    def forward(self, x):
        x = F.gelu(self.norm(F.silu(self.first(x))))
        x = self.prelu(F.hardswish(self.second(x)))
        return self.dense(torch.tanh(self.layer(x.mean((2, 3)))))


class Attending(nn.Module):
    """Places that attend to each other, by hand and by PyTorch's function."""

    def __init__(self):
        super().__init__()
        self.conv, self.heads, self.dense = nn.Conv2d(3, 6, 3, 3), nn.Linear(6, 18), nn.Linear(6, 4)

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        q, k, v = self.heads(x).chunk(3, -1)
        x = x + torch.softmax(q @ k.mT / 6**0.5, -1) @ v
        x = x + F.scaled_dot_product_attention(x, x, x)
        return self.dense(x.mean(1))


RELU_NETWORKS = (Residual, Dense, Grouped, Gated, Normalised)
NETWORKS = (*RELU_NETWORKS, Curved, Attending)


def built(kind, seed=0):
    """Return a network in float64, in evaluation mode, whose batch norms do something."""
    generator = torch.Generator().manual_seed(seed)
    model = kind().double().eval()
    with torch.no_grad():
        for tensor in model.parameters():
            scale = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.3
            tensor.copy_(torch.randn(tensor.shape, generator=generator).double() * scale)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 5)
                module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
                module.weight.add_(1)
    return model


def images(N=2, seed=1, *, side=12):
    return torch.randn(N, 3, side, side, generator=torch.Generator().manual_seed(seed)).double()


def state(model):
    """Return copies of all that a method must leave as it was."""
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grads = {name: (p.grad, p.requires_grad) for name, p in model.named_parameters()}
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules())
    rest = (grads, model.training, hooks, torch.is_grad_enabled(), torch.random.get_rng_state().tolist())
    return tensors, rest


def same_state(before, after):
    return before[1] == after[1] and all(torch.equal(tensor, after[0][name]) for name, tensor in before[0].items())
