"""A chain of steps on digits: what is kept when, going on to the same end, and what is refused."""

import json
import os
import re
import signal

import pytest
import torch
from safetensors.torch import load_file

import fovea
from fovea.compression import steps
from fovea.compression.step import Done
from fovea.compression.steps import KINDS, Kind
from fovea.display import Display
from fovea.errors import BundleError, DropError, TrainingError, UsageError
from fovea.jobs.shrink import shrink
from fovea.runs.chain import measured
from fovea.runs.chain.chain import Chain
from fovea.runs.chain.kept import Kept
from fovea.training.engine import Trainer

TINY = {"model": "mlp", "epochs": 6, "threads": 1, "precision": "float32", "device": "cpu", "batch": 64}


@pytest.fixture(autouse=True)
def short_timings(monkeypatch):
    """Time the fewest passes: how long they take is not what is tested here."""
    monkeypatch.setattr(measured, "TIMED_S", 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a network that knows digits."""
    out = tmp_path_factory.mktemp("digits") / "run"
    return fovea.train("digits", out=out, display=Display(quiet=True), **TINY).model


def spoil(model, work, value):
    """Add noise to all weights: a step that costs something."""
    generator = torch.Generator().manual_seed(work.seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(value * parameter.std() * torch.randn(parameter.shape, generator=generator))
    return Done(model=model, notes=("noise",))


@pytest.fixture(autouse=True)
def further_steps(monkeypatch):
    """Let chains have a step `spoil=AMOUNT` that costs something."""
    monkeypatch.setattr(steps, "KINDS", (*KINDS, Kind("spoil", "AMOUNT", "adds noise", float, f"{__name__}:spoil")))


def run(model, out, names, **options):
    return shrink(model, "digits", steps=names, out=out, threads=1, device="cpu", **options)


def tensors(path):
    return load_file(path)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "small.safetensors"


def test_each_step_has_a_row_and_the_card_holds_them(model, out):
    done = run(model, out, "spoil=0.1,finetune=1")
    assert [row.step for row in done.rows] == ["as given", "spoil=0.1", "finetune=1"]
    first, _, last = done.rows
    assert first.file_bytes == model.stat().st_size and last.file_bytes == out.stat().st_size
    assert first.parameters == last.parameters == last.nonzero and first.macs == last.macs
    assert set(last.latency) == {1, 16} and last.latency[16].p10_s <= last.latency[16].median_s
    assert first.test and last.test and done.rows[1].test is None
    card = fovea.info(out).card
    assert json.loads(json.dumps([row.to_dict() for row in done.rows])) == card["shrunk"]["rows"]
    assert card["shrunk"]["steps"] == ["spoil=0.1", "finetune=1"] and card["shrunk"]["seed"] == 0
    assert {result["split"] for result in card["results"]} == {"val", "test"}
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name]


def test_the_score_in_the_table_is_that_of_evaluate(model, out):
    first, _, last = run(model, out, "spoil=0.5,finetune=0.1").rows
    for path, row in ((model, first), (out, last)):
        for split, found in (("val", row.score), ("test", row.test["score"])):
            assert fovea.evaluate(path, "digits", split=split).accuracy == pytest.approx(found)
    assert first.test["score"] > last.test["score"]


def test_same_seed_and_threads_same_weights(model, tmp_path):
    found = [run(model, tmp_path / f"{name}.safetensors", "spoil=0.1,finetune=1").out for name in "ab"]
    assert same(*map(tensors, found))


def test_the_chain_stops_before_the_step_that_loses_too_much(model, out):
    done = run(model, out, "finetune=1,spoil=3,finetune=0.1,spoil=0.01", max_drop=5)
    assert [row.step for row in done.rows] == ["as given", "finetune=1"]
    assert "`finetune=0.1` loses" in done.stopped and "more than `--max-drop` 5" in done.stopped
    assert fovea.evaluate(out, "digits", split="val").accuracy == pytest.approx(done.rows[-1].score)
    assert "the network of the row before is kept" in "\n".join(done.summary())


def test_what_the_next_step_makes_good_is_judged_after_it(model, out):
    done = run(model, out, "spoil=0.5,finetune=3", max_drop=3)
    assert not done.stopped and len(done.rows) == 3


def test_where_nothing_can_be_kept_nothing_is_written(model, out):
    with pytest.raises(DropError, match="`spoil=9` loses .* points of accuracy, more than `--max-drop` 1: no step"):
        run(model, out, "spoil=9", max_drop=1)
    assert not out.exists()


class Killed(BaseException):
    pass


def at_step(number, act, monkeypatch):
    """Let `act` happen at the end of the training step with a number."""
    count, train_step = iter(range(1, 10**9)), Trainer.train_step

    def counted(trainer, indices):
        train_step(trainer, indices)
        if next(count) == number:
            act()

    monkeypatch.setattr(Trainer, "train_step", counted)


def die():
    raise Killed


@pytest.mark.parametrize("step", [1, 25, 40])
def test_a_chain_that_died_goes_on_to_the_same_end(model, tmp_path, step):
    names = "finetune=1,spoil=0.2,finetune=1"
    whole = run(model, tmp_path / "whole.safetensors", names)
    out = tmp_path / "died.safetensors"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        at_step(step, die, patch)
        run(model, out, names)
    if step == 1:
        with pytest.raises(UsageError, match="Nothing to resume: there is no"):
            run(model, out, names, resume=True)
        return
    fovea.load(out)  # the last good network, whole
    resumed = run(model, out, names, resume=True)
    assert same(tensors(resumed.out), tensors(whole.out))
    assert [row.score for row in resumed.rows] == [row.score for row in whole.rows]


def test_a_chain_that_died_before_its_step_was_kept_keeps_it(model, tmp_path, monkeypatch):
    names, out = "spoil=0.1,spoil=0.2", tmp_path / "died.safetensors"
    whole = run(model, tmp_path / "whole.safetensors", names)
    for at in (1, 2):
        count, promote = iter(range(1, 9)), Kept.promote
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Kept, "promote", lambda kept, c=count, at=at, p=promote: die() if next(c) == at else p(kept))
            run(model, out, names)
        resumed = run(model, out, names, resume=True)
        assert same(tensors(resumed.out), tensors(whole.out)) and len(resumed.rows) == 3


def test_what_lost_too_much_before_it_died_is_not_kept(model, out):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Chain, "finish", lambda chain: die())
        run(model, out, "finetune=0.1,spoil=9", max_drop=1)
    done = run(model, out, "finetune=0.1,spoil=9", max_drop=1, resume=True)
    assert [row.step for row in done.rows] == ["as given", "finetune=0.1"] and "`spoil=9` loses" in done.stopped


def test_ctrl_c_keeps_the_last_good_network_and_says_how_to_go_on(model, out, capsys):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        at_step(30, lambda: os.kill(os.getpid(), signal.SIGINT), patch)
        run(model, out, "finetune=1,spoil=0.1,finetune=2", display=Display())
    said = capsys.readouterr().err
    assert (
        "contains the last good network; 2 of 3 steps are done. Run the same command with --resume to continue."
    ) in said
    assert re.search(r"as given: accuracy \S+ % on val \(nothing lost\)", said)
    assert re.search(r"finetune=1: accuracy \S+ % on val \((\d\.\d\d points (lost|gained)|nothing lost)\)", said)
    assert fovea.evaluate(out, "digits", split="val").accuracy > 0.8


def test_a_finished_chain_is_not_resumed(model, out):
    run(model, out, "finetune=0.1")
    with pytest.raises(UsageError, match=r"Nothing to resume: `.*small.safetensors` is finished"):
        run(model, out, "finetune=0.1", resume=True)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("finetune=1,finetune=3", {"seed": 1}, "had another seed; give that one, or start again"),
        ("spoil=1,finetune=2", {}, "has done `finetune=1`, and `--steps` begins otherwise"),
    ],
)
def test_another_chain_is_not_resumed(model, out, names, options, message):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        at_step(30, die, patch)
        run(model, out, "finetune=1,finetune=2")
    with pytest.raises(UsageError, match=message):
        run(model, out, names, resume=True, **options)


def test_a_foreign_file_in_place_of_an_unfinished_chain_is_refused(model, out):
    (out.parent / "small.unfinished.safetensors").write_bytes(model.read_bytes())
    with pytest.raises(BundleError, match="does not say which steps are done"):
        run(model, out, "finetune=1", resume=True)


def test_a_training_that_diverges_leaves_the_last_good_network(model, out):
    with pytest.raises(TrainingError, match="`spoil=1e30` destroys the network: its outputs are not finite"):
        run(model, out, "finetune=0.5,spoil=1e30,finetune=1")
    assert fovea.evaluate(out, "digits", split="val").accuracy > 0.8
