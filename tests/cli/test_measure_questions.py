"""`fovea measure` asked for a unit, for memory, for latency, for a page."""

import json

import pytest

from fovea.cli import run


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_answers_stand_in_place_of_the_table(capsys, own_folder):
    assert run(["measure", "lenet5", "--unit", "stage2:1,3", "--memory", "batch=8", "--html", "page.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Unit       1,3 of stage2 of lenet5 on 1x32x32"
    assert "Picture    lenet5-stage2-1-3.png" in lines and lines[-1] == "Page       page.html"
    assert any(line.startswith("Inference  ") and " for 8 images" in line for line in lines)
    assert not any(line.startswith("stage1.conv") for line in lines)
    assert sorted(path.name for path in own_folder.iterdir()) == ["lenet5-stage2-1-3.png", "page.html"]
    assert "of which are weights" in (own_folder / "page.html").read_text()


def test_json_has_answers_beside_the_layers(capsys):
    options = "--unit stage2:1,3 --out seen.svg --memory batch=8 --latency --device cpu --json"
    assert run(["measure", "lenet5", *options.split()]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["total"]["parameters"] == 61_706
    assert shown["unit"]["unclipped"] == {"rows": [4, 19], "columns": [12, 27]}
    assert shown["memory"]["batch"] == 8 and shown["latency"]["device"] == "cpu"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("lenet5 --memory 32", "`--memory 32` must say for how many images, as `--memory batch=32`."),
        ("lenet5 --memory batch=many", "`--memory batch=many` must say for how many images"),
        ("lenet5 --memory batch=0", "`batch` (=0) must be from 1 to 1,000,000 images."),
        ("lenet5 --unit stage9:0,0", "Unknown layer `stage9`; did you mean `stage2` or `stage1`?"),
        ("lenet5 --unit stage2:5,0", "is outside the map of `stage2`, which is 5 x 5: rows 0 to 4"),
        ("lenet5 --image a.png", "`--image` and `--out` belong to `--unit LAYER:ROW,COLUMN`"),
        ("lenet5 --latency --csv", "are for one network, in text or `--json`"),
        ("--compare lenet5 lenet5 --html a.html", "leave out `--compare`, `--csv` and `--markdown`."),
        ("lenet5 --latency --device npu", "`--device npu` is not available"),
    ],
)
def test_wrong_options_are_told_in_one_line(options, error, capsys, own_folder):
    assert run(["measure", *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and error in err and err.count("\n") == 1
    assert not list(own_folder.iterdir())
