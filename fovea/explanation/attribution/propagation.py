"""How something else than the derivative goes back through a network: relevance, or what contributes to a difference.

Networks call the functions of PyTorch in modules, by `torch.nn.functional`, and as methods of tensors. A function mode
sees them all, in place or not, and puts the rule of a method in the place of each. Tensors are of any shape and float
dtype; the first dimension is that of the images.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from fovea.errors import UsageError
from fovea.hooks import tensors_in


def depends(value: Any) -> bool:
    """Return whether a value is computed from the input: a tensor (any shape and dtype) in its graph."""
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)


class Call(NamedTuple):
    """One call of a function of PyTorch: `call()` makes it."""

    name: str
    """Without what tells functions from methods and in-place forms: `relu` for F.relu, Tensor.relu_, torch.relu."""
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inplace: bool

    @classmethod
    def of(cls, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Self:
        """Return a call, its first argument among `args` even if it was given by name."""
        name, given = func.__name__, dict(kwargs)
        inplace = (name.endswith("_") and not name.endswith("__")) or bool(given.get("inplace"))
        if name == "__get__":  # a property
            name = cast(Any, func).__self__.__name__
        if not args and "input" in given:
            args = (given.pop("input"),)
        return cls(name.strip("_"), func, tuple(args), given, inplace)

    def __call__(self) -> Any:
        """Return the result of the call as it stands, by PyTorch's own derivative."""
        return self.func(*self.args, **self.kwargs)

    def on(self, *tensors: Tensor) -> Any:
        """Return the result with `tensors` (any shapes and dtypes) for those that depend on the input; none changes."""
        leaves, structure = tree_flatten((self.args, self.kwargs))
        fresh = iter(tensors)
        leaves = [next(fresh) if depends(leaf) else leaf for leaf in leaves]
        args, kwargs = tree_unflatten(leaves, structure)
        if self.inplace:
            args = (args[0].clone(), *args[1:])
        return self.func(*args, **kwargs)

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors, of any shapes and dtypes, among the arguments that depend on the input."""
        return [leaf for leaf in tree_flatten((self.args, self.kwargs))[0] if depends(leaf)]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """Return the argument at a place or of a name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


Rule = Callable[[Call], Any]
"""Returns what the call returns, in a graph whose backward pass is that of a method."""


class Rules(TorchFunctionMode):
    """While active, each function of what depends on the input is called by the rule of its name.

    `native` functions keep their derivative, all those without a rule where it is None; `written_out` are replaced by
    functions that call others, under rules of their own.

    Raises:
        UsageError: a function has no rule, or a layer is in training mode.
    """

    def __init__(
        self,
        method: str,
        rules: Mapping[str, Rule],
        *,
        native: frozenset[str] | None = None,
        written_out: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__()
        self.method, self.rules, self.native, self.written_out = method, rules, native, written_out or {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch."""
        given = kwargs or {}
        tensors = tensors_in((args, given))
        if not tensors:
            return func(*args, **given)
        if not any(map(depends, tensors)):
            # what is computed from weights alone, as by weight norm, must not look like what depends on the input
            with torch.no_grad():
                result = func(*args, **given)
            if any(result is one for one in tensors):
                return result
            # a view of a weight says even so that it needs a gradient
            return tree_map_only(Tensor, lambda one: one.detach() if depends(one) else one, result)
        call = Call.of(func, args, given)
        result = self._ruled(call)
        if call.inplace and result is not call.args[0]:
            return call.args[0].copy_(result)
        return result

    def _ruled(self, call: Call) -> Any:
        if self.native is not None and (call.kwargs.get("training") or call.kwargs.get("use_input_stats") is False):
            raise UsageError(f"`{self.method}` needs a network in evaluation mode; call its `eval()` first.")
        if call.name in self.rules:
            return self.rules[call.name](call)
        if call.name in self.written_out:
            with self:
                return self.written_out[call.name](*call.args, **call.kwargs)
        result = call()
        if self.native is not None and call.name not in self.native and any(map(depends, tensors_in(result))):
            raise self.without_rule(call)
        return result

    def without_rule(self, call: Call) -> UsageError:
        """Return the error for a call that the method does not cover."""
        name = resolve_name(call.func) or call.name
        return UsageError(
            f"`{self.method}` has no rule for `{name}`, which this network uses; `gradcam` and "
            "`integrated_gradients` work for any network."
        )


class Replaced(torch.autograd.Function):
    """A function with a backward pass of its own.

    `forward(*tensors)` gives the output and what `backward(gradient, *kept)` gets, which gives one gradient for each of
    the tensors, None for none.
    """

    @staticmethod
    def forward(ctx: Any, forward: Callable[..., Any], backward: Callable[..., Any], *tensors: Tensor) -> Tensor:
        """Return the output, of any shape and dtype."""
        output, *kept = forward(*tensors)
        ctx.save_for_backward(*kept)
        ctx.rule = backward
        return cast(Tensor, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Return the gradients, in the shapes and dtypes of the tensors."""
        return None, None, *ctx.rule(gradients[0], *ctx.saved_tensors)


def replaced(forward: Callable[..., Any], backward: Callable[..., Any], *tensors: Tensor) -> Tensor:
    """Return `forward(*tensors)[0]`, of any shape and dtype, with `backward` in the place of the derivative."""
    return cast(Tensor, Replaced.apply(forward, backward, *tensors))  # type: ignore[no-untyped-call]


def secant(function: Callable[[Tensor], Tensor], x: Tensor, start: Tensor, rise: Tensor) -> Tensor:
    """Return `rise` / (x - start), element by element; the derivative of `function` where the two are nearly the same.

    `rise` is f(x) - f(start); all have the same shape and dtype, float. The derivative is the mean of those at both.
    """
    step = x - start
    near = nearly_same(x, start)
    slope = rise / torch.where(near, 1.0, step)
    if not near.any():
        return slope
    return torch.where(near, (_derivative(function, x) + _derivative(function, start)) / 2, slope)


def nearly_same(x: Tensor, other: Tensor) -> Tensor:
    """Return where the difference of two float tensors of one shape is mostly rounding: bool."""
    return (x - other).abs() <= 16 * torch.finfo(x.dtype).eps * torch.maximum(x.abs(), other.abs())


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        given = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(given).sum(), given)
    return gradient


RECTIFIERS = frozenset("relu relu6 hardtanh clamp clamp_min clip threshold".split())
"""Functions that cut what is below 0, some of them only by their arguments."""

SMOOTH = frozenset(
    "leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish softplus softsign tanhshrink softshrink hardshrink "
    "log_sigmoid".split()
)
"""Activations, element by element, that are not rectifiers."""

CURVES = frozenset("sigmoid hardsigmoid tanh erf exp expm1 pow square abs sin cos clamp_max".split())
"""Other functions of each element by itself."""

ARRANGED = frozenset(
    "view reshape flatten unflatten permute transpose t T mT H movedim moveaxis swapaxes swapdims squeeze unsqueeze "
    "ravel expand expand_as broadcast_to repeat tile repeat_interleave view_as reshape_as contiguous clone to float "
    "double half bfloat16 type type_as cat concat concatenate stack hstack vstack chunk split tensor_split "
    "split_with_sizes unbind getitem setitem narrow select index_select gather take_along_dim flip roll "
    "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle unfold fold copy positive "
    "dropout dropout1d dropout2d dropout3d feature_dropout alpha_dropout feature_alpha_dropout".split()
)
"""Functions that move values about, or copy them."""

POOLED = frozenset(
    "sum mean cumsum neg avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "interpolate upsample".split()
)
"""Sums with fixed weights and nothing added."""

CONVOLVED = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear".split()  # (input, weight, bias)
)
MULTIPLIED = frozenset("mul multiply matmul mm bmm einsum rmatmul".split())
"""Functions that are linear in each of two factors."""

SHIFTED = frozenset("add sub subtract rsub pad masked_fill".split())
"""Functions of one or two that depend on the input, linear but for something added."""

CHOSEN = frozenset(
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d amax amin maximum "
    "minimum fmax fmin".split()
)
"""Functions whose outputs are one of their inputs each."""
