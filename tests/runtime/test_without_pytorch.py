"""What `docs/ship.md` promises of an installation without PyTorch, in an environment that has none."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from onnx_files import write_onnx
from PIL import Image

import fovea

NEEDED = ("numpy", "PIL", "onnxruntime", "typer")
"""What is installed beside the package, as `docs/ship.md` says."""
THEIRS = (
    *("numpy.libs", "pillow.libs", "flatbuffers", "packaging", "rich", "pygments", "markdown_it", "mdurl"),
    *("shellingham", "pydantic", "pydantic_core", "annotated_types", "annotated_doc", "typing_extensions.py"),
    *("typing_inspection",),
)
"""What these need themselves."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="links stand for an installation"),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the Python of an environment with nothing but these packages and this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    where = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    site = Path(subprocess.run([python, "-I", "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    installed = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
    for name in (*NEEDED, *THEIRS):
        found = next((path / name for path in installed if (path / name).exists()), None)
        if found is None and name in NEEDED:
            pytest.skip(f"{name} is not installed in one place with the others")
        if found is not None:
            (site / name).symlink_to(found)
    (site / "fovea").symlink_to(Path(fovea.__file__).parent)
    return python


@pytest.fixture
def run(python, tmp_path):
    """Return a function that runs Python there, without what this environment has, and gives its result."""

    def run(*arguments):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [python, "-I", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=clean)

    return run


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (9, 7), "blue").save(tmp_path / "blue.png")
    return tmp_path / "blue.png"


def test_the_environment_has_no_engine(run):
    for name in ("torch", "scipy", "sklearn", "matplotlib", "safetensors", "jinja2", "onnx"):
        assert "No module named" in run("-c", f"import {name}").stderr


def test_an_exported_network_predicts_there(run, tmp_path, image):
    path = write_onnx(tmp_path / "net.onnx")
    said = run("-m", "fovea", "predict", path, image, "--top", "1")
    assert (said.returncode, said.stderr) == (0, "") and said.stdout == f"{image}  blue 99.5 %\n"
    listed = json.loads(run("-m", "fovea", "predict", path, tmp_path, "--json").stdout)
    assert [entry["predictions"][0]["label"] for entry in listed] == ["blue"]
    code = f"from fovea.runtime import load; print(load({str(path)!r}).predict({str(image)!r})[0].label)"
    assert run("-c", code).stdout == "blue\n"


def test_info_and_help_work_there(run, tmp_path, make_bundle):
    for path in (write_onnx(tmp_path / "net.onnx"), make_bundle()):
        said = run("-m", "fovea", "info", path, "--json")
        assert said.returncode == 0 and json.loads(said.stdout)["card"]["classes"] == ["red", "green", "blue"]
    assert "predict" in run("-m", "fovea", "--help").stdout


def test_what_needs_the_engine_says_so_in_one_line(run, tmp_path, image, make_bundle):
    path = write_onnx(tmp_path / "net.onnx")
    said = {
        "predict": run("-m", "fovea", "predict", make_bundle(), image),
        "evaluate": run("-m", "fovea", "evaluate", path, tmp_path),
        "train": run("-m", "fovea", "train", tmp_path),
    }
    for done in said.values():
        assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "`model.safetensors` needs PyTorch, which is not installed here" in said["predict"].stderr
    for name in ("evaluate", "train"):
        assert "This needs `" in said[name].stderr and "`pip install fovea-cnn` brings it" in said[name].stderr
