"""Every argument that takes a file, given one that is not there: exit code 2, and one line that names it."""

import json

import numpy as np
import pytest
from PIL import Image

import fovea.zoo  # noqa: F401  registers the network
from fovea import registry
from fovea.cli import run
from fovea.commands import COMMANDS

ROWS = [
    "train nope",
    "train nope/photos",
    "train nope.csv",
    "train nope.zip",
    "train digits --from nope.pth",
    "train digits --from nope.safetensors",
    "train digits --recipe nope",
    "train digits --model nope.py:Net",
    "train --resume nope",
    "evaluate nope.safetensors digits",
    "evaluate nope.onnx digits",
    "evaluate model.safetensors nope.csv",
    "predict nope.safetensors image.png",
    "predict model.safetensors image.png --ensemble nope.safetensors",
    "explain nope.safetensors image.png",
    "explain model.safetensors --mistakes nope",
    "explain model.safetensors image.png --trust nope.json",
    "style nope.png image.png --model model.safetensors",
    "style image.png nope.png --model model.safetensors",
    "style image.png image.png --model nope.safetensors",
    "trust nope.safetensors digits",
    "trust model.safetensors nope",
    "compare nope",
    "check nope",
    "check nope.json",
    "check digits --model nope.safetensors",
    "index nope.safetensors digits --out a.fovea-index",
    "index model.safetensors nope --out a.fovea-index",
    "index nope.fovea-index --drop x",
    "search nope.fovea-index image.png",
    "label nope.safetensors digits --out list.csv",
    "label model.safetensors nope --out list.csv",
    "label model.safetensors digits --by core-set --index nope.fovea-index --out list.csv",
    "duplicates nope.safetensors digits",
    "duplicates model.safetensors nope",
    "build lenet5 --weights nope.pth",
    "build lenet5 --classes-from nope.txt",
    "build lenet5 --classes-from nope.json",
    "measure nope.py:Net",
    "measure nope.safetensors",
    "measure nope.onnx",
    "measure --compare lenet5 nope.safetensors",
    "measure mlp --unit head:1,1 --image nope.png",
    "filter nope.png --kernel sobel-x",
    "filter nope.csv --kernel box-3",
    "shrink nope.safetensors digits --steps fold",
    "shrink model.safetensors nope --steps finetune=1",
    "shrink model.safetensors digits --steps distil=1 --teacher nope.safetensors",
    "shrink model.safetensors digits --steps soup --members nope.safetensors",
    "shrink model.safetensors digits --steps fold --network nope.py:Net",
    "export nope.safetensors --to onnx",
    "export model.safetensors --to onnx --int8 nope",
    "export model.safetensors --to onnx --images nope.png",
    "export model.safetensors --to web --runtime nope",
    "serve nope.safetensors",
    "serve nope.onnx",
    "serve model.safetensors --token-file nope",
    "serve model.safetensors --reference nope",
    "studio nope.safetensors",
    "studio nope/photos",
    "info nope.safetensors",
]
TAKE_NO_FILE = {"models", "errata", "doctor", "cache"}


@pytest.fixture
def folder(tmp_path, make_bundle, make_card, monkeypatch):
    arguments = {"classes": 3, "c_in": 3, "size": 32}
    seen = {**make_card()["preprocess"], "size": [32, 32]}
    make_bundle(
        model=registry.build("lenet5", **arguments), architecture="lenet5", arguments=arguments, preprocess=seen
    )
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_that_takes_a_file_is_asked():
    assert {row.split()[0] for row in ROWS} == {command.name for command in COMMANDS} - TAKE_NO_FILE


@pytest.mark.parametrize("row", ROWS)
def test_a_missing_file_is_exit_code_2_and_one_line_that_names_it(row, folder, capfd):
    before = sorted(folder.iterdir())
    assert run(row.split()) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "`nope" in errors[0] or "=nope" in errors[0]
    assert "Errno" not in errors[0]
    assert sorted(folder.iterdir()) == before


def test_images_that_are_missing_are_passed_over_where_others_can_be_had(folder, capsys):
    assert run(["predict", "model.safetensors", "nope.png", "image.png", "--json"]) == 1
    read = capsys.readouterr()
    assert read.err == "error: nope.png: No such file or directory.\n1 of the inputs cannot be read\n"
    assert [("error" in answer) for answer in json.loads(read.out)] == [True, False]
