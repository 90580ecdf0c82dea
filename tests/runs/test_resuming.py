"""A run goes on: by one process, with the same data wherever it is asked from, and with no code that nobody named."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.jobs.train import train
from fovea.runs.folder import Run

FAST = {"model": "mlp", "size": 8, "epochs": 4, "batch": 8, "threads": 1, "precision": "float32", "device": "cpu"}
NET = (
    "from pathlib import Path\nfrom torch import nn\nPath(__file__).with_name('ran').touch()\n"
    "class Net(nn.Sequential):\n    def __init__(self, classes, c_in):\n"
    "        super().__init__(nn.Flatten(), nn.Linear(64 * c_in, classes))\n"
)


def quiet(*arguments, **options):
    return train(*arguments, display=Display(quiet=True), **options)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Return a folder of bitmaps of equal size in two classes, given relatively to the working folder."""
    monkeypatch.chdir(tmp_path)
    for shade, name in ((60, "dark"), (190, "light")):
        os.makedirs(f"images/{name}")
        for index in range(12):
            Image.new("L", (8, 8), shade + index).save(f"images/{name}/{index}.bmp")
    return "images"


@pytest.fixture
def stopped(images, dying_after):
    """Return the folder of a run that died in its second epoch."""
    with dying_after(4):
        quiet(images, out="run", **FAST)
    return "run"


def exchange(one, other):
    """Give two files of equal size each other's content."""
    contents = [Path(path).read_bytes() for path in (one, other)]
    assert len(contents[0]) == len(contents[1]) and contents[0] != contents[1]
    for path, content in zip((other, one), contents, strict=True):
        Path(path).write_bytes(content)


def test_exchanged_contents_of_equal_size_are_noticed(stopped):
    exchange("images/dark/3.bmp", "images/light/3.bmp")
    with pytest.raises(DataError, match=r"^`images` has changed since run began: files of the same names have other"):
        quiet(resume=stopped)


def test_the_same_images_with_other_times_or_at_another_place_are_the_same_data(stopped, tmp_path):
    os.utime("images/dark/3.bmp", (1, 1))
    shutil.copytree("images", "elsewhere/images")
    shutil.copytree("run", "elsewhere/run")
    assert quiet(resume="run").results
    os.chdir("elsewhere")
    shutil.rmtree(tmp_path / "images")
    assert quiet(resume="run").results


def test_a_run_that_wrote_no_digest_goes_on(stopped):
    text = (Run.open(stopped).recipe).read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("contents", "began_in"))]
    assert len(kept) == len(text.splitlines()) - 2
    Run.open(stopped).recipe.write_text("\n".join(kept))
    assert quiet(resume=stopped).results


def test_data_given_relatively_is_found_from_where_the_run_began(stopped, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    result = quiet(resume="../run")
    assert result.results and os.path.samefile(result.data, tmp_path / "images")
    shutil.move(tmp_path / "images", tmp_path / "gone")
    with pytest.raises(DataError, match=r"^`images`, the data of \.\./run, is neither here nor where that run began;"):
        quiet(resume="../run")


def test_weights_given_relatively_are_found_too(images, tmp_path, monkeypatch):
    begun = quiet(images, out="first", **{**FAST, "epochs": 1})
    second = quiet(images, out="second", start=begun.model, **{**FAST, "epochs": 1})
    expected = load_file(second.model)
    (second.run / "last.safetensors").unlink()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    again = quiet(resume="../second")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(again.model).items())


def test_a_second_process_is_refused_while_one_trains(stopped):
    code = "import sys; from fovea.cli import run; sys.exit(run(['train', *sys.argv[1:]]))"
    with Run.open(stopped).held():
        command = [sys.executable, "-c", code, "--resume", stopped]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == (
        "error: `run` is being trained by another process; wait until that ends, or stop it first.\n"
    )
    assert quiet(resume=stopped).results


def test_a_training_keeps_its_new_run_to_itself(images, monkeypatch):
    from fovea.runs.session import Session

    def rival(session):
        with pytest.raises(UsageError, match="is being trained by another process"):
            quiet(resume=session.run.folder)

    monkeypatch.setattr(Session, "finish", lambda session: rival(session) or [])
    quiet(images, out="run", **{**FAST, "epochs": 1})


def test_a_disk_without_locks_keeps_nobody_out(stopped, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none)
    with Run.open(stopped).held() as locked:
        assert not locked


def test_code_runs_only_where_it_is_named(images, dying_after):
    Path("net.py").write_text(NET)
    with dying_after(4):
        quiet(images, out="run", **{**FAST, "model": "net.py:Net"})
    os.remove("ran")
    with pytest.raises(UsageError, match=r"^`run` trains `net\.py:Net`, whose code --resume runs only on request; .*"):
        quiet(resume="run")
    for other in ("net.py:Other", "mlp"):
        with pytest.raises(UsageError, match=r"name it: `fovea train --resume run --model net\.py:Net`\.$"):
            quiet(resume="run", model=other)
    assert not os.path.exists("ran")
    os.makedirs("moved")
    os.rename("net.py", "moved/net.py")
    assert quiet(resume="run", model="moved/net.py:Net").results and os.path.exists("moved/ran")


def test_a_network_of_the_zoo_is_not_named_again(stopped):
    with pytest.raises(UsageError, match=r"leave out --model\.$"):
        quiet(resume=stopped, model="mlp")


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("size = 8", "size = 'big'", r"`network\.size` \(='big'\) must be a whole number of 1 or more"),
        ("allow_bad = false", "allow_bad = 3", r"`data\.source\.allow_bad` \(=3\) must be true or false"),
        ("allow_bad = false", "allow_worse = 3", r"`data\.source\.allow_worse` is not a known field"),
        ("lr = 0.002", "lr = nan", r"`lr` \(=nan\) must be above 0, and finite"),
        ("epochs = 4", "epochs = 'x'", r"`epochs` \(=x\) must be a whole number"),
        ("images = true", "images = 'yes'", r"`report\.images` \(='yes'\) must be true or false"),
        ('device = "cpu"', "", r"`device` is missing"),
        ("channels = 1", "channels = true", r"`preprocess\.channels` \(=True\) must be a whole number"),
        ('fit = "crop"\nmean', "fit = 3\nmean", r"`preprocess` cannot be used"),
    ],
)
def test_a_recipe_is_checked_when_it_is_read(stopped, line, other, message):
    recipe = Run.open(stopped).recipe
    text = recipe.read_text()
    assert text.count(line)
    recipe.write_text(text.replace(line, other, 1))
    tomllib.loads(recipe.read_text())
    with pytest.raises(UsageError, match=rf"^`run/recipe\.toml`: {message}"):
        quiet(resume=stopped)
