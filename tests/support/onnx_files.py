"""Small `.onnx` files made by hand, whose answers a reader can check by eye, as `fovea export` lays them out."""

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZE = 4
FIXED = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128}
EXPORT = {"precision": "float32", "raw": False, "dynamic_size": False, "opset": 20, "kept_float": [], "proof": {}}


def card_values(**changes):
    """Return the card of a network that knows red from green from blue, exported."""
    return {
        **{"format": 1, "fovea": "0.1.0", "architecture": "mlp"},
        "arguments": {"classes": 3, "c_in": 3, "size": SIZE, "widths": [3]},
        **{"task": "classes", "outputs": 3, "loss": "cross-entropy"},
        "preprocess": {"size": [SIZE, SIZE], "channels": 3, "fit": "squash", "mean": [0.0] * 3, "std": [1.0] * 3}
        | FIXED,
        **{"classes": ["red", "green", "blue"], "temperature": 1.0, "export": EXPORT},
        **changes,
    }


def nodes():
    """Return the nodes of that network: 6 x the mean of each channel, as logits, and their softmax."""
    return [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["normalised"]),
        helper.make_node("GlobalAveragePool", ["normalised"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]


def tensors():
    return [numpy_helper.from_array(np.float32(6 / 255), "scale")]


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def onnx_model(**changes):
    """Return the network as an onnx ModelProto; `nodes`, `tensors`, `inputs`, `outputs`, `card`, `metadata`, `opsets`
    and `batch` take the place of its own.
    """
    batch = changes.get("batch", "N")
    card = changes.get("card", card_values())
    graph = helper.make_graph(
        changes.get("nodes", nodes()),
        "network",
        changes.get("inputs", [value("images", TensorProto.UINT8, [batch, SIZE, SIZE, 3])]),
        changes.get(
            "outputs",
            [value(name, TensorProto.FLOAT, [batch, 3]) for name in ("probabilities", "logits")],
        ),
        initializer=changes.get("tensors", tensors()),
    )
    opsets = changes.get("opsets", [helper.make_opsetid("", 20)])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    own = {
        **({"fovea": json.dumps(card)} if card is not None else {}),
        **({"classes": json.dumps(card["classes"]), "preprocess": json.dumps(card["preprocess"])} if card else {}),
    }
    for key, text in changes.get("metadata", own).items():
        model.metadata_props.add(key=key, value=text)
    return model


def write_onnx(path, **changes):
    """Write `onnx_model(**changes)` to a path, and return the path."""
    path.write_bytes(onnx_model(**changes).SerializeToString())
    return path


def stored(**values):
    """Return tensors by name."""
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def network(body, **values):
    """Return `nodes` and `tensors` of a network: `body` makes `features` (N, C, ...) of `normalised` (N, 3, 4, 4).

    A node of `body` is its operator, inputs, outputs and attributes. `values` are its tensors.
    """
    made = [_node(*given) for given in body]
    head = [helper.make_node("Flatten", ["features"], ["flat"], axis=1)]
    head += [helper.make_node("MatMul", ["flat", "head"], ["logits"]), nodes()[-1]]
    return {"nodes": [*nodes()[:3], *made, *head], "tensors": [*tensors(), *stored(**values)]}


def _node(operator, inputs, outputs, attributes=None):
    return helper.make_node(operator, inputs.split(" "), outputs.split(" "), **attributes or {})


def noise(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def graphs():
    """Return what small networks of all kinds of operators change of `onnx_model`, by name."""
    return {
        "plain": {},
        "fixed": {"batch": 2},
        "convolution": network(
            [
                ("Conv", "normalised w1 b1", "c1", {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
                ("BatchNormalization", "c1 scale1 shift1 mean1 var1", "n1"),
                ("Clip", "n1 zero six", "r1"),
                ("Conv", "r1 w2", "c2", {"group": 4, "strides": [2, 2], "pads": [1, 1, 0, 0], "dilations": [1, 1]}),
                ("MaxPool", "r1", "m1", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
                ("AveragePool", "m1", "a1", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
                ("LRN", "a1", "l1", {"size": 3}),
                ("GlobalAveragePool", "l1", "g1"),
                ("GlobalMaxPool", "c2", "g2"),
                ("Add", "g1 g2", "features"),
            ],
            **{"w1": noise(4, 3, 3, 3), "b1": noise(4), "w2": noise(4, 1, 2, 2), "head": noise(4, 3)},
            **{name: np.ones(4, np.float32) for name in ("scale1", "shift1", "mean1", "var1")},
            **{"zero": np.float32(0), "six": np.float32(6)},
        ),
        "layout": network(
            [
                ("Split", "normalised pieces", "s1 s2", {"axis": 1}),
                ("Concat", "s2 s1", "k1", {"axis": 1}),
                ("Pad", "k1 pads value", "p1"),
                ("Slice", "p1 starts ends axes steps", "q1"),
                ("Resize", "q1  factors", "z1", {"mode": "linear"}),
                ("DepthToSpace", "z1", "d1", {"blocksize": 1}),
                ("SpaceToDepth", "d1", "e1", {"blocksize": 2}),
                ("Transpose", "e1", "t1", {"perm": [0, 2, 3, 1]}),
                ("Gather", "t1 chosen", "h1", {"axis": 3}),
                ("Unsqueeze", "h1 one", "u1"),
                ("Squeeze", "u1 one", "v1"),
                ("Tile", "v1 twice", "i1"),
                ("ReduceMax", "i1 last", "j1", {"keepdims": 0}),
                ("GatherND", "table places", "k2"),
                ("Mul", "j1 k2", "features"),
            ],
            **{"pieces": np.array([1, 2]), "pads": np.array([0, 0, 1, 0, 0, 0, 0, 1]), "value": np.float32(0.5)},
            **{
                "starts": np.array([0, -1]),
                "ends": np.array([4, -9]),
                "axes": np.array([2, 3]),
                "steps": np.array([1, -1]),
            },
            **{"factors": np.array([1, 1, 2, 1.6], np.float32), "chosen": np.array([0, -1, 5]), "one": np.array([1])},
            **{
                "twice": np.array([1, 1, 1, 2]),
                "last": np.array([-1]),
                "places": np.array([[1]]),
                "table": noise(2, 1),
            },
            head=noise(16, 3),
        ),
        "shapes": network(
            [
                ("Shape", "normalised", "shape"),
                ("Gather", "shape zero", "n", {"axis": 0}),
                ("Concat", "n rest", "wanted", {"axis": 0}),
                ("Reshape", "normalised wanted", "r1"),
                ("Slice", "shape zero one", "first"),
                ("ConstantOfShape", "first", "zeros"),
                ("Expand", "ones wanted2", "stretched"),
                ("Range", "start limit step", "counted"),
                ("Cast", "counted", "floats", {"to": TensorProto.FLOAT}),
                ("Mul", "r1 floats", "m1"),
                ("Less", "m1 stretched", "smaller"),
                ("Where", "smaller m1 stretched", "features"),
            ],
            **{"zero": np.array([0]), "one": np.array([1]), "rest": np.array([-1, 16]), "ones": noise(1, 1, 1)},
            **{"wanted2": np.array([1, 3, 16]), "start": np.array(0), "limit": np.array(16), "step": np.array(1)},
            head=noise(48, 3),
        ),
        "norms": network(
            [
                ("InstanceNormalization", "normalised s3 b3", "i1"),
                ("LayerNormalization", "i1 s4 b4", "l1", {"axis": -1}),
                ("Gelu", "l1", "g1"),
                ("PRelu", "g1 slope", "p1"),
                ("HardSwish", "p1", "h1"),
                ("ReduceMean", "h1 axes", "m1", {"keepdims": 1}),
                ("Sub", "h1 m1", "c1"),
                ("Pow", "c1 two", "v1"),
                ("ReduceSum", "v1 axes", "z1", {"keepdims": 0}),
                ("CumSum", "z1 axis", "q1"),
                ("LogSoftmax", "q1", "features", {"axis": 1}),
            ],
            **{"s3": noise(3), "b3": noise(3), "s4": noise(4), "b4": noise(4), "slope": noise(3, 1, 1)},
            **{"axes": np.array([2, 3]), "two": np.float32(2), "axis": np.array(1), "head": noise(3, 3)},
        ),
        "pairs": network(
            [
                ("QuantizeLinear", "normalised qs qz", "q1"),
                ("DequantizeLinear", "q1 qs qz", "d1"),
                ("DequantizeLinear", "w8 ws wz", "dw", {"axis": 0}),
                ("Conv", "d1 dw", "c1", {"pads": [1, 1, 1, 1]}),
                ("Relu", "c1", "r1"),
                ("QuantizeLinear", "r1 qs qz", "q2"),
                ("DequantizeLinear", "q2 qs qz", "d2"),
                ("GlobalAveragePool", "d2", "features"),
            ],
            **{
                "qs": np.float32(0.03),
                "qz": np.uint8(3),
                "ws": np.full(4, 0.02, np.float32),
                "wz": np.zeros(4, np.int8),
            },
            **{"w8": (20 * noise(4, 3, 3, 3)).astype(np.int8), "head": noise(4, 3)},
        ),
        "quantised": network(
            [
                ("QuantizeLinear", "normalised qs qz", "q1"),
                ("QLinearConv", "q1 qs qz w8 ws wz qs qz b32", "q2", {"pads": [1, 1, 1, 1]}),
                ("ConvInteger", "q2 w8b qz", "i2"),
                ("Cast", "i2", "f2", {"to": TensorProto.FLOAT}),
                ("DynamicQuantizeLinear", "f2", "y ys yz"),
                ("Reshape", "y wanted", "flat8"),
                ("MatMulInteger", "flat8 m8 yz", "i3"),
                ("Cast", "i3", "features", {"to": TensorProto.FLOAT}),
            ],
            **{
                "qs": np.float32(0.03),
                "qz": np.uint8(3),
                "ws": np.full(4, 0.02, np.float32),
                "wz": np.zeros(4, np.int8),
            },
            **{"w8": (20 * noise(4, 3, 3, 3)).astype(np.int8), "b32": np.zeros(4, np.int32)},
            **{"w8b": np.ones((2, 4, 2, 2), np.uint8), "wanted": np.array([0, -1]), "m8": np.ones((18, 4), np.int8)},
            head=noise(4, 3),
        ),
        "labels": {
            "card": card_values(format=2, task="labels", loss="bce", target={"thresholds": [0.5, 0.5, 0.5]}),
            "nodes": [
                *nodes()[:5],
                helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
                helper.make_node("Greater", ["probabilities", "thresholds"], ["present"]),
            ],
            "tensors": [*tensors(), *stored(thresholds=np.full(3, 0.5, np.float32))],
            "outputs": [
                value("probabilities", TensorProto.FLOAT, ["N", 3]),
                value("logits", TensorProto.FLOAT, ["N", 3]),
                value("present", TensorProto.BOOL, ["N", 3]),
            ],
        },
    }
