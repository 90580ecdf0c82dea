"""What a server tells of itself: health, models, metrics, drift, its description."""

import re

import numpy as np
import pytest
from live_server import live
from onnx_files import card_values, write_onnx

from fovea.drift import Reference

PNG = {"content-type": "image/png"}


def test_health_and_readiness(client):
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_models_are_listed_and_described_by_their_cards(client):
    assert client.get("/models").json() == {"models": ["colours", "other"]}
    said = client.get("/model").json()
    assert (said["name"], said["task"], said["classes"], said["input"]) == ("colours", "classes", 3, "images")
    assert said["card"]["classes"] == ["red", "green", "blue"]
    assert re.fullmatch("[0-9a-f]{64}", said["sha256"]) and said["file"] == "colours.onnx"
    assert client.get("/models/other").json()["name"] == client.get("/model?model=other").json()["name"] == "other"
    assert client.get("/models/cats").status_code == 404


def test_the_description_names_every_path_and_loads_nothing_from_elsewhere(client):
    said = client.get("/openapi.json").json()
    paths = {"/predict", "/models/{name}/predict", "/model", "/metrics", "/ready", "/v2/models/{name}/infer"}
    assert paths <= said["paths"].keys()
    assert "multipart/form-data" in said["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_metrics_count_requests_images_and_batches(colours_file, picture):
    with live({"colours": colours_file}) as server, server.client() as client:
        files = [("image", ("a.png", picture(), "image/png")), ("image", ("b.png", b"x", "image/png"))]
        client.post("/predict", files=files)
        client.post("/predict", content=b"", headers=PNG)
        client.get("/nothing")
        text = client.get("/metrics").text
    for line in (
        'fovea_requests_total{model="colours",code="200"} 1',
        'fovea_requests_total{model="colours",code="400"} 1',
        'fovea_requests_total{model="",code="404"} 1',
        'fovea_request_duration_seconds_count{model="colours"} 2',
        'fovea_images_total{model="colours"} 1',
        'fovea_refused_images_total{model="colours"} 1',
        'fovea_batch_size_count{model="colours"} 1',
        'fovea_queue_depth{model="colours"} 0',
        'fovea_in_flight_images{model="colours"} 0',
        'fovea_shed_total{model="colours"} 0',
    ):
        assert f"{line}\n" in text


@pytest.fixture
def file_with_reference(tmp_path):
    """Return a network whose validation images were bright, and that was sure of them."""
    generator = np.random.default_rng(0)
    measured = np.stack(
        [generator.uniform(0.9, 1, 500), generator.uniform(0.3, 0.4, 500), generator.uniform(0.4, 0.5, 500)], 1
    )
    section = Reference.of("val", measured).to_dict()
    return write_onnx(tmp_path / "known.onnx", card=card_values(validation=section))


def test_drift_is_told_once_there_are_enough_images(file_with_reference, picture):
    with live({"known": file_with_reference}) as server, server.client() as client:
        assert client.get("/model").json()["drift"]["state"].startswith("unknown: fewer than 100")
        assert "fovea_drift{" not in client.get("/metrics").text
        files = [("image", ("a.png", picture(), "image/png"))] * 50
        for _ in range(2):
            assert client.post("/predict", files=files).status_code == 200
        drift = client.get("/model").json()["drift"]
        assert drift["state"] == "much" and drift["images"] == 100
        assert drift["against"] == {"split": "val", "images": 500}
        found = re.findall(r'fovea_drift{model="known",measure="(\w+)"} (\S+)', client.get("/metrics").text)
    assert {name: float(value) > 0.25 for name, value in found} == {
        "confidence": True,
        "brightness": True,
        "contrast": True,
    }


def test_without_a_reference_drift_is_unknown(client):
    assert client.get("/model").json()["drift"]["state"].startswith("unknown: the card has no reference")


@pytest.mark.parametrize("path", ["/predict", "/v2/models/colours/infer"])
def test_a_fault_of_the_server_is_told_as_such_and_logged_without_what_was_sent(colours_file, picture, caplog, path):
    def fail(*arguments):
        raise ZeroDivisionError("inside")

    with live({"colours": colours_file}) as server, server.client() as client:
        object.__setattr__(server.site.models["colours"], "answers", fail)
        body = {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 4, 4, 3], "data": [0] * 48}]}
        sent = {"json": body} if "v2" in path else {"content": picture(), "headers": PNG}
        said = client.post(path, **sent)
        assert (said.status_code, said.json()) == (
            500,
            {"error": "The server failed on this request; the reason is in its log."},
        )
        with server.client() as another:
            assert another.get("/health").status_code == 200
    assert "ZeroDivisionError" in caplog.text and "PNG" not in caplog.text
