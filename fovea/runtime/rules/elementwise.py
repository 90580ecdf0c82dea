"""Operations on each value by itself: activations, arithmetic, comparisons, conversions."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.runtime.onnx_file import DTYPES
from fovea.runtime.rules.interface import (
    FLOATS,
    MOST_VALUES,
    WHOLE,
    Applied,
    Known,
    Made,
    RefusedError,
    broadcast,
    rule,
)

MOST_INPUTS = 1000
SLOW = 10
"""How many times as long a power takes as a sum."""

_EVALUATED: Mapping[str, Callable[..., NDArray[Any]]] = {
    **{"Neg": np.negative, "Abs": np.abs, "Floor": np.floor, "Ceil": np.ceil, "Identity": np.array, "Not": np.invert},
    **{"Sqrt": np.sqrt, "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Min": np.minimum, "Max": np.maximum},
    **{"Equal": np.equal, "Less": np.less, "LessOrEqual": np.less_equal, "Greater": np.greater},
    **{"GreaterOrEqual": np.greater_equal, "And": np.logical_and, "Or": np.logical_or, "Where": np.where},
}
"""What shapes are computed with."""


@rule("Relu", "Sigmoid", "Tanh", "Softsign", "Softplus", "Erf", "HardSwish", "Mish", "Neg", "Abs", "Identity", "Sign")
@rule("Exp", "Log", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round", "Sin", "Cos")
@rule("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", attributes={"alpha": float})
@rule("Selu", attributes={"alpha": float, "gamma": float})
@rule("HardSigmoid", attributes={"alpha": float, "beta": float})
@rule("Gelu", attributes={"approximate": bytes})
@rule("Not")
def unary(given: Applied) -> Made:
    """Return one output like the input."""
    given.only(1)
    x = given.tensor(0)
    return _made(given, x.dtype, x.shape)


@rule("Clip")
def clip(given: Applied) -> Made:
    """Return one output like the first input; the bounds are single values."""
    given.only(1, 2, 3)
    x = given.tensor(0)
    for index in (1, 2):
        bound = given.maybe(index)
        if bound is not None and (bound.size != 1 or bound.dtype != x.dtype):
            raise RefusedError("its bounds are not single values of its type")
    return _made(given, x.dtype, x.shape)


@rule("Add", "Sub", "Mul", "Pow", "PRelu", "Div")
@rule("Mod", attributes={"fmod": int})
def arithmetic(given: Applied) -> Made:
    """Return one output of two inputs, stretched to each other."""
    given.only(2)
    a, b = given.tensor(0), given.tensor(1)
    shape = broadcast(a.shape, b.shape)
    operator = given.node.operator
    if operator != "Pow" and a.dtype != b.dtype:
        raise RefusedError(f"its inputs are {a.dtype} and {b.dtype}")
    if operator == "PRelu" and shape != a.shape:
        raise RefusedError("its slopes have another shape than its input")
    if operator in ("Div", "Mod") and a.dtype in WHOLE:
        return _divided(given, a, b, shape)
    return _made(given, a.dtype, shape)


@rule("Min", "Max", "Sum", "Mean")
def variadic(given: Applied) -> Made:
    """Return one output of any number of inputs, stretched to each other."""
    if not 1 <= len(given.inputs) <= MOST_INPUTS:
        raise RefusedError(f"it has {len(given.inputs)} inputs")
    tensors = [given.tensor(index) for index in range(len(given.inputs))]
    _alike(tensors)
    return _made(given, tensors[0].dtype, broadcast(*(tensor.shape for tensor in tensors)))


@rule("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor")
def comparison(given: Applied) -> Made:
    """Return one output of truth values."""
    given.only(2)
    a, b = given.tensor(0), given.tensor(1)
    _alike([a, b])
    return _made(given, "bool", broadcast(a.shape, b.shape))


@rule("Where")
def where(given: Applied) -> Made:
    """Return one output that is chosen from two others."""
    given.only(3)
    condition, a, b = given.typed(0, frozenset({"bool"})), given.tensor(1), given.tensor(2)
    _alike([a, b])
    return _made(given, a.dtype, broadcast(condition.shape, a.shape, b.shape))


@rule("Cast", attributes={"to": int, "saturate": int})
def cast(given: Applied) -> Made:
    """Return the input in another type."""
    given.only(1)
    x = given.tensor(0)
    dtype = DTYPES.get(given.node.attributes.get("to", 0))
    if dtype is None:
        raise RefusedError("it produces an unknown type")
    values = x.values
    if values is not None and values.dtype.kind == "f" and dtype not in FLOATS:
        values = np.trunc(values) if np.isfinite(values).all() and (np.abs(values) < 2**31).all() else None
    return given.one(dtype, x.shape, values=values)


def _divided(given: Applied, a: Known, b: Known, shape: tuple[int, ...]) -> Made:
    """Return the quotients or remainders of whole numbers; dividing by 0 ends the process, so divisors are known."""
    if b.values is None or not (b.values > 0).all():
        raise RefusedError("it divides whole numbers by a value that may not be above 0")
    values = None
    if a.values is not None and math.prod(shape) <= MOST_VALUES:
        if (a.values < 0).any():  # rounded towards 0 or down: no shape needs it
            raise RefusedError("it divides numbers below 0")
        values = a.values // b.values if given.node.operator == "Div" else a.values % b.values
    return given.one(a.dtype, shape, values=values)


def _alike(tensors: list[Known]) -> None:
    if len({tensor.dtype for tensor in tensors}) > 1:
        raise RefusedError(f"its inputs are of the types {', '.join(sorted({tensor.dtype for tensor in tensors}))}")


def _made(given: Applied, dtype: str, shape: tuple[int, ...]) -> Made:
    """Return one output, which may take the place of an input, with its values where those of all inputs are known."""
    evaluate, values = _EVALUATED.get(given.node.operator), given.all_values()
    result = None
    if evaluate and values is not None and math.prod(shape) <= MOST_VALUES:
        with np.errstate(all="ignore"):
            result = _reduced(evaluate, values)
    output = given.known(dtype, shape, result)
    steps = SLOW * output.size if given.node.operator in ("Pow", "Mish") else output.size
    return Made((output,), steps, in_place=True)


def _reduced(evaluate: Callable[..., NDArray[Any]], values: list[NDArray[Any]]) -> NDArray[Any]:
    """Return what a function says of values; the smallest or largest of any number, one after the other."""
    if evaluate not in (np.minimum, np.maximum):
        return np.asarray(evaluate(*values))
    found = values[0]
    for value in values[1:]:
        found = evaluate(found, value)
    return found
