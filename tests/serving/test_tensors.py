"""Tensors of the Open Inference Protocol: what is read, what is written, what is refused."""

import json

import numpy as np
import pytest

from fovea.serving.refusal import Refusal
from fovea.serving.tensors import parse_infer, written


def request(**entry):
    return {"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1, 2], "data": [1, 2], **entry}]}


def parsed(said, tail=b"", **options):
    text = json.dumps(said).encode()
    return parse_infer(text + tail, str(len(text)) if tail else None, **options)


@pytest.mark.parametrize("data", [[1, 2], [[1, 2]]])
def test_data_may_be_flat_or_nested(data):
    found = parsed(request(data=data)).inputs["x"]
    assert (found.tolist(), found.dtype) == ([[1, 2]], np.uint8)


def test_data_may_come_as_bytes_behind_the_json():
    said = request(parameters={"binary_data_size": 2})
    del said["inputs"][0]["data"]
    assert parsed(said, b"\x07\xff").inputs["x"].tolist() == [[7, 255]]


def test_what_is_written_is_read_again():
    values = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    text, length = written({"model_name": "m"}, [("p", values, False), ("q", values, True)])
    said = json.loads(text[:length])
    assert said["model_name"] == "m"
    assert [output["shape"] for output in said["outputs"]] == [[2, 3], [2, 3]]
    assert np.float32(said["outputs"][0]["data"]).tolist() == values.ravel().tolist()
    assert text[length:] == values.tobytes()
    assert written({}, [("p", values, False)])[1] is None


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, [False]),
        ({"parameters": {"binary_data_output": True}}, [True]),
        ({"outputs": [{"name": "p", "parameters": {"binary_data": True}}]}, [True]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "p", "parameters": {"binary_data": False}}],
            },
            [False],
        ),
    ],
)
def test_outputs_come_as_bytes_where_asked_for(said, wanted):
    found = parsed({**request(), **said})
    assert [output.binary for output in found.wanted] or [found.binary] == wanted


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([], "must start with a JSON object"),
        ({}, "`inputs` must be a list of objects"),
        ({"inputs": [1]}, "`inputs` must be a list of objects"),
        ({"inputs": [{}] * 17}, "the limit is 16"),
        ({"inputs": [{}]}, "Each input and output needs a `name`"),
        (request(datatype="BYTES"), "the datatype `BYTES`, which is not supported"),
        (request(shape="2"), "must be a list of whole numbers"),
        (request(shape=[-1, 2]), "must be a list of whole numbers"),
        (request(shape=[True, 2]), "must be a list of whole numbers"),
        (request(shape=[2, 2]), "must be 4 numbers of its datatype"),
        (request(shape=[1 << 40, 1 << 40]), "numbers of its datatype"),
        (request(data=[1, 256]), "must be 2 numbers of its datatype"),
        (request(data=[1, -1]), "must be 2 numbers"),
        (request(data=[1, 0.5]), "must be 2 numbers"),
        (request(data=[1, "2"]), "must be 2 numbers"),
        (request(data=[1, None]), "must be 2 numbers"),
        (request(data=[[1], [2, 3]]), "must be 2 numbers"),
        (request(data=None), "must be 2 numbers"),
        (request(data=[10**400, 1]), "must be 2 numbers"),
        (request(parameters={"binary_data_size": 2}), "needs 2 bytes after the JSON"),
        (request(parameters={"binary_data_size": "2"}), "needs 2 bytes after the JSON"),
        ({**request(), "parameters": []}, "`parameters` must be an object"),
        ({**request(), "id": 1}, "`id` a string"),
        (
            {**request(), "outputs": [{"name": "p", "parameters": {"classification": 3}}]},
            "`classification` is not supported",
        ),
    ],
)
def test_what_the_protocol_does_not_allow_is_refused(said, words):
    with pytest.raises(Refusal) as refused:
        parsed(said)
    assert (refused.value.status, words in str(refused.value)) == (400, True), refused.value


@pytest.mark.parametrize("length", ["-1", "x", "999", "", "1\u00b9", "9" * 5000])
def test_the_length_of_the_json_must_be_one(length):
    with pytest.raises(Refusal, match="must be the length of the JSON"):
        parse_infer(json.dumps(request()).encode(), length)


def test_bytes_that_belong_to_nothing_are_refused():
    with pytest.raises(Refusal, match="3 bytes more than its inputs need"):
        parsed(request(), b"abc")


def test_json_that_is_nested_without_end_is_refused():
    with pytest.raises(Refusal, match="JSON object"):
        parse_infer(b"[" * 1_000_000, None)
