"""Float cores small enough to be computed by hand: input `input` (N, C, H, W), output `logits`."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper, shape_inference

OPSET = 20


def core(nodes, constants, *, shape, classes=None):
    """Return a model of nodes (operator, inputs, output, attributes) and constants by name; `shape` leaves out N."""
    made = [
        helper.make_node(kind, reads, [output], name=f"{output}_node", **attributes)
        for kind, reads, output, attributes in nodes
    ]
    graph = helper.make_graph(
        made,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None if classes is None else ["N", classes])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return shape_inference.infer_shapes(model)


def random(generator, *shape):
    return generator.standard_normal(shape).astype(np.float32)


def convolutional(generator, *, C=3, size=8, features=6, classes=4, stride=1, pad=1, kernel=3):
    """Return convolution, ReLU, a depthwise convolution, ReLU6, global pool and a dense layer."""
    constants = {
        "first.weight": random(generator, features, C, kernel, kernel),
        "first.bias": random(generator, features),
        "second.weight": random(generator, features, 1, 3, 3),
        "second.bias": random(generator, features),
        "head.weight": random(generator, classes, features),
        "head.bias": random(generator, classes),
        "least": np.float32(0),
        "most": np.float32(6),
        "flat": np.asarray([0, -1]),
    }
    nodes = [
        ("Conv", ["input", "first.weight", "first.bias"], "a", {"pads": [pad] * 4, "strides": [stride] * 2}),
        ("Relu", ["a"], "b", {}),
        ("Conv", ["b", "second.weight", "second.bias"], "c", {"pads": [1] * 4, "group": features}),
        ("Clip", ["c", "least", "most"], "d", {}),
        ("GlobalAveragePool", ["d"], "e", {}),
        ("Reshape", ["e", "flat"], "f", {}),
        ("Gemm", ["f", "head.weight", "head.bias"], "logits", {"transB": 1}),
    ]
    return core(nodes, constants, shape=(C, size, size), classes=classes)
