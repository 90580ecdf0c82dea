"""`fovea build` as it is typed: options, output, exit codes."""

import json

import pytest

from fovea.cli import run
from fovea.header import read_card


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


def test_json_stands_alone(capsys):
    assert run(["build", "mlp", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["model"], shown["origin"]) == ("model.safetensors", None)


def test_bad_numbers_and_files_are_one_line_and_leave_nothing(tmp_path, capsys):
    assert run(["build", "mlp", "--mean", "half"]) == 2
    assert "`--mean half` must be one number, or one per channel" in capsys.readouterr().err
    (tmp_path / "cut.pth").write_bytes(b"PK")
    assert run(["build", "mlp", "--weights", "cut.pth"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "model.safetensors").exists()
