"""Networks of every wiring for the laws of compression, and channels of theirs that are zero."""

import numpy as np
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry


def built(name, shape, **arguments):
    """Return a network of the zoo in evaluation mode, its batch norms as if trained."""
    torch.manual_seed(0)
    model = registry.build(name, classes=10, **registry.fitted(name, shape), **arguments).eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return model


def half(group, seed=0):
    """Return at random half of the channels of each cell of a group, those that go, and those that stay."""
    draw = np.random.default_rng(seed)
    cells = [np.nonzero(group.cells == cell)[0] for cell in np.unique(group.cells)]
    count = min(map(len, cells)) // 2
    gone = np.concatenate([draw.permutation(cell)[:count] for cell in cells])
    return gone, np.setdiff1d(np.arange(len(group)), gone).tolist()


@torch.no_grad()
def zero(model, channels, group, gone):
    """Set what makes and scales these channels to zero: filters, biases, numbers of norms."""
    modules, alone = dict(model.named_modules()), {line.layer: line.axis for line in channels.lines}
    for place in group.places:
        index = torch.tensor(place.index[gone].flatten())
        layer = modules.get(place.layer)
        if layer is None:
            tensor = model.get_parameter(place.layer)
            tensor.index_fill_(alone[place.layer], index, 0)
        elif place.side == "out" and hasattr(layer, "maps"):
            for i in index.tolist():
                layer.maps[i].weight.zero_()
                layer.maps[i].bias.zero_()
        elif place.side in ("out", "each"):
            groups = getattr(layer, "groups", 0) if place.side == "each" else 0
            for name in ("weight", "bias", "running_mean"):
                if (tensor := getattr(layer, name, None)) is not None:
                    rows = tensor.reshape(groups, -1) if groups else tensor
                    rows[index] = 0
