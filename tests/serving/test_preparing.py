"""What is made of a model file before it is served: its exported form, and a reference for drift."""

import os
import subprocess
import sys

import httpx
import pytest
from live_server import Process

import fovea
from fovea.drift import Reference
from fovea.errors import BundleError
from fovea.runtime import load
from fovea.serving.preparing import Preparation, prepare


@pytest.mark.slow
def test_a_bundle_is_exported_and_measured_in_a_process_of_its_own(make_bundle, colour_folder, tmp_path, picture):
    data = colour_folder("data", count=8)
    (data / "train").mkdir()
    for folder in ("red", "green", "blue"):
        (data / folder).rename(data / "train" / folder)
    (data / "val").symlink_to(data / "train")
    path, out = make_bundle(), tmp_path / "out.onnx"
    reference = Preparation(model=path, out=out, reference=str(data)).run()
    assert isinstance(reference, Reference)
    assert (reference.split, reference.images) == ("val", 24)
    assert load(out).predict([picture()])[0].label == fovea.load(path).predict(_red())[0].label == "red"


def _red():
    import numpy as np

    return np.full((4, 4, 3), (255, 0, 0), np.uint8)


def test_an_exported_network_needs_no_preparation(colours_file):
    assert prepare(Preparation(model=colours_file)) == {}


@pytest.mark.slow
def test_what_cannot_be_prepared_is_said_in_one_line(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"no network")
    with pytest.raises(BundleError, match="net.safetensors"):
        Preparation(model=tmp_path / "net.safetensors", out=tmp_path / "out.onnx").run()
    assert not (tmp_path / "out.onnx").exists()


def test_a_process_that_ends_without_a_word_is_an_error(colours_file):
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], stdout=subprocess.PIPE)
    with pytest.raises(BundleError, match=r"its process ended \(3\)"):
        Preparation(model=colours_file).result(process)


@pytest.mark.slow
def test_an_exported_network_is_served_where_there_is_no_torch(colours_file, tmp_path, picture):
    hidden = dict.fromkeys(("torch", "scipy", "sklearn", "matplotlib", "safetensors", "onnx"))
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update({hidden})\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    with Process(colours_file, "--port", 0, "--watch", PYTHONPATH=path) as server:
        said = httpx.post(f"{server.origin()}/predict", content=picture(), headers={"content-type": "image/png"})
        assert said.json()["results"][0]["predictions"][0]["label"] == "red"
        assert server.end() == 0
