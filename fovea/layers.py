"""What PyTorch lacks: the one interface of all networks of the zoo, and layers that several of them share."""

import copy
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from fovea.errors import ShapeError, UsageError
from fovea.shapes import convolved

Network = TypeVar("Network", bound=nn.Module)
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
"""Along one axis, two or three."""
TransposedConvolution = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
"""Its weight is (c_in, c_out / groups, *kernel)."""


class Classifier(nn.Module):
    """A chain of `stem`, `stage1`..`stageN` and `head`, whose names are the first part of every checkpoint key.

    `head` holds all that follows the last feature map: pooling, flattening, dense layers.

    (N, c_in, H, W) float -> (N, classes) logits; of series (N, c_in, T), of clips (N, c_in, T, H, W)
    """

    def __init__(self, *, stem: nn.Module | None = None, stages: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        # in the order of the pass, head last: so they stand in printouts and checkpoints
        body = {} if stem is None else {"stem": stem}
        body |= {f"stage{i}": stage for i, stage in enumerate(stages, start=1)}
        for name, child in body.items():
            self.add_module(name, child)
        self.head = head
        self._body = tuple(body)  # names, not modules: a child replaced under its name is the one that runs

    @property
    def body(self) -> tuple[str, ...]:
        """The names of the children before the head, in the order of the pass."""
        return self._body

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature map, (N, C, H, W), (N, C, T) or (N, C, T, H, W): what `head` gets."""
        for name in self._body:
            x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, classes)."""
        return cast(Tensor, self.head(self.features(x)))


def placed(model: Network, device: torch.device) -> Network:
    """Return the network on `device`, its weights channels-last where they are those of images."""
    channels_last(model.to(device))
    return model


class InstanceNorm2d(nn.InstanceNorm2d):
    """Normalise each channel of each image by its own mean and variance: Ulyanov et al. 2016, arXiv:1607.08022.

    As PyTorch has it, but an empty batch stays empty, and training copies channels-last maps into no other layout.

    (N, C, H, W) float -> (N, C, H, W)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised maps."""
        if x.shape[0] == 0:
            return x
        if not self.training:
            return super().forward(x)
        # the batch norm of one image
        alone = [F.batch_norm(one, None, None, self.weight, self.bias, True, eps=self.eps) for one in torch.split(x, 1)]
        return torch.cat(alone) if len(alone) > 1 else alone[0]


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what all channels are on average: x * sigmoid(W2 ReLU(W1 mean(x) + b1) + b2).

    Hu et al. 2017, arXiv:1709.01507, equations 2 to 4. W1 has c / reduction rows, at least one, or `hidden` if that is
    given; both matrices are 1x1 convolutions of the (N, c, 1, 1) means. `activation` may stand for the ReLU, `gate`
    for the sigmoid.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(
        self,
        c: int,
        reduction: int = 16,
        *,
        hidden: int = 0,
        activation: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        hidden = hidden or max(1, c // reduction)  # at least one, however few channels there are
        layers = {
            "squeeze": nn.AdaptiveAvgPool2d(1),
            "reduce": nn.Conv2d(c, hidden, 1),
            "activation": activation(),
            "expand": nn.Conv2d(hidden, c, 1),
            "gate": gate(),
        }
        self.excitation = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its channels weighed."""
        return x * cast(Tensor, self.excitation(x))


class StochasticDepth(nn.Module):
    """Leave out, in training, a share `rate` of the images of a residual branch, and divide the others by 1 - rate.

    Huang et al. 2016, arXiv:1603.09382, with the scaling at training instead of evaluation, which changes nothing.

    (N, ...) -> (N, ...), the same dtype
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, in training with zeros for some images."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty(x.shape[0], *(1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return the rate, for printouts."""
        return f"rate={self.rate:g}"


def stochastic_depths(rate: float, blocks: int) -> Iterator[StochasticDepth]:
    """Yield the `StochasticDepth` of each of so many `blocks`: rates from 0 for the first to `rate` for the last.

    Raises:
        UsageError: `rate` does not lie from 0 to below 1.
    """
    if not 0 <= rate < 1:
        raise UsageError(f"`stochastic_depth` (={rate}) must be at least 0 (none) and below 1.")
    return (StochasticDepth(rate * i / max(1, blocks - 1)) for i in range(blocks))


class LocallyConnected2d(nn.Module):
    """A convolution with a kernel, and a bias, of its own for each output position: windows without sharing.

    y[n, o, i] = bias[o, i] + sum over c and k of weight[o, c, k, i] x[n, c, stride i + k]

    `weight` is (c_out, c_in, kernel, kernel, H', W'), drawn as nn.Conv2d draws; `size` is (H, W) of the input.

    (N, c_in, H, W) -> (N, c_out, H', W')
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, *, size: tuple[int, int], stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.size, self.kernel, self.stride, self.padding = size, kernel, stride, padding
        out = [convolved(pixels, kernel, stride=stride, padding=padding) for pixels in size]
        # nn.Conv2d's own bound, 1 / sqrt(fan-in); each output position draws anew
        bound = (c_in * kernel**2) ** -0.5
        self.weight = nn.Parameter(torch.empty(c_out, c_in, kernel, kernel, *out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(c_out, *out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return the windows of `x`, each weighed by its own kernel."""
        if tuple(x.shape[2:]) != self.size:
            raise ShapeError(f"Input is {tuple(x.shape[2:])}, but the layer was built for `size` (={self.size}).")
        # (N, c_in kernel^2, positions) by (c_out, c_in kernel^2, positions)
        columns = nn.functional.unfold(x, self.kernel, stride=self.stride, padding=self.padding)
        y = torch.einsum("nkp,okp->nop", columns, self.weight.flatten(4).flatten(1, 3))
        return y.reshape(-1, *self.bias.shape) + self.bias


class PartialConv2d(nn.Module):
    """A convolution whose maps see only some of the input's, as a table of connections says: LeCun et al. 1989.

    `sees[i]` are the input maps of map i. (N, c_in, H, W) -> (N, len(sees), H - k + 1, W - k + 1)
    """

    def __init__(self, sees: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.sees = [list(inputs) for inputs in sees]
        self.maps = nn.ModuleList(nn.Conv2d(len(inputs), 1, kernel) for inputs in sees)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps."""
        return torch.cat([conv(x[:, inputs]) for conv, inputs in zip(self.maps, self.sees, strict=True)], dim=1)


class PaddedChannels(nn.Module):
    """Append channels of zeros: `before` and `after` those of the input.

    (N, c, H, W) -> (N, before + c + after, H, W)
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with channels of zeros."""
        return nn.functional.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        """Return how many channels are new, for printouts."""
        return f"{self.before}, {self.after}"


class PredefinedSparseConv2d(nn.Conv2d):
    """A convolution whose kernels have zeros at places that are fixed before training: Kundu et al. 2020.

    "Pre-defined sparsity for low-complexity convolutional neural networks", arXiv:2001.10710. Kernel (o, i) has the
    `(o + i) % period`-th of `period` patterns, each with `support` places that may be other than zero; the last `dense`
    of them have all. `pattern`, (period, kernel, kernel) bool, is part of the state. The weights are drawn as
    nn.Conv2d draws them, and then `thin`ned.

    (N, c_in, H, W) -> (N, c_out, H', W')

    Raises:
        UsageError: `support`, `period` or `dense` is out of range.
    """

    pattern: Tensor

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        *,
        support: int,
        period: int,
        dense: int = 0,
        seed: int = 0,
        **more: Any,
    ) -> None:
        super().__init__(c_in, c_out, kernel, **more)
        patterns = _support_sets(kernel**2, support, period=period, dense=dense, seed=seed)
        rows = [[place in places for place in range(kernel**2)] for places in patterns]
        self.register_buffer("pattern", torch.tensor(rows).reshape(period, kernel, kernel))
        which = np.add.outer(np.arange(c_out), np.arange(self.in_channels // self.groups)) % period
        self.nonzero = int(np.array([len(places) for places in patterns])[which].sum())
        """How many of the weights may be other than zero."""
        self.thin()

    @property
    def mask(self) -> Tensor:
        """Where the weights may be other than zero: bool, in the shape of the weight."""
        c_out, c_in = (torch.arange(count, device=self.pattern.device) for count in self.weight.shape[:2])
        return self.pattern[(c_out[:, None] + c_in) % len(self.pattern)]

    def thin(self) -> None:
        """Set weights drawn for full kernels to zero where they are to be, and scale the others up.

        By sqrt(all / nonzero), so that the outputs keep their variance: what counts is the fan-in that is left.
        """
        with torch.no_grad():
            self.weight.mul_(self.mask * (self.weight.numel() / self.nonzero) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of `x`; the zeros hold whatever an optimiser has made of the weights there."""
        return cast(Tensor, self._conv_forward(x, self.weight * self.mask, self.bias))


def _support_sets(places: int, support: int, *, period: int, dense: int, seed: int) -> list[set[int]]:
    """Return which of a kernel's places each pattern has: the next `support` of a shuffled circle, in turn."""
    if not 1 <= support <= places:
        raise UsageError(f"`support` (={support}) must be from 1 to {places}, the number of positions in a kernel.")
    if period < 1 or not 0 <= dense <= period:
        raise UsageError(f"`period` (={period}) must be at least 1, and `dense` (={dense}) be from 0 to that.")
    circle = list(range(places))
    random.Random(seed).shuffle(circle)  # noqa: S311 (no secret)
    sparse = [{circle[(i * support + j) % places] for j in range(support)} for i in range(period - dense)]
    return [*sparse, *(set(circle) for _ in range(dense))]


def predefine_zeros(model: nn.Module, *, support: int, period: int, dense: int = 0, seed: int = 0) -> None:
    """Give every k x k convolution of `model`, k > 1, but the first, fixed zeros in place of some of its weights.

    Its weights are taken over, and scaled as by `PredefinedSparseConv2d.thin`; they are float32, as drawn.
    """
    found = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    for path, layer in found[1:]:
        kernel, other = layer.kernel_size
        if kernel != other or kernel == 1:
            continue
        more = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")}
        more |= {"support": support, "period": period, "dense": dense, "seed": seed, "bias": layer.bias is not None}
        sparse = PredefinedSparseConv2d(layer.in_channels, layer.out_channels, kernel, **more)
        sparse.load_state_dict({**layer.state_dict(), "pattern": sparse.pattern})
        sparse.thin()
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, sparse)


def channels_last(model: nn.Module) -> nn.Module:
    """Lay the weights of convolutions over images channels-last in memory, of any dtype; return the network.

    Those along one axis or three stay as they are.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim == 4:
            # not `contiguous`, which leaves those of one channel as they are: other kernels, other last digits
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return model


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy of a network, also of one with weights that are computed from others: `weight_norm`, pruning.

    Tensors are of any shape and dtype. Those weights lie in the copy without the graph that computed them; every
    forward pass computes them anew.
    """
    return copy.deepcopy(model, {id(tensor): tensor.detach().clone() for tensor in computed(model)})


def sharing(model: nn.Module) -> nn.Module:
    """Return a copy of a network that shares its tensors, of any shape and dtype; hooks on one see none of the other.

    So several threads can look at what a network does, each at a copy of its own.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, {**shared, **{id(tensor): tensor.detach() for tensor in computed(model)}})


def takes(model: nn.Module, x: Tensor) -> bool:
    """Return whether a network answers inputs (N, C, H, W) float32 of this size, in evaluation mode.

    Those that flatten their maps take one size; behind a global pooling any will do.
    """
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(x)
    except (RuntimeError, ShapeError):
        return False
    finally:
        model.train(training)
    return True


def computed(model: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors, of any shape and dtype, that modules keep as attributes and that hang in a graph."""
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor) and not value.is_leaf)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Return `x` (N, C, H, W), any dtype, with its channels dealt out: group by group becomes one of each in turn.

    Channels 0 1 2 3 4 5 in 2 groups become 0 3 1 4 2 5. Zhang et al. 2017, arXiv:1707.01083, figure 1(c).

    Raises:
        ShapeError: `groups` does not divide C.
    """
    N, C, H, W = x.shape
    if C % groups:
        raise ShapeError(f"`groups` (={groups}) must divide the channels (={C}).")
    return x.reshape(N, groups, C // groups, H, W).transpose(1, 2).reshape(N, C, H, W)


_RANDOM_FILLS = (
    *(Tensor.normal_, Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_),  # those that PyTorch shows to a function mode
)


class Unfilled(TorchFunctionMode):
    """While active, new weights are not drawn: those of a file are about to replace them, or none are needed."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch."""
        given = kwargs or {}
        if func in _RANDOM_FILLS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)
