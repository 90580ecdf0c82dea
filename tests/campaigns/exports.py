"""Damaged `.onnx` files, through `fovea.runtime.load`, `predict` and `fovea info`: nothing may end the process."""

import json
import os
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fovea import runtime
from fovea.jobs.info import info
from tests.campaigns.batches import Finding, Kind
from tests.campaigns.grown import grown
from tests.campaigns.mutation import EDGES, NOT_JSON, VALUES, altered, damaged
from tests.support.onnx_files import graphs, onnx_model

REAL = "FOVEA_CAMPAIGN_EXPORTS"
"""The environment variable that names a folder of files from `fovea export`, which are damaged, too."""
INPUT_MB = 64
GROWN = 0.5
"""Share of the files that are grown at random; the others are changed ones."""
LENGTHS = (*EDGES, -1, -2, 3, 4, 5, 9, 16, 100, 1000, 10**5, 10**7)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), 0.5, 2.0, 1e6)
OPERATORS = (
    *("Relu", "Conv", "MaxPool", "AveragePool", "Gemm", "MatMul", "Add", "Div", "Mod", "Concat", "Split", "Slice"),
    *("Gather", "GatherND", "Reshape", "Transpose", "Pad", "Resize", "Expand", "Tile", "ConstantOfShape", "Range"),
    *("Squeeze", "Unsqueeze", "Flatten", "Where", "Cast", "ReduceMean", "ReduceMax", "ArgMax", "Softmax", "CumSum"),
    *("BatchNormalization", "InstanceNormalization", "LayerNormalization", "LRN", "GlobalAveragePool", "Clip"),
    *("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"),
    *("DepthToSpace", "SpaceToDepth", "Identity", "Shape", "Pow", "Sqrt", "Loop", "If", "Scan", "NonZero", "TopK"),
    *("PRelu", "Max", "Equal", "LpPool", "Gelu", "HardSigmoid", "GroupNormalization", "Constant"),
)


def write_exports(folder: Path) -> None:
    for name, changes in graphs().items():
        (folder / f"{name}.onnx").write_bytes(onnx_model(**changes).SerializeToString())
    for path in sorted(Path(os.environ[REAL]).glob("*.onnx")) if REAL in os.environ else ():
        (folder / f"real-{path.name}").write_bytes(path.read_bytes())


def damaged_export(content: bytes, chance: Random, others: list[bytes]) -> bytes:
    """Return an `.onnx` file with its bytes, its card or its graph changed."""
    act = chance.random()
    if act < 0.2:
        return damaged(content, chance, others=others)
    model = onnx.load_model_from_string(content)
    if act < 0.3:
        _alter_card(model, chance)
    else:
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            chance.choice(CHANGES)(model, chance)
    if chance.random() < 0.5:  # what it says of values between, it may leave out
        del model.graph.value_info[:]
    return model.SerializeToString()


def _alter_card(model: onnx.ModelProto, chance: Random) -> None:
    entry = chance.choice(list(model.metadata_props))
    if chance.random() < 0.1:
        entry.value = damaged(entry.value.encode(), chance).decode("utf-8", "replace")
        return
    values = json.loads(entry.value)
    for _ in range(chance.randint(1, 3)):
        if isinstance(values, dict) and values:
            values = altered(values, chance, others=(*VALUES, *NOT_JSON, 3, 64, 4096, ["a", "a"], "grade", "labels"))
    entry.value = json.dumps(values)
    if chance.random() < 0.1:
        model.metadata_props.add(key=entry.key, value=entry.value)


def _number(chance: Random) -> int:
    number = chance.choice(LENGTHS) if chance.random() < 0.6 else chance.randint(-3, 20)
    return max(-(2**63), min(number, 2**63 - 1))


def change_attribute(model: onnx.ModelProto, chance: Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    node = chance.choice(nodes)
    attribute = chance.choice(list(node.attribute))
    act = chance.random()
    if act < 0.1:
        node.attribute.remove(attribute)
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = _number(chance)
    elif attribute.type == onnx.AttributeProto.INTS and attribute.ints:
        if act < 0.7:
            attribute.ints[chance.randrange(len(attribute.ints))] = _number(chance)
        elif act < 0.85:
            attribute.ints.append(_number(chance))
        else:
            del attribute.ints[-1]
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = chance.choice(FLOATS)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = chance.choice((b"", b"VALID", b"SAME_UPPER", b"reflect", b"wrap", b"cubic", b"\xff"))


def add_attribute(model: onnx.ModelProto, chance: Random) -> None:
    node = chance.choice(list(model.graph.node))
    name = chance.choice(
        ("axis", "pads", "strides", "dilations", "kernel_shape", "group", "ceil_mode", "keepdims", "p")
    )
    many = name in ("pads", "strides", "dilations", "kernel_shape")
    value = [_number(chance) for _ in range(chance.randint(0, 5))] if many else _number(chance)
    node.attribute.append(
        helper.make_attribute(name, value, attr_type=onnx.AttributeProto.INTS if many else onnx.AttributeProto.INT)
    )


def change_operator(model: onnx.ModelProto, chance: Random) -> None:
    node = chance.choice(list(model.graph.node))
    node.op_type = chance.choice(OPERATORS)
    if chance.random() < 0.05:
        node.domain = chance.choice(("com.microsoft", "ai.onnx.ml", "x"))


def rewire(model: onnx.ModelProto, chance: Random) -> None:
    """Let a node take another value, one more, or one less."""
    graph = model.graph
    names = [name for node in graph.node for name in node.output]
    names += [tensor.name for tensor in graph.initializer] + [graph.input[0].name if graph.input else "", ""]
    node = chance.choice(list(graph.node))
    act = chance.random()
    if act < 0.6 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(names)
    elif act < 0.75:
        node.input.append(chance.choice(names))
    elif act < 0.9 and node.input:
        del node.input[chance.randrange(len(node.input))]
    else:
        node.output.append(chance.choice(names) if chance.random() < 0.5 else "new")


def change_tensor(model: onnx.ModelProto, chance: Random) -> None:
    """Change the shape, the type or the values of a stored tensor, mostly so that they still go together."""
    if not model.graph.initializer:
        return
    tensor = chance.choice(list(model.graph.initializer))
    act = chance.random()
    if act < 0.15 and tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = _number(chance)
        return
    if act < 0.2:
        tensor.data_type = chance.randrange(24)
        return
    values = numpy_helper.to_array(tensor)
    with np.errstate(all="ignore"):
        if act < 0.5 and values.dtype.kind in "iu" and values.size:
            values = values.copy()
            values.reshape(-1)[chance.randrange(values.size)] = np.array(_number(chance)).astype(values.dtype)
        elif act < 0.6 and values.dtype.kind == "f" and values.size:
            values = values.copy()
            values.reshape(-1)[chance.randrange(values.size)] = chance.choice(FLOATS)
        elif act < 0.7:
            values = values.astype(chance.choice(("float32", "int64", "int32", "uint8", "int8", "bool", "float16")))
        elif act < 0.85:
            shape = [max(0, min(abs(_number(chance)), 64)) for _ in range(chance.randint(0, 4))]
            values = np.zeros(shape, values.dtype) if np.prod(shape) < 10**6 else values
        else:
            values = values.reshape(values.shape[::-1])
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def change_value(model: onnx.ModelProto, chance: Random) -> None:
    """Change the shape or the type that the file says of an input, an output or a value between."""
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not values:
        return
    kind = chance.choice(values).type.tensor_type
    if chance.random() < 0.2:
        kind.elem_type = chance.randrange(20)
    elif kind.shape.dim and chance.random() < 0.8:
        chance.choice(list(kind.shape.dim)).dim_value = _number(chance)
    else:
        kind.shape.dim.add().dim_value = _number(chance)


def change_nodes(model: onnx.ModelProto, chance: Random) -> None:
    """Leave a node out, put one in twice, or exchange two."""
    graph = model.graph
    at = chance.randrange(len(graph.node))
    act = chance.random()
    if act < 0.3 and len(graph.node) > 1:
        del graph.node[at]
    elif act < 0.5:
        graph.node.insert(at, graph.node[at])
    elif act < 0.8 and len(graph.node) > 1:
        other = chance.randrange(len(graph.node))
        first, second = onnx.NodeProto(), onnx.NodeProto()
        first.CopyFrom(graph.node[at])
        second.CopyFrom(graph.node[other])
        graph.node[at].CopyFrom(second)
        graph.node[other].CopyFrom(first)
    else:
        insert_node(model, chance)


def insert_node(model: onnx.ModelProto, chance: Random) -> None:
    """Put an operation between a node and one of its inputs, with constants that may ask for much."""
    graph = model.graph
    at = chance.randrange(len(graph.node))
    node = graph.node[at]
    if not node.input:
        return
    place = chance.randrange(len(node.input))
    name, made = node.input[place], f"made{len(graph.node)}"
    wanted = [max(-(2**31), min(_number(chance), 2**31)) for _ in range(chance.randint(1, 5))]
    graph.initializer.append(numpy_helper.from_array(np.array(wanted, np.int64), f"{made}.wanted"))
    operator = chance.choice(
        ("Expand", "Tile", "Reshape", "Pad", "Slice", "Gather", "ReduceSum", "Unsqueeze", "Squeeze")
    )
    extra = [f"{made}.wanted"] * (2 if operator == "Slice" else 1)
    graph.node.insert(at, helper.make_node(operator, [name, *extra], [made]))
    graph.node[at + 1].input[place] = made


def change_model(model: onnx.ModelProto, chance: Random) -> None:
    """Change versions, or add what Fovea does not write."""
    act = chance.randrange(6)
    if act == 0:
        model.ir_version = _number(chance)
    elif act == 1 and model.opset_import:
        model.opset_import[0].version = chance.choice((1, 7, 13, 17, 18, 19, 20, 21, 22, 23, 24, 30, _number(chance)))
    elif act == 2:
        model.opset_import.append(helper.make_opsetid(chance.choice(("", "com.microsoft", "x")), 1))
    elif act == 3 and model.graph.initializer:
        tensor = chance.choice(list(model.graph.initializer))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=chance.choice(("../../etc/passwd", "/etc/passwd", "weights")))
    elif act == 4:
        model.functions.add(name="f", domain="x")
    else:
        model.graph.node.append(helper.make_node("Identity", [model.graph.node[-1].output[0]], ["last"]))


CHANGES = (
    *(change_attribute, change_attribute, add_attribute, change_operator, rewire, change_tensor, change_tensor),
    *(change_value, change_nodes, insert_node, insert_node, change_model),
)


def make_export(chance: Random, originals: Path, folder: Path) -> Path:
    if chance.random() < GROWN:
        path = folder / "grown.onnx"
        path.write_bytes(grown(chance))
        return path
    paths = sorted(originals.iterdir())
    original = chance.choice(paths)
    others = [path.read_bytes() for path in chance.sample(paths, 2)]
    path = folder / original.name
    try:
        content = damaged_export(original.read_bytes(), chance, others)
    except Exception:  # a change that the library for making such files does not take
        content = damaged(original.read_bytes(), chance, others=others)
    path.write_bytes(content)
    return path


def use_export(path: Path, _: Random) -> str:
    info(path).to_dict()
    network = runtime.load(path, threads=1)
    shape = network.preprocess.stored_shape
    if np.prod(shape) <= 1 << 20:
        samples = np.zeros((3, *shape), network.preprocess.dtype)
        samples[1:] = np.random.default_rng(0).integers(0, 100, samples[1:].shape)
        rows = network.scores(samples)
        if len(rows) != 3 or not network.target.prediction(rows[0]).text:
            raise Finding("an empty prediction")
        network.logits(samples[:1])
    return "loaded"


def warm(originals: Path) -> None:
    for path in sorted(originals.iterdir()):
        use_export(path, Random())


KINDS = (
    Kind(
        name="exports",
        make=make_export,
        attempt=use_export,
        prepare=write_exports,
        warm=warm,
        peak_mb=4 * INPUT_MB,
        settings={"FOVEA_INPUT_MB": str(INPUT_MB)},
        batch=500,
        short=80,
    ),
)
