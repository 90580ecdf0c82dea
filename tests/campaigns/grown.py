"""Networks grown at random from operators that are allowed, with attributes at and beyond their bounds.

What the walk lets through, onnxruntime must bear.
"""

import contextlib
from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_files import nodes, onnx_model, tensors

ODD = (-(2**31), -5, -2, 0, 5, 7, 64, 1000, 2**20, 2**31 - 1)
TYPES = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8, TensorProto.BOOL)
TYPES += (TensorProto.FLOAT16, TensorProto.DOUBLE)


class Growing:
    """A graph while it grows: the last value's name, and what has been made so far."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.nodes = list(nodes()[:3])
        self.tensors = list(tensors())
        self.made = ["normalised"]
        self.C = 3

    def whole(self, low: int, high: int) -> int:
        """Return a number within bounds; now and then another one."""
        return self.chance.choice(ODD) if self.chance.random() < 0.04 else self.chance.randint(low, high)

    def wholes(self, count: int, low: int, high: int) -> list[int]:
        return [self.whole(low, high) for _ in range(count)]

    def stored(self, values) -> str:
        name = f"t{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def floats(self, *shape) -> str:
        shape = tuple(max(0, min(int(length), 64)) for length in shape)
        values = np.random.default_rng(self.chance.randrange(1000)).normal(size=shape).astype(np.float32)
        if self.chance.random() < 0.05:
            values = values * np.float32(self.chance.choice((0, np.inf, np.nan, 1e30)))
        return self.stored(values)

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str:
        names = [f"v{len(self.nodes)}.{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        self.made.append(names[0])
        return names[0]

    @property
    def last(self) -> str:
        """Return the last value; now and then an earlier one."""
        return self.chance.choice(self.made) if self.chance.random() < 0.1 else self.made[-1]


def _window(g: Growing) -> dict:
    axes = 2 if g.chance.random() < 0.97 else g.chance.choice((1, 3))
    attributes = {"strides": g.wholes(axes, 1, 3), "pads": g.wholes(2 * axes, 0, 2), "dilations": g.wholes(axes, 1, 2)}
    return {name: values for name, values in attributes.items() if g.chance.random() < 0.6}


def conv(g: Growing) -> None:
    group = g.chance.choice((1, 1, 1, g.C))
    c_out = group * g.chance.randint(1, 3)
    weight = g.floats(c_out, max(1, g.C // group), g.chance.randint(1, 3), g.chance.randint(1, 3))
    bias = [g.floats(c_out)] if g.chance.random() < 0.5 else []
    g.add("Conv", g.last, weight, *bias, group=group if g.chance.random() < 0.95 else g.whole(0, 5), **_window(g))
    g.C = c_out


def pool(g: Growing) -> None:
    operator = g.chance.choice(("MaxPool", "AveragePool", "LpPool"))
    own = {"MaxPool": {"storage_order": 0}, "AveragePool": {"count_include_pad": g.whole(0, 1)}, "LpPool": {"p": 2}}
    ceil = {"ceil_mode": 1} if g.chance.random() < 0.4 else {}
    g.add(operator, g.last, kernel_shape=g.wholes(2, 1, 3), **own[operator], **ceil, **_window(g))


def unary(g: Growing) -> None:
    names = ("Relu", "Sigmoid", "Tanh", "Softplus", "Erf", "HardSwish", "Mish", "Neg", "Abs", "Exp", "Log", "Sqrt")
    names += ("Reciprocal", "Floor", "Round", "Sin", "Identity", "Sign", "Not", "LeakyRelu", "Elu", "Selu", "Gelu")
    g.add(g.chance.choice((*names, "HardSigmoid", "Celu", "ThresholdedRelu", "Softsign")), g.last)


def binary(g: Growing) -> None:
    operator = g.chance.choice(
        ("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "PRelu", "Equal", "Less", "Sum")
    )
    shape = g.chance.choice(((), (1,), (g.C, 1, 1), (1, g.C, 1, 1), (4,), (2, 1, 1, 1, 1)))
    other = g.last if g.chance.random() < 0.2 else g.floats(*shape)
    if g.chance.random() < 0.15:
        other = g.stored(np.array(g.wholes(1, -2, 4), g.chance.choice((np.int64, np.int32, np.uint8))))
    fmod = {"fmod": 1} if operator == "Mod" and g.chance.random() < 0.7 else {}
    g.add(operator, *((g.last, other) if g.chance.random() < 0.8 else (other, g.last)), **fmod)


def norm(g: Growing) -> None:
    operator = g.chance.choice(("BatchNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "Softmax"))
    if operator == "LRN":
        g.add(operator, g.last, size=g.whole(1, 5))
    elif operator in ("LayerNormalization", "Softmax"):
        weights = [g.floats(g.chance.choice((1, 2, 3, 4)))] if operator == "LayerNormalization" else []
        g.add(operator, g.last, *weights, axis=g.whole(-2, 3))
    else:
        count = 4 if operator == "BatchNormalization" else 2
        g.add(operator, g.last, *(g.floats(g.C) for _ in range(count)))


def resize(g: Growing) -> None:
    mode = g.chance.choice(("nearest", "linear", "cubic"))
    how = g.chance.choice(("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"))
    extra = {"antialias": 1} if g.chance.random() < 0.2 else {}
    extra |= {"exclude_outside": 1} if g.chance.random() < 0.1 else {}
    if g.chance.random() < 0.5:
        factors = [1, 1, *(g.chance.choice((0.3, 0.5, 1, 1.5, 2, 3, 1e-6, 1e6, -1)) for _ in range(2))]
        given = ["", g.stored(np.array(factors, np.float32))]
    else:
        given = ["", "", g.stored(np.array([g.whole(1, 1), g.C, *g.wholes(2, 1, 9)]))]
    g.add("Resize", g.last, *given, mode=mode, coordinate_transformation_mode=how, **extra)


def layout(g: Growing) -> None:
    act = g.chance.randrange(12)
    x = g.last
    if act == 0:
        order = [0, 1, 2, 3]
        g.chance.shuffle(order)
        g.add("Transpose", x, perm=order if g.chance.random() < 0.9 else g.wholes(4, -1, 4))
    elif act == 1:
        g.add(
            "Reshape",
            x,
            g.stored(np.array([0, *g.chance.choice(((-1,), (g.C, -1), (-1, 2), tuple(g.wholes(3, -1, 6))))])),
        )
    elif act == 2:
        g.add("Flatten", x, axis=g.whole(-2, 3))
    elif act == 3:
        axes = g.chance.sample(range(-2, 4), g.chance.randint(1, 2))
        wanted = [g.wholes(len(axes), -6, 6) for _ in range(2)]
        steps = [g.chance.choice((1, 2, -1, -2, 0, -(2**63), 2**62)) for _ in axes]
        g.add("Slice", x, *(g.stored(np.array(values, np.int64)) for values in (*wanted, axes, steps)))
    elif act == 4:
        mode = g.chance.choice(("constant", "reflect", "edge"))
        g.add(
            "Pad",
            x,
            g.stored(np.array([0, g.whole(0, 1), *g.wholes(2, 0, 3), 0, g.whole(0, 1), *g.wholes(2, 0, 3)])),
            mode=mode,
        )
    elif act == 5:
        g.add("Concat", x, g.last, *([g.last] if g.chance.random() < 0.3 else []), axis=g.whole(-2, 3))
    elif act == 6:
        g.add("Split", x, g.stored(np.array(g.wholes(2, 1, 2))), outputs=2, axis=g.whole(1, 3))
    elif act == 7:
        indices = np.array(g.wholes(g.chance.randint(1, 4), -3, 3), np.int64)
        g.add(
            "Gather", x, g.stored(indices if g.chance.random() < 0.7 else indices.reshape(1, -1)), axis=g.whole(-2, 3)
        )
    elif act == 8:
        g.add("Unsqueeze", x, g.stored(np.array([g.whole(-2, 4)])))
    elif act == 9:
        g.add("Expand", x, g.stored(np.array(g.wholes(g.chance.randint(1, 5), 1, 4))))
    elif act == 10:
        g.add("Tile", x, g.stored(np.array([1, *g.wholes(3, 1, 3)])))
    else:
        g.add(g.chance.choice(("SpaceToDepth", "DepthToSpace")), x, blocksize=g.whole(1, 3))


def reduce(g: Growing) -> None:
    names = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceLogSumExp")
    axes = g.chance.sample(range(-2, 4), g.chance.randint(1, 2))
    if g.chance.random() < 0.15:
        g.add("ArgMax", g.last, axis=g.whole(1, 3), keepdims=1, select_last_index=g.whole(0, 1))
    elif g.chance.random() < 0.15:
        g.add("CumSum", g.last, g.stored(np.array(g.whole(-2, 3))), exclusive=g.whole(0, 1), reverse=g.whole(0, 1))
    else:
        g.add(g.chance.choice(names), g.last, g.stored(np.array(axes)), keepdims=g.whole(0, 1))


def convert(g: Growing) -> None:
    """Change the type, or look up by values that only the image knows."""
    act = g.chance.random()
    if act < 0.5:
        g.add("Cast", g.last, to=g.chance.choice(TYPES))
    elif act < 0.8:
        index = g.add("Cast", g.last, to=TensorProto.INT64)
        operator, table = g.chance.choice((("Gather", g.floats(6)), ("GatherND", g.floats(6, 2))))
        g.add(operator, table, index)
    else:
        mask = g.add("Greater", g.last, g.floats())
        g.add("Where", mask, g.last, g.floats())


def matrix(g: Growing) -> None:
    if g.chance.random() < 0.3:
        g.add("MatMul", g.last, g.last)
        return
    inner, wide = g.chance.choice((2, 3, 4, 48)), g.chance.randint(1, 4)
    if g.chance.random() < 0.5:
        flat = g.add("Flatten", g.last, axis=1)
        c = [g.floats(*g.chance.choice(((wide,), (1, wide), (), (2, wide))))] if g.chance.random() < 0.5 else []
        g.add("Gemm", flat, g.floats(wide, inner), *c, transB=1, transA=g.whole(0, 0), alpha=0.5)
    else:
        g.add("MatMul", g.last, g.floats(inner, wide))


def quantised(g: Growing) -> None:
    per_channel = g.chance.random() < 0.4
    length = (g.C,) if per_channel else g.chance.choice(((), (1,)))
    dtype = g.chance.choice((np.uint8, np.int8, np.uint8, np.int16, np.uint16, np.int32))
    scale = g.stored(np.full(length, g.chance.choice((0.05, 0.05, 0, np.nan, 1e-40, -1)), np.float32))
    point = g.stored(np.full(length, g.whole(0, 100) % 120, dtype))
    axis = {"axis": g.whole(1, 1)} if per_channel else {}
    act = g.chance.random()
    q = g.add("QuantizeLinear", g.last, scale, point, **axis)
    if act < 0.5:
        g.add("DequantizeLinear", q, scale, point, **axis)
    elif act < 0.75:
        c_out = g.chance.randint(1, 4)
        weight = g.stored(
            np.random.default_rng(0).integers(-90, 90, (c_out, g.C, g.chance.randint(1, 3), 2)).astype(np.int8)
        )
        ws = g.stored(np.full(g.chance.choice(((), (c_out,))), 0.02, np.float32))
        wz = g.stored(np.zeros(g.chance.choice(((), (c_out,))), np.int8))
        bias = [g.stored(np.zeros(c_out, np.int32))] if g.chance.random() < 0.5 else []
        made = g.add("QLinearConv", q, scale, point, weight, ws, wz, scale, point, *bias, **_window(g))
        g.add("DequantizeLinear", made, scale, point)
        g.C = c_out
    else:
        made = g.add("ConvInteger", q, g.stored(np.ones((2, g.C, 2, 2), np.uint8)), point, **_window(g))
        g.add("Cast", made, to=TensorProto.FLOAT)
        g.C = 2


STEPS = (conv, conv, pool, pool, unary, unary, binary, binary, norm, resize, layout, layout, layout, reduce, convert)
STEPS += (matrix, quantised, quantised)


def grown(chance: Random) -> bytes:
    """Return an `.onnx` file of one to eight random steps, whatever comes of them as logits."""
    g = Growing(chance)
    for _ in range(chance.randint(1, 8)):
        with contextlib.suppress(OverflowError):  # a number that NumPy's type does not hold: the step is left out
            chance.choice(STEPS)(g)
    g.add("Cast", g.made[-1], to=TensorProto.FLOAT)
    flat = g.add("Flatten", g.made[-1], axis=1)
    mean = g.add("ReduceMean", flat, g.stored(np.array([1])), keepdims=1)
    fine = g.add("Clip", mean, g.stored(np.float32(-9)), g.stored(np.float32(9)))
    weights = g.stored(np.arange(3, dtype=np.float32))
    g.nodes += [helper.make_node("Mul", [fine, weights], ["logits"]), nodes()[-1]]
    model: onnx.ModelProto = onnx_model(nodes=g.nodes, tensors=g.tensors)
    content: bytes = model.SerializeToString()
    return content
