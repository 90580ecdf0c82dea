"""Explanations: what is drawn, and the process that draws them."""

import asyncio
import base64
import io
import json
import struct
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
import torch
from live_server import Process
from PIL import Image

import fovea
from fovea.card import Card
from fovea.errors import UsageError
from fovea.model.bundle import save_bundle
from fovea.registry import build
from fovea.serving.engine import Wait
from fovea.serving.explaining import MOST_WAITING, Explainer, ExplainerClient, explanation
from fovea.serving.refusal import Refusal

FIXED = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128}


@pytest.fixture
def lenet_file(tmp_path):
    """Return the bundle of a network with maps, whose answers follow the left half of an image."""
    torch.manual_seed(0)
    arguments = {"classes": 3, "c_in": 3, "size": 32}
    card = Card.from_dict(
        {
            **{"format": 1, "fovea": "0.1.0", "architecture": "lenet5", "arguments": arguments},
            **{"task": "classes", "outputs": 3, "loss": "cross-entropy", "temperature": 1.0},
            "classes": ["red", "green", "blue"],
            "preprocess": {
                "size": [32, 32],
                "channels": 3,
                "fit": "squash",
                "mean": [0.5] * 3,
                "std": [0.5] * 3,
                **FIXED,
            },
        },
        source="net.safetensors",
    )
    save_bundle(tmp_path / "net.safetensors", build("lenet5", **arguments), card)
    return tmp_path / "net.safetensors"


@pytest.fixture
def noisy():
    """Return the bytes of an image of 40 x 32."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def waiting(seconds=60.0):
    return Wait(seconds=seconds, deadline=time.monotonic() + seconds)


def test_the_answer_is_explained_by_a_picture_of_what_the_network_sees(lenet_file, noisy):
    bundle = fovea.load(lenet_file)
    said = json.loads(json.dumps(explanation(bundle, noisy, None)))
    expected = bundle.target.prediction(bundle.scores(bundle.preprocess.read(noisy)[None])[0])
    assert said["answer"] == expected.label == said["predictions"][0]["label"]
    assert said["method"] == "gradcam" and said["layer"]
    picture = Image.open(io.BytesIO(base64.b64decode(said["picture"])))
    assert (picture.format, picture.size, picture.mode) == ("PNG", (32, 32), "RGB")


def test_another_answer_may_be_asked_for(lenet_file, noisy):
    bundle = fovea.load(lenet_file)
    assert [explanation(bundle, noisy, name)["answer"] for name in ("blue", "1")] == ["blue", "green"]
    with pytest.raises(UsageError, match="Unknown class `owl`"):
        explanation(bundle, noisy, "owl")


@pytest.fixture
def process(lenet_file, tmp_path):
    """Yield the address of a process that explains."""
    address = str(tmp_path / "socket")
    order = json.dumps({"address": address, "models": {"net": str(lenet_file)}})
    child = subprocess.Popen(
        [sys.executable, "-m", "fovea.serving.explaining"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdin.write(f"{order}\n".encode())
    child.stdin.flush()
    assert child.stdout.readline() == b"ready\n"
    yield address
    child.stdin.close()  # as where its parent has ended
    assert child.wait(240) == 0  # it runs only when nobody else wants the processor
    child.stdout.close()


@pytest.mark.slow
def test_a_process_of_its_own_explains_and_refuses(process, noisy, lenet_file):
    client = ExplainerClient(process)

    def refused(*arguments):
        with pytest.raises(Refusal) as error:
            asyncio.run(client.explain(*arguments))
        return error.value.status, str(error.value)

    assert asyncio.run(client.explain("net", noisy, "red", waiting()))["answer"] == "red"
    assert refused("net", b"no image", None, waiting())[0] == 422
    assert refused("net", noisy, "owl", waiting())[0] == 422
    assert refused("net", noisy, None, waiting(0.0))[0] == 503
    lenet_file.write_bytes(b"no network any more")  # the one that is loaded goes on
    assert asyncio.run(client.explain("net", noisy, "red", waiting()))["answer"] == "red"


def test_where_there_is_no_process_the_client_is_told_to_come_again(tmp_path, noisy):
    with pytest.raises(Refusal) as error:
        asyncio.run(ExplainerClient(str(tmp_path / "nothing")).explain("net", noisy, None, waiting()))
    assert (error.value.status, error.value.headers) == (503, {"Retry-After": "5"})


def test_too_many_that_wait_are_refused(lenet_file, noisy):
    async def ask():
        explainer = Explainer({"net": lenet_file})
        explainer._waiting = MOST_WAITING + 1
        return await explainer._said({"model": "net", "answer": None, "seconds": 60}, noisy)

    assert asyncio.run(ask())["status"] == 503


@pytest.mark.parametrize("content", [b"", b"\0\0", struct.pack(">II", 4, 10) + b"null", b"\xff" * 100])
def test_what_is_no_request_is_closed(lenet_file, tmp_path, content):
    async def send():
        explainer = Explainer({"net": lenet_file})
        server = await asyncio.start_unix_server(explainer.answer, str(tmp_path / "own"))
        async with server:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "own"))
            writer.write(content)
            writer.write_eof()
            found = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return found

    assert asyncio.run(send()) == b""


@pytest.mark.slow
def test_the_server_explains_over_http(lenet_file, noisy):
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    with (
        Process(lenet_file, "--port", 0, "--explain", "--timeout-s", 200) as server,
        httpx.Client(base_url=server.origin(), timeout=240) as client,
    ):
        said = client.post("/explain?answer=green", files={"image": ("a.png", noisy)})
        assert (said.status_code, said.json()["answer"], said.json()["model"]) == (200, "green", "net")
        picture = client.post("/explain", content=noisy, headers={"content-type": "image/png", "accept": "image/png"})
        assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
        for body, status in ((b"no image", 422), (b"", 400)):
            assert client.post("/explain", content=body, headers={"content-type": "image/png"}).status_code == status
        assert client.get("/model").json()["explains"] is True
        assert "/explain" in client.get("/openapi.json").json()["paths"]
