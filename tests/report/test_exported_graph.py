import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fovea.report import exported_graph
from fovea.report.exported_graph import Outline, drawn_file
from fovea.runtime.onnx_file import read_onnx

HOSTILE = "<img src=x onerror=alert(1)>"


def outline(nodes, *, tensors=()):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 8, 8])],
        [numpy_helper.from_array(array, name) for name, array in dict(tensors).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    return Outline(file=read_onnx(model.SerializeToString(), "net.onnx"))


@pytest.fixture
def small():
    return outline(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name=HOSTILE, kernel_shape=[3, 3], auto_pad=b"SAME_UPPER"),
            helper.make_node("Clip", ["a", "low"], ["b"], name="clip"),
            helper.make_node("Add", ["a", "b"], ["y"], alpha=0.5),
        ],
        tensors={"w": np.zeros((4, 3, 3, 3), np.float32), "low": np.array([0.0, 6.0], np.float32)},
    )


def test_operations_say_what_they_take_make_and_are_set_to(small):
    conv, clip, add = small.operations
    assert conv.inputs == (("x", "Nx3x8x8 float32"), ("w", "4x3x3x3 float32, stored"))
    assert conv.stored == 108 and dict(conv.attributes) == {"kernel_shape": "3, 3", "auto_pad": "SAME_UPPER"}
    assert clip.inputs[1] == ("low", "2 float32, stored: 0, 6")
    assert add.outputs == (("y", "Nx4x8x8 float32"),) and dict(add.attributes) == {"alpha": "0.5"}
    assert dict(small.facts())["numbers stored"] == "110"


def test_names_and_operators_are_searched(small):
    assert [one.number for one in small.search("CLIP")] == [1]
    assert [one.number for one in small.search("a")] == [0, 1, 2]
    assert [one.number for one in small.search("", "Add")] == [2]
    assert small.operators() == {"Add": 1, "Clip": 1, "Conv": 1}


def test_the_drawing_has_a_box_for_each_and_arrows_from_who_makes(small):
    drawing = drawn_file(small)
    assert [box.path for box in drawing.boxes] == ["0", "1", "2"]
    assert len(drawing.arrows) == 3
    assert [box.kind for box in drawing.boxes] == ["weights", "weights", "plain"]
    assert HOSTILE in drawing.boxes[0].note  # text, which pages escape


def test_of_a_large_file_the_part_about_one_operation_is_drawn(monkeypatch):
    monkeypatch.setattr(exported_graph, "MOST_DRAWN", 6)
    chain = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(20)]
    found = outline([*chain, helper.make_node("Relu", ["v20"], ["y"])])
    assert [box.path for box in drawn_file(found).boxes] == list("012345")
    assert [box.path for box in drawn_file(found, around=10).boxes] == [str(i) for i in range(7, 13)]
    assert [box.path for box in drawn_file(found, around=20).boxes] == [str(i) for i in range(15, 21)]


def test_a_circle_is_drawn_without_the_arrow_that_goes_back():
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    assert len(drawn_file(outline([*nodes, helper.make_node("Relu", ["b"], ["y"])])).arrows) == 2


def test_a_file_without_operations_is_drawn_empty():
    assert drawn_file(outline([])).boxes == []
