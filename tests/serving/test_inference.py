"""The Open Inference Protocol over HTTP, also as Triton's own client speaks it."""

import numpy as np
import pytest

from fovea.runtime import load


def samples(*colours):
    values = {"red": 0, "green": 1, "blue": 2}
    found = np.zeros((len(colours), 4, 4, 3), np.uint8)
    for index, colour in enumerate(colours):
        found[index, :, :, values[colour]] = 200
    return found


def request(given, **further):
    entry = {"name": "images", "datatype": "UINT8", "shape": list(given.shape), "data": given.ravel().tolist()}
    return {"inputs": [entry], **further}


def test_the_server_tells_what_it_is_and_that_it_lives(client):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/colours/ready",
        "/v2/models/colours/versions/1/ready",
    ):
        assert client.get(path).status_code == 200


def test_a_model_tells_what_it_takes_and_gives(client):
    said = client.get("/v2/models/colours").json()
    assert said["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 4, 4, 3]}]
    assert said["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]
    assert said["versions"] == ["1"]


def test_tensors_are_answered_as_the_network_answers_them(client, colours_file):
    given = samples("red", "blue", "green")
    said = client.post("/v2/models/colours/infer", json=request(given, id="seven")).json()
    (output,) = said["outputs"]
    assert (said["id"], said["model_name"], output["shape"]) == ("seven", "colours", [3, 3])
    expected = load(colours_file).scores(given).astype(np.float32)
    assert np.float32(output["data"]).reshape(3, 3) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("path", "change", "status", "words"),
    [
        ("colours", {"inputs": []}, 400, "has one input, `images`"),
        ("cats", {}, 404, "There is no model `cats`"),
        ("colours/versions/2", {}, 404, "has no version `2`; it has 1"),
        ("colours", {"outputs": [{"name": "logits"}]}, 400, "has no output `logits`; it has `probabilities`"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(client, path, change, status, words):
    said = client.post(f"/v2/models/{path}/infer", json={**request(samples("red")), **change})
    assert (said.status_code, words in said.json()["error"]) == (status, True), said.text


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (
            np.zeros((1, 4, 4, 1), np.uint8),
            400,
            "must have the shape [N, 4, 4, 3] of UINT8; this has [1, 4, 4, 1] of UINT8",
        ),
        (np.zeros((0, 4, 4, 3), np.uint8), 400, "must have the shape"),
        (samples(*["red"] * 5), 413, "A request may contain at most 4 samples; this one has 5."),
    ],
)
def test_samples_of_another_shape_or_number_are_refused(client, given, status, words):
    said = client.post("/v2/models/colours/infer", json=request(given))
    assert (said.status_code, words in said.json()["error"]) == (status, True), said.text


def test_a_time_in_microseconds_is_honoured_as_a_bound(client):
    said = client.post("/v2/models/colours/infer", json=request(samples("red"), parameters={"timeout": 30_000_000}))
    assert said.status_code == 200


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_of_triton_gets_its_answers(shared_server, colours_file, binary):
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    client = triton.InferenceServerClient(f"127.0.0.1:{shared_server.port}")
    try:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("colours")
        assert client.get_model_metadata("colours")["platform"] == "onnxruntime_onnx"
        assert client.get_server_metadata()["name"] == "fovea"
        given = samples("green", "red")
        sent = triton.InferInput("images", list(given.shape), "UINT8")
        sent.set_data_from_numpy(given, binary_data=binary)
        wanted = triton.InferRequestedOutput("probabilities", binary_data=binary)
        for outputs in ([wanted], None):
            found = client.infer("colours", [sent], outputs=outputs, request_id="a").as_numpy("probabilities")
            assert found == pytest.approx(load(colours_file).scores(given).astype(np.float32), abs=1e-6)
        with pytest.raises(triton.InferenceServerException, match="There is no model"):
            client.get_model_metadata("cats")
    finally:
        client.close()
