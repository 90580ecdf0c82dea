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
