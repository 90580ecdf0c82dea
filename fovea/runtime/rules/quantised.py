"""Operations between floats and the bytes of quantised networks."""

from fovea.runtime.rules.interface import FLOATS, Applied, Known, Made, RefusedError, rule

_QUANTISED = frozenset({"uint8", "int8", "uint16", "int16", "int32"})


@rule("QuantizeLinear", attributes={"axis": int, "saturate": int, "block_size": int, "output_dtype": int})
def quantise(given: Applied) -> Made:
    """Return floats in bytes; the type is that of the zero point, uint8 without."""
    given.only(2, 3)
    x, scale, point = given.typed(0, FLOATS | {"int32"}), given.typed(1, FLOATS), given.maybe(2)
    given.whole("output_dtype", 0, least=0, most=0)
    _check_scale(given, x, scale, point)
    dtype = "uint8" if point is None else point.dtype
    if dtype not in _QUANTISED:
        raise RefusedError(f"it makes {dtype}")
    return given.one(dtype, x.shape)


@rule("DequantizeLinear", attributes={"axis": int, "block_size": int})
def dequantise(given: Applied) -> Made:
    """Return bytes as floats, of the type of the scale."""
    given.only(2, 3)
    x, scale, point = given.typed(0, _QUANTISED), given.typed(1, FLOATS), given.maybe(2)
    _check_scale(given, x, scale, point)
    if point is not None and point.dtype != x.dtype:
        raise RefusedError(f"its zero point is {point.dtype}, its input {x.dtype}")
    return given.one(scale.dtype, x.shape)


@rule("DynamicQuantizeLinear", outputs=3)
def quantise_dynamically(given: Applied) -> Made:
    """Return floats in bytes, with the scale and zero point that were found for them."""
    given.only(1)
    x = given.typed(0, frozenset({"float32"}))
    return Made((given.known("uint8", x.shape), given.known("float32", ()), given.known("uint8", ())), 2 * x.size)


@rule("QLinearMatMul")
def quantised_matmul(given: Applied) -> Made:
    """Return the product of two matrices in bytes."""
    from fovea.runtime.rules.reductions import matmul

    given.only(8)
    for index in (1, 2, 6, 7):
        if given.tensor(index).size != 1:
            raise RefusedError(f"its input {index} is not a single scale or zero point")
    for index in (4, 5):
        if given.tensor(index).shape not in ((), (1,), given.tensor(3).shape[-1:]):
            raise RefusedError(f"its input {index}, a scale or zero point, does not fit its weights")
    plain = given._replace(inputs=(given.tensor(0), given.tensor(3)._replace(dtype=given.tensor(0).dtype)))
    made = matmul(plain)
    (output,) = made.outputs
    return Made(
        (given.known(given.tensor(7).dtype, output.shape),), output.size, made.products, workspace=4 * output.size
    )


def _check_scale(given: Applied, x: Known, scale: Known, point: Known | None) -> None:
    """Refuse scales that are neither single nor one for each length of an axis."""
    given.whole("block_size", 0, least=0, most=0)
    axis = given.node.attributes.get("axis", 1)
    if scale.shape not in ((), (1,)):
        length = x.shape[given.axis(axis, len(x.shape))]
        if scale.shape != (length,):
            raise RefusedError(f"its scales are {scale.shape}, and its axis has a length of {length}")
    if point is not None and point.shape != scale.shape:
        raise RefusedError(f"its scales are {scale.shape} and its zero points {point.shape}")
