"""An exported network that knows red from green from blue, behind a server."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
onnx_files = pytest.importorskip("onnx_files", reason="the extra `export` is not installed")

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="session")
def colours_file(tmp_path_factory):
    """Return the path of the network."""
    return onnx_files.write_onnx(tmp_path_factory.mktemp("models") / "colours.onnx")


@pytest.fixture(scope="session")
def picture():
    """Return a function that gives the bytes of a plain image."""

    def encoded(colour="red", form="PNG", size=(6, 6)):
        stream = io.BytesIO()
        Image.fromarray(np.full((*size, 3), COLOURS[colour], np.uint8)).save(stream, form)
        return stream.getvalue()

    return encoded


@pytest.fixture(scope="session")
def shared_server(colours_file):
    """Yield one server for all tests that leave it as it is."""
    from live_server import live

    with live({"colours": colours_file, "other": colours_file}, queue=64, files=4, body_bytes=2_000_000) as server:
        yield server


@pytest.fixture
def client(shared_server):
    with shared_server.client() as client:
        yield client
