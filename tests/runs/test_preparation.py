"""What a run settles before its first step, and writes down."""

import sys
import tomllib

import pytest
from PIL import Image

import fovea
from fovea import train
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import FoveaError, UsageError
from fovea.storage import cache_root

FAST = {"model": "lenet5", "epochs": 1, "threads": 1, "precision": "float32", "device": "cpu"}


def test_the_batch_that_small_data_leaves_is_the_one_written_down(tmp_path):
    result = fovea.train("digits", batch=5000, out=tmp_path / "run", display=Display(quiet=True), **FAST)
    written = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["training"]
    card = fovea.info(result.model).card
    training = card["training"]
    images = training["data"]["images"]["train"]
    assert written["batch"] == training["recipe"]["batch"] == images < 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model": "resnet18", "size": 32, "batch": 1},
            r"^`batch` \(=1\) gives batch norm in `resnet18` one value per",
        ),
        ({"model": "resnet18", "freeze": "nowhere"}, "^Unknown part to freeze to `nowhere`"),
        ({"model": "lenet5", "watch": "nowhere"}, "^Unknown layer `nowhere`"),
        ({"model": "lenet5", "size": 2}, r"`size` \(=2\) must be at least 16"),
        ({"model": "lenet5", "patience": 3, "val_fraction": 0}, "needs a validation split"),
        ({"model": "lenet5", "lr": float("nan")}, r"`lr` \(=nan\) must be above 0, and finite"),
        ({"model": "mlp", "start": "nothing.safetensors"}, "^There is no file `nothing.safetensors`"),
        ({"model": "{here}/own.py:Own"}, r"must turn \(2, 3, 32, 32\) into \(2, 2\), not \(2, 3\)"),
        ({"model": "lenet5", "out": "{here}/own.py"}, "is a file"),
        ({"model": "lenet5", "out": "{here}/own.py/run"}, "`.*own.py` is not a folder"),
        ({"model": "lenet5", "loss": "mse"}, r"`loss` \(=mse\) cannot be used with --task"),
    ],
)
def test_what_cannot_go_is_refused_before_images_are_decoded(tmp_path, monkeypatch, options, message):
    for name, grey in (("dark", 30), ("light", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (32, 32), (grey, grey + number, grey))
            picture.save(tmp_path / "data" / name / f"{number}.png")
    own = "import torch\n\nclass Own(torch.nn.Module):\n    def forward(self, x):\n        return x.mean((2, 3))\n"
    (tmp_path / "own.py").write_text(own)
    monkeypatch.chdir(tmp_path)

    def decode(*_, **__):
        raise AssertionError("images were decoded")

    monkeypatch.setattr(DataSource, "decode", decode)
    filled = {key: value.format(here=tmp_path) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(FoveaError, match=message):
        train(tmp_path / "data", **{"epochs": 1, "threads": 1, "precision": "float32", **filled})


@pytest.mark.parametrize(
    "asked",
    [{"size": 3}, {"augment": ["nothing-of-the-kind"]}, {"start": "nowhere.pth"}, {"loss": "mse"}, {"fit": "x"}],
)
def test_what_cannot_be_built_or_done_is_refused_before_anything_is_decoded(tmp_path, monkeypatch, asked):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    for index in range(8):
        (tmp_path / "data" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (index, 0, 0)).save(tmp_path / "data" / "ab"[index % 2] / f"{index}.png")
    with pytest.raises(FoveaError):
        fovea.train(tmp_path / "data", out=tmp_path / "run", display=Display(quiet=True), **{**FAST, **asked})
    assert not list(cache_root().glob("*/*"))


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are not text")
def test_a_place_that_the_recipe_cannot_name_is_refused_before_images_are_decoded(tmp_path, monkeypatch):
    (odd := tmp_path / "caf\udce9").mkdir()
    monkeypatch.chdir(odd)
    monkeypatch.setattr(DataSource, "decode", lambda *_, **__: pytest.fail("images were decoded"))
    with pytest.raises(UsageError, match="is not UTF-8, which recipe.toml must be"):
        train("digits", out=tmp_path / "run", display=Display(quiet=True), **FAST)
    with pytest.raises(UsageError, match="is not UTF-8, which recipe.toml must be"):
        train("digits", start="caf\udce9.safetensors", display=Display(quiet=True), **FAST)
