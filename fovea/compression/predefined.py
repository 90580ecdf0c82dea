"""Zeros at fixed places of kernels, held through training: Kundu, Nazemi, Pedram, Chugg and Beerel 2020,
arXiv:2001.10710. The patterns are those of `fovea.layers.PredefinedSparseConv2d`.

A trained network gets them here; networks of the zoo that have them from the beginning are in `cifar_sparse_*`. The
zeros are left in plain weights, where the count of what is not zero and the coding of files see them.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fovea.compression.inq import Held
from fovea.compression.pruning.sparsify import remove_masks
from fovea.compression.step import Done, Work
from fovea.errors import UsageError
from fovea.layers import PredefinedSparseConv2d, Unfilled

PERIOD = 9
"""Patterns before they repeat."""


def mask_of(layer: nn.Conv2d, *, support: int, period: int = PERIOD, dense: int = 0, seed: int = 0) -> Tensor:
    """Return where the weights of a convolution may be other than zero: (F, C, k, k) bool, C the channels of a group.

    Raises: UsageError as `PredefinedSparseConv2d`.
    """
    c_in, c_out = layer.in_channels, layer.out_channels
    with Unfilled():
        pattern = PredefinedSparseConv2d(
            *(c_in, c_out, layer.kernel_size[0]),
            **{"support": support, "period": period, "dense": dense, "seed": seed, "groups": layer.groups},
        )
    return pattern.mask.to(layer.weight.device)


def predefined(model: nn.Module, work: Work, *, support: int, epochs: float, dense: int = 0) -> Done:
    """Set all but `support` places of each k x k kernel to zero, in fixed patterns, and train for `epochs`.

    The first convolution stays as it is, and so do 1 x 1 ones. `dense` of every 9 kernels keep all places.

    Raises: UsageError if no kernel is larger, or for a support that is not possible.
    """
    convolutions = [(name, layer) for name, layer in model.named_modules() if type(layer) is nn.Conv2d][1:]
    layers = [
        (name, layer)
        for name, layer in convolutions
        if layer.kernel_size[0] == layer.kernel_size[1] > 1 and support < layer.kernel_size[0] ** 2
    ]
    if not layers:
        raise UsageError(
            f"No kernel of this network after its first convolution has more than `support` (={support}) positions."
        )
    kept, count = 0, 0
    for _, layer in layers:
        mask = mask_of(layer, support=support, dense=dense, seed=work.seed)
        parametrize.register_parametrization(layer, "weight", Held(~mask, torch.zeros_like(layer.weight)))
        kept, count = kept + int(mask.sum()), count + mask.numel()
    work.refit(model, epochs=epochs, teacher=work.teacher)
    remove_masks(dict(layers))
    note = f"{kept:,} of {count:,} weights of {len(layers)} convolutions may be non-zero, in fixed patterns"
    return Done(model=model.eval(), notes=[note])
