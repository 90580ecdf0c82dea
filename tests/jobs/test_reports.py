"""The report of a run and of an evaluation: written, private, kept over a kill, and never at the training's expense."""

import getpass
import json
import re
import socket

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import fovea
from fovea.cli import run
from fovea.display import Display
from fovea.errors import TrainingError, UsageError
from fovea.jobs.evaluate import evaluate
from fovea.jobs.train import train
from fovea.model.container import read_card
from fovea.runs import session
from fovea.training.diagnosis import Diagnosis

FAST = {"epochs": 2, "batch": 8, "threads": 1, "precision": "float32", "device": "cpu", "size": 8, "val_fraction": 0.25}


@pytest.fixture
def shades(tmp_path):
    """Return a folder of dark and light noise whose brightness overlaps, so that some is always taken for the other."""
    generator = np.random.default_rng(0)
    for label, mean in (("dark", 110), ("light", 145)):
        (tmp_path / "shades" / label).mkdir(parents=True)
        for number in range(32):
            pixels = generator.normal(mean, 40) + generator.normal(0, 5, (8, 8))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "shades" / label / f"{number}.png")
    return tmp_path / "shades"


def run_on(data, out, **options):
    return train(data, out=out, model="mlp", display=Display(quiet=True), **{**FAST, **options})


def looks(run):
    return [json.loads(line) for line in (run / "looks.jsonl").read_text().splitlines()]


def test_a_run_has_a_report_without_paths_or_names_of_users_and_hosts(shades, tmp_path):
    result = run_on(shades, tmp_path / "run")
    page = result.report.read_text()
    assert result.report == tmp_path / "run" / "report.html" and result.to_dict()["report"] == str(result.report)
    assert "shades" in page and "First-layer filters" in page and len(page) < 300_000
    words = re.split(r"[^\w/.-]+", re.sub(r"data:image/[^\"]*|<style>.*?</style>", "", page, flags=re.S))
    assert str(tmp_path) not in page and not {socket.gethostname(), getpass.getuser()} & set(words)


def test_a_report_lists_what_was_left_out_with_its_reason(shades, tmp_path):
    (shades / "dark/cut.png").touch()
    page = run_on(shades, tmp_path / "run").report.read_text()
    assert re.search(r"files left out</th><td>1<", page) and "dark/cut.png: the file is empty" in page


def test_looks_are_taken_over_the_training_at_the_layer_that_is_named(shades, tmp_path):
    result = run_on(shades, tmp_path / "run", watch="head.logits")
    seen = looks(result.run)
    assert [look["step"] for look in seen] == [0, 2, 3, 5, 6, 8, 9, 11, 12]
    assert "Inputs of head.logits" in result.report.read_text()
    with pytest.raises(UsageError, match="Unknown layer `head.logit`; did you mean `head.logits`"):
        run_on(shades, tmp_path / "other", watch="head.logit")
    assert not (tmp_path / "other").exists()


def test_no_images_leaves_thumbnails_out_also_after_a_resume(shades, tmp_path):
    assert 'class="pictures pixels"' in run_on(shades, tmp_path / "with").report.read_text()
    run_on(shades, tmp_path / "without", images=False)
    again = train(resume=tmp_path / "without", display=Display(quiet=True))
    assert 'class="pictures pixels"' not in again.report.read_text() and "Worst mistakes" in again.report.read_text()
    with pytest.raises(UsageError, match="leave out DATA and the other options"):
        train(resume=tmp_path / "without", images=False, display=Display(quiet=True))


def test_looks_change_nothing_and_a_resumed_run_has_the_same(shades, tmp_path, monkeypatch):
    whole = run_on(shades, tmp_path / "whole")
    on_epoch = session.Session._on_epoch

    def kill(self, trainer, result):
        on_epoch(self, trainer, result)
        self.run.append_look({**looks(self.run.folder)[-1], "step": 99})  # after the checkpoint: to be done again
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "_on_epoch", kill)
        with pytest.raises(KeyboardInterrupt):
            run_on(shades, tmp_path / "killed")
    killed = train(resume=tmp_path / "killed", display=Display(quiet=True))
    assert looks(killed.run) == looks(whole.run)
    with monkeypatch.context() as patch:
        patch.setattr(Diagnosis, "due", False)
        unseen = run_on(shades, tmp_path / "unseen")
    for other in (killed, unseen):
        ours, theirs = load_file(whole.model), load_file(other.model)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_failing_look_or_page_never_stops_the_training(shades, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Diagnosis, "look", lambda self: 1 / 0)
    monkeypatch.setattr(session, "training_page", lambda story: 1 / 0)
    result = train(shades, out=tmp_path / "run", model="mlp", **FAST)
    assert result.results and result.report is None and result.to_dict()["report"] is None
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("report: ")]
    assert notes == [
        "report: no further measurements inside the network (ZeroDivisionError: division by zero)",
        "report: the page is not written; everything else is (ZeroDivisionError: division by zero)",
    ]
    assert not any(line.startswith("Report") for line in result.summary())


def test_a_training_that_diverges_leaves_a_report_that_says_so(shades, tmp_path):
    with pytest.raises(TrainingError):
        run_on(shades, tmp_path / "run", lr=1e6, optimiser="sgd")
    assert "The loss became" in (tmp_path / "run" / "report.html").read_text()


def test_the_temperature_is_fitted_on_validation_and_used_by_predict_and_evaluate(shades, tmp_path):
    result = run_on(shades, tmp_path / "run", epochs=6)
    card = read_card(result.model)
    fitted = card["calibration"]
    assert (fitted["split"], fitted["images"]) == ("val", 16)
    assert card["temperature"] == fitted["temperature"] != 1.0
    found = evaluate(result.model, shades, split="val")
    assert found.ece == pytest.approx(fitted["ece_after"]) and found.temperature == card["temperature"]
    assert found.ece_unscaled == pytest.approx(fitted["ece_before"])
    assert f"({100 * found.ece_unscaled:.2f} % without temperature scaling)" in found.summary()[1]
    bundle = fovea.load(result.model)
    image = next((shades / "dark").iterdir())
    with torch.inference_mode():
        logits = bundle.model(torch.from_numpy(bundle.preprocess.normalise(bundle.preprocess.read(image)[None])))
    expected = (logits.double() / card["temperature"]).softmax(1).max().item()
    assert bundle.predict(image)[0].probability == pytest.approx(expected, rel=1e-5)
    assert "fitted on val (16 images)" in result.report.read_text()


def test_without_a_validation_part_there_is_no_temperature_and_the_report_says_so(shades, tmp_path):
    (tmp_path / "both").mkdir()
    shades.rename(tmp_path / "both" / "train")
    (tmp_path / "both" / "test").symlink_to(tmp_path / "both" / "train")
    result = run_on(tmp_path / "both", tmp_path / "run", val_fraction=0.0)
    card = read_card(result.model)
    assert card["temperature"] == 1.0 and "calibration" not in card
    said = "Its confidence is not calibrated: no validation split, which the temperature needs."
    assert card["uncalibrated"] in said and said in result.report.read_text()
    found = evaluate(result.model, tmp_path / "both")
    assert "(not calibrated: no validation split, which the temperature needs)" in found.summary()[1]


def test_an_evaluation_writes_its_page_with_and_without_images(make_bundle, colour_folder, tmp_path):
    folder, model = colour_folder("colours", red="red", green="blue", blue="blue"), make_bundle()
    evaluate(model, folder, html=tmp_path / "with.html")
    evaluate(model, folder, html=tmp_path / "without.html", images=False)
    pages = [(tmp_path / name).read_text() for name in ("with.html", "without.html")]
    assert all("green/0.png" in page for page in pages)
    assert ['class="pictures pixels"' in page for page in pages] == [True, False]


def test_the_command_line_passes_what_the_report_is_to_hold(shades, tmp_path, capsys):
    out, model, page = (str(tmp_path / name) for name in ("run", "run/model.safetensors", "page.html"))
    options = ["--model", "mlp", "--epochs", "1", "--size", "8", "--threads", "1", "--precision", "float32"]
    assert run(["train", str(shades), "--out", out, *options, "--no-images", "--watch", "head.logits"]) == 0
    assert f"Report   {out}/report.html" in capsys.readouterr().out
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Inputs of head.logits" in report and 'class="pictures pixels"' not in report
    assert run(["evaluate", model, str(shades), "--html", page, "--no-images"]) == 0
    assert "<h2>Classes</h2>" in (tmp_path / "page.html").read_text()


def test_a_page_that_cannot_be_written_is_an_error_of_evaluate(make_bundle, colour_folder, tmp_path):
    folder, model = colour_folder("colours"), make_bundle()
    with pytest.raises(UsageError, match=r"`html` \(=.*page.html\): there is no folder `.*nowhere`; create it first"):
        evaluate(model, folder, html=tmp_path / "nowhere" / "page.html")
    with pytest.raises(UsageError, match="is a folder; give the name of a file in it"):
        evaluate(model, folder, html=tmp_path)


def test_names_that_are_no_text_are_written_all_the_same(make_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "odd" / "red").mkdir(parents=True)
    (tmp_path / "odd" / "green").mkdir()
    for name in ("red/a.png", "green/\udcff.png"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / "plain.png")
        (tmp_path / "plain.png").rename(tmp_path / "odd" / name)
    evaluate(make_bundle(), tmp_path / "odd", html=tmp_path / "page.html")
    assert r"green/\xff.png" in (tmp_path / "page.html").read_text()
