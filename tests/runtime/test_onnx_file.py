import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import card_values, graphs, onnx_model, tensors, value

from fovea.errors import BundleError
from fovea.runtime import onnx_file
from fovea.runtime.onnx_file import read_onnx


def read(model):
    return read_onnx(model if isinstance(model, bytes) else model.SerializeToString(), "net.onnx")


@pytest.mark.parametrize("name", graphs())
def test_what_is_read_is_what_the_library_of_onnx_reads(name):
    model = onnx_model(**graphs()[name])
    file = read(model)
    assert file.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert [(n.operator, n.inputs, n.outputs) for n in file.nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in model.graph.node
    ]
    for node, own in zip(model.graph.node, file.nodes, strict=True):
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        assert own.attributes == {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        own = file.tensors[tensor.name]
        assert own.shape == values.shape and own.dtype == values.dtype and np.array_equal(own.values, values)
    assert file.values == sum(numpy_helper.to_array(tensor).size for tensor in model.graph.initializer)


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "INT64", "INT32", "UINT8", "INT8", "BOOL", "FLOAT16", "UINT64"])
def test_values_may_stand_in_fields_of_their_type(kind):
    tensor = helper.make_tensor("t", getattr(TensorProto, kind), [3], [0, 1, 3 if kind != "BOOL" else 1])
    file = read(onnx_model(tensors=[*tensors(), tensor]))
    assert file.tensors["t"].place != "raw_data" and np.array_equal(
        file.tensors["t"].values, numpy_helper.to_array(tensor)
    )


def with_tensor(**changes):
    tensor = numpy_helper.from_array(np.ones((2, 3), np.float32), "t")
    for name, given in changes.items():
        if isinstance(given, list):
            del getattr(tensor, name)[:]
            getattr(tensor, name).extend(given)
        else:
            setattr(tensor, name, given)
    return onnx_model(tensors=[*tensors(), tensor])


def external():
    model = with_tensor(data_location=TensorProto.EXTERNAL)
    model.graph.initializer[1].external_data.add(key="location", value="/etc/passwd")
    return model


def hidden_external():
    """Not said to lie elsewhere, but with a place all the same."""
    model = with_tensor()
    model.graph.initializer[1].external_data.add(key="location", value="../../etc/passwd")
    return model


def attribute_external():
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "a")
    tensor.external_data.add(key="location", value="weights")
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    return onnx_model(nodes=[node, *onnx_model().graph.node])


def with_node(operator, **attributes):
    return onnx_model(nodes=[*onnx_model().graph.node, helper.make_node(operator, ["logits"], ["z"], **attributes)])


def loop():
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    return with_node("Loop", body=body)


def changed(change):
    model = onnx_model()
    change(model)
    return model


def sparse(model):
    model.graph.sparse_initializer.add()


REFUSED = {
    "external": (external, "is stored in another file"),
    "a place elsewhere": (hidden_external, "is stored in another file"),
    "an attribute elsewhere": (attribute_external, "is stored in another file"),
    "a giant tensor": (
        lambda: with_tensor(dims=[2**31, 2**31]),
        "declares 4,611,686,018,427,387,904 values but has 6",
    ),
    "an overflowing tensor": (lambda: with_tensor(dims=[2**33, 2**31]), "values but has 6"),
    "a length below 0": (lambda: with_tensor(dims=[-2, -3]), "a length below 0"),
    "many axes": (lambda: with_tensor(dims=[1] * 7 + [2, 3]), "9 axes"),
    "fewer values": (lambda: with_tensor(raw_data=b"\0" * 20), "declares 6 values but has 5"),
    "half a value": (lambda: with_tensor(raw_data=b"\0" * 23), "declares 6 values but has -1"),
    "values twice": (lambda: with_tensor(float_data=[1.0] * 6), "twice, or in a field of another type"),
    "another field": (lambda: with_tensor(raw_data=b"", int64_data=[1] * 6), "twice, or in a field of another type"),
    "strings": (lambda: with_tensor(data_type=TensorProto.STRING), "an unsupported type"),
    "four bits": (lambda: with_tensor(data_type=TensorProto.INT4), "an unsupported type"),
    "no type": (lambda: with_tensor(data_type=0), "an unsupported type"),
    "no name": (lambda: with_tensor(name=""), "has no name"),
    "a name twice": (lambda: with_tensor(name="scale"), "two of its tensors have the name `scale`"),
    "a loop": (loop, "a graph of its own"),
    "many graphs": (lambda: with_node("X", graphs=[helper.make_graph([], "g", [], [])]), "a graph of its own"),
    "a reference": (lambda: changed(lambda m: setattr(m.graph.node[0].attribute[0], "ref_attr_name", "x")), "damaged"),
    "functions": (lambda: changed(lambda m: m.functions.add(name="f", domain="d")), "functions of its own"),
    "an overload": (lambda: changed(lambda m: setattr(m.graph.node[0], "overload", "o")), "a function of its own"),
    "training": (lambda: changed(lambda m: m.training_info.add()), "training steps"),
    "sparse tensors": (lambda: changed(sparse), "sparse tensors"),
    "no graph": (lambda: changed(lambda m: m.ClearField("graph")), "no graph"),
    "a key twice": (lambda: changed(lambda m: m.metadata_props.add(key="fovea", value="{}")), "the key `fovea` twice"),
    "a domain twice": (
        lambda: changed(lambda m: m.opset_import.add(domain="ai.onnx", version=1)),
        "operators of `` twice",
    ),
    "a sequence": (lambda: changed(lambda m: m.graph.input[0].type.sequence_type.SetInParent()), "not known here"),
    "a graph twice": (lambda: onnx_model().SerializeToString() + onnx_model().SerializeToString(), "twice"),
    "another file": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be used"),
    "nothing": (lambda: b"", "no graph"),
    "a pickle": (lambda: b"\x80\x04\x95" + bytes(100), "cannot be used"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_fovea_does_not_write_is_refused(name):
    make, reason = REFUSED[name]
    with pytest.raises(BundleError, match=reason):
        read(make())


def test_every_beginning_of_a_graph_is_refused():
    content = onnx_model(metadata={}).SerializeToString()
    behind = 10  # bytes of the versions of the operators, which follow the graph
    for end in range(len(content) - behind):
        with pytest.raises(BundleError):
            read(content[:end])


@pytest.mark.parametrize(("name", "most"), [("MAX_NODES", 3), ("MAX_TENSORS", 0), ("MAX_METADATA", 1)])
def test_numbers_of_things_are_bounded(monkeypatch, name, most):
    monkeypatch.setattr(onnx_file, name, most)
    with pytest.raises(BundleError, match=f"the limit is {most}"):
        read(onnx_model())


def test_a_shape_of_ten_thousand_lengths_is_refused():
    model = onnx_model()
    model.graph.value_info.append(value("v", TensorProto.FLOAT, [1] * 10_000))
    with pytest.raises(BundleError, match="10000 axes"):
        read(model)


def test_names_of_other_domains_stay_what_they_are():
    model = onnx_model(opsets=[helper.make_opsetid("com.ai.onnxmicrosoft", 1), helper.make_opsetid("", 20)])
    assert read(model).opsets == {"com.ai.onnxmicrosoft": 1, "": 20}
    model.graph.node[0].domain = "ai.onnx"
    assert read(model).nodes[0].domain == ""


def test_the_card_is_read_as_the_library_reads_it():
    model = onnx.load_model_from_string(onnx_model().SerializeToString())
    assert json.loads(read(model).metadata["fovea"]) == card_values()


def test_a_text_of_the_metadata_is_bounded():
    with pytest.raises(BundleError, match="an entry of more than 8,000,000 bytes"):
        read(onnx_model(metadata={"classes": " " * 8_000_001}))
