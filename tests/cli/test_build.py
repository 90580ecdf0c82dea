"""`fovea build` as it is typed: options, output, exit codes."""

import json
from pathlib import Path

import pytest

from fovea.cli import run
from fovea.model.container import read_card


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("a\nb\n")


def test_options_reach_the_file(capsys):
    options = "--classes-from names.txt --size 28 --resize 32 --mean 0.5 --std 0.1,0.2,0.3 --out net.safetensors"
    assert run(["build", "cifar_resnet20", *options.split()]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.splitlines()[0].startswith("Model    net.safetensors: cifar_resnet20")
    card = read_card("net.safetensors")
    assert card["classes"] == ["a", "b"]
    assert card["preprocess"]["mean"] == [0.5] * 3 and card["preprocess"]["std"] == [0.1, 0.2, 0.3]
    assert card["preprocess"]["size"] == [28, 28] and card["preprocess"]["crop"] == 28 / 32


def test_a_file_is_coded_where_that_is_asked_for(capsys):
    for name, options in (("plain", []), ("coded", ["--coded"])):
        assert run(["build", "cifar_resnet20", "--out", f"{name}.safetensors", *options]) == 0
    # of random weights only the statistics of batch norms have few values
    assert "coding" not in read_card("plain.safetensors")
    assert read_card("coded.safetensors").format == 3
    capsys.readouterr()
    assert run(["info", "coded.safetensors"]) == 0
    shown = capsys.readouterr().out
    assert " bytes in " in shown and "crc32" not in shown


def test_arguments_of_the_network_reach_the_file(capsys):
    pattern = ["CRCRP CRP FRF", "--widths", "4,8,16", "--classes", "5", "--c-in", "1", "--size", "12"]
    assert run(["build", *pattern, "--out", "letters.safetensors"]) == 0
    card = read_card("letters.safetensors")
    expected = {"classes": 5, "c_in": 1, "size": 12, "pattern": "CRCRP CRP FRF", "widths": [4, 8, 16]}
    assert card["arguments"] == expected and card["classes"] == list("01234")
    assert card["preprocess"]["channels"] == 1
    assert run(["build", "vgg_block1", "--set", "dropout=0.5"]) == 0
    assert read_card("vgg_block1.safetensors")["arguments"]["dropout"] == 0.5
    assert capsys.readouterr().err == ""


def test_a_network_is_written_as_python(capsys):
    assert run(["build", "C4k5RP GF", "--size", "12", "--classes", "3", "--c-in", "1", "--out", "net.py"]) == 0
    assert capsys.readouterr().out == "Python   net.py\n"
    text = Path("net.py").read_text()
    assert "self.stage1.conv1 = nn.Conv2d(1, 4, kernel_size=5, stride=1, padding=2)" in text
    assert text.startswith('"""C4k5RP GF, classes=3\n') and "inputs of 1x12x12" in text
    assert run(["build", "lenet5", "--out", "net.py", "--coded"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("lenet5 --widths 4", "`lenet5` has no argument `widths`. Its arguments are c_in, classes, size."),
        ("lenet5 --classes 0", "`classes` (=0) must be an integer of at least 1."),
        ("cifar_resnet20 --c-in 4", "`c_in` (=4) must be 1 (grey) or 3 (RGB); other images"),
        (
            "lenet5 --classes 3 --classes-from names.txt",
            ("`classes` (=3) must be 2, the number of names; leave it out."),
        ),
        ("lenet5 --set classes=3", "`--set classes=3`: `classes` has an option of its own: --classes."),
        ("vgg_block1 --set dropout", "`--set dropout` must have the form key=value"),
        ("vgg_block1 --set dropout=much", "`dropout` of `vgg_block1` must be a float, not `much`."),
        ("vgg_block1 --set drop=0.5", "`vgg_block1` has no argument `drop`; did you mean `dropout`?"),
    ],
)
def test_arguments_that_the_network_does_not_take_are_refused(options, message, tmp_path, capsys):
    assert run(["build", *options.split()]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.safetensors"))


def test_json_stands_alone(capsys):
    assert run(["build", "mlp", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["model"], shown["origin"]) == ("mlp.safetensors", None)


def test_bad_numbers_and_files_are_one_line_and_leave_nothing(tmp_path, capsys):
    assert run(["build", "mlp", "--mean", "half"]) == 2
    assert "`--mean half` must be one number, or one per channel" in capsys.readouterr().err
    (tmp_path / "cut.pth").write_bytes(b"PK")
    assert run(["build", "mlp", "--weights", "cut.pth"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_file_is_named_after_its_network_and_never_overwritten(capsys):
    for _ in range(2):
        assert run(["build", "lenet5"]) == 0
    assert run(["build", "CRP F", "--c-in", "1", "--size", "8"]) == 0
    assert sorted(path.name for path in Path().glob("*.safetensors")) == [
        *("lenet5-2.safetensors", "lenet5.safetensors", "pattern.safetensors"),
    ]
    before = Path("lenet5.safetensors").read_bytes()
    for out in ("lenet5.safetensors", "names.txt"):
        assert run(["build", "lenet1", "--out", out]) == 2
        assert "exists, and `fovea build` overwrites nothing; choose another `out`" in capsys.readouterr().err
    assert Path("lenet5.safetensors").read_bytes() == before
