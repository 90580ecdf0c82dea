"""A run's folder: where it is made, and what is read back from it."""

import json
import os

import pytest

from fovea.errors import StorageError, UsageError
from fovea.runs.folder import Run


@pytest.fixture
def run(tmp_path):
    made = Run.create(tmp_path / "run", name="unused")
    made.write_recipe({"training": {"lr": 0.1}})
    return made


def test_runs_without_a_place_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [Run.create(None, name="digits-lenet5").folder.as_posix() for _ in range(3)]
    assert folders == ["runs/digits-lenet5", "runs/digits-lenet5-2", "runs/digits-lenet5-3"]
    assert sorted(os.listdir("runs")) == ["digits-lenet5", "digits-lenet5-2", "digits-lenet5-3"]


def test_a_place_may_exist_and_be_deep(tmp_path):
    (tmp_path / "there").mkdir()
    assert Run.create(tmp_path / "there", name="x").folder == tmp_path / "there"
    assert Run.create(tmp_path / "a" / "b", name="x").folder.is_dir()


def test_a_place_that_holds_a_run_is_refused(run):
    for attempt in (lambda: Run.create(run.folder, name="x"), lambda: Run.check_free(run.folder)):
        with pytest.raises(UsageError, match=r"^`.*run` holds a run already\. Continue it with --resume .*run, or"):
            attempt()


def test_a_place_that_is_a_file_or_below_one_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"^`.*file` is a file; choose another --out\.$"):
        Run.create(tmp_path / "file", name="x")
    with pytest.raises(StorageError, match=r"^`.*file/run` cannot be created: `.*file` is not a folder\. Choose"):
        Run.create(tmp_path / "file" / "run", name="x")


def test_the_recipe_is_read_back(run):
    assert Run.open(run.folder).read_recipe() == {"training": {"lr": 0.1}}


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"` is not a run: it has no recipe\.toml\. Give the run folder that"):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", [b"lr = ", b"\xff\xfe"])
def test_a_recipe_that_is_no_toml_is_refused(run, content):
    run.recipe.write_bytes(content)
    with pytest.raises(UsageError, match=r"^`.*recipe\.toml` is not valid TOML: "):
        run.read_recipe()


def test_metrics_are_one_object_a_line(run):
    for epoch in range(3):
        run.append_metrics({"epoch": epoch, "val": None})
    assert [json.loads(line)["epoch"] for line in run.metrics.read_text().splitlines()] == [0, 1, 2]


def test_rewinding_keeps_whole_epochs_and_removes_what_is_unfinished(run):
    for epoch in range(3):
        run.append_metrics({"epoch": epoch})
    with run.metrics.open("a") as file:
        file.write('{"epo')
    (run.folder / ".last.safetensors.17.tmp").touch()
    run.rewind(2, steps=20)
    assert run.metrics.read_text() == '{"epoch": 0}\n{"epoch": 1}\n'
    assert sorted(os.listdir(run.folder)) == ["metrics.jsonl", "recipe.toml"]


def test_rewinding_keeps_the_looks_up_to_the_step(run):
    for step in (0, 10, 20, 30):
        run.append_look({"step": step})
    with run.looks.open("a") as file:
        file.write('{"st')
    run.rewind(2, steps=20)
    assert run.looks.read_text() == '{"step": 0}\n{"step": 10}\n{"step": 20}\n'
    assert run.read_looks()[-1] == {"step": 20} and run.read_metrics() == []


def test_rewinding_before_the_first_epoch_is_an_empty_file(run):
    run.rewind(0, steps=0)
    assert run.metrics.read_bytes() == b""


def test_metrics_that_cannot_be_written_are_a_storage_error(run):
    run.metrics.mkdir()
    with pytest.raises(
        StorageError, match=r"metrics\.jsonl` cannot be written \(Is a directory\); free some disk space or"
    ):
        run.append_metrics({})
