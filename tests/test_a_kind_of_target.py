"""The proof that a kind of target is one object: an angle, which no release has, goes all the way by public functions.

No line of the package knows it. An angle is periodic: 359 degrees are one degree from 0.
"""

import csv
import json
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image, ImageDraw

import fovea
from fovea import tasks
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.tasks.figures import Figures, Mistake
from fovea.tasks.number import number_of
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Metric
from fovea.tasks.task import Task
from fovea.tasks.wording import PLAIN

SIZE = 16
ERROR = Metric("error", "mean angular error", higher_is_better=False)


def apart(a, b):
    """Return how far angles in degrees lie apart, 0..180."""
    return np.abs((np.asarray(a) - np.asarray(b) + 180) % 360 - 180)


@dataclass(frozen=True, kw_only=True)
class AngleFigures(Figures):
    """Errors in degrees."""

    error: float
    interval: tuple[float, float]
    worst: float

    def lines(self, where):
        return [f"mean angular error {self.error:.1f}, worst {self.worst:.1f} ({where})"]

    def result(self, split, *, images, flip):
        return {"split": split, "images": images, "error": self.error, "interval": list(self.interval)}

    @property
    def tiles(self):
        return [("mean angular error", f"{self.error:.1f}°", f"worst {self.worst:.1f}°")]


@dataclass(frozen=True, kw_only=True)
class Angle(Task):
    """The network gives out a cosine and a sine."""

    name: ClassVar[str] = "angle"
    noun: ClassVar[str] = "an angle"
    losses: ClassVar[tuple[str, ...]] = ("periodic",)
    changed_by: ClassVar[tuple[str, ...]] = ("affine", "trivial")
    metric: ClassVar[Metric] = ERROR
    follows: ClassVar[bool] = True
    followed: ClassVar[Metric] = ERROR
    closed_form: ClassVar[str] = "regression"
    sections: ClassVar[tuple[str, ...]] = ("scatter", "mistakes")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(AngleFigures))
    loss: str = "periodic"
    zero: str = "east"
    """Where 0 points: the card keeps it."""

    @classmethod
    def encode(cls, texts, *, classes=(), wording=PLAIN):
        return {
            part: np.array([number_of(text, task=cls.name) % 360 for text in values], np.float32)
            for part, values in texts.items()
        }, ()

    @classmethod
    def directional(cls, classes, *, channels):
        return True  # a mirror image has another angle

    @classmethod
    def fitted(cls, labels, *, classes, loss, data):
        tasks.check_loss(loss, cls.name)
        return cls(loss=loss)

    @classmethod
    def fault(cls, card):
        return "" if card.get("zero") in ("east", "north") else "`zero` must be east or north."

    @classmethod
    def outputs_for(cls, loss, classes):
        return 2 if loss == "periodic" and not classes else None

    @classmethod
    def from_card(cls, card):
        return cls(loss=card["loss"], zero=card["zero"])

    @classmethod
    def result_text(cls, result):
        return f"mean angular error {result['error']:.1f} on {result['split']} ({result['images']:,} images)"

    @property
    def outputs(self):
        return 2

    def card_fields(self):
        return {**super().card_fields(), "zero": self.zero}

    def criterion(self, *, label_smoothing=0.0, weights=None):
        return lambda outputs, labels: (outputs - self.probe_targets(labels)).square().mean()

    def per_image(self, outputs, labels):
        found = torch.rad2deg(torch.atan2(outputs[:, 1], outputs[:, 0]))
        return ((found - labels + 180) % 360 - 180).abs()

    def decoded(self, outputs):
        return (torch.rad2deg(torch.atan2(outputs[:, 1], outputs[:, 0])) % 360)[:, None]

    def prediction(self, row):
        return Prediction(value=float(row[0]))

    def figures(self, outputs, labels):
        errors = apart(self.decode(outputs)[:, 0], labels)
        half = 1.96 * errors.std() / len(errors) ** 0.5
        mean = float(errors.mean())
        return AngleFigures(error=mean, interval=(mean - half, mean + half), worst=float(errors.max()))

    def mistakes(self, outputs, labels, *, most):
        found = self.decode(outputs)[:, 0]
        order = np.argsort(-apart(found, labels))[:most].tolist()
        return [Mistake(i, f"{labels[i]:.0f}", f"{found[i]:.0f}") for i in order]

    def probe_targets(self, labels):
        angle = torch.deg2rad(labels)
        return torch.stack([angle.cos(), angle.sin()], 1)


@pytest.fixture(scope="module", autouse=True)
def registered():
    tasks.register(Angle)
    yield
    tasks.unregister("angle")


@pytest.fixture(scope="module")
def needles(tmp_path_factory):
    """Return a manifest of 160 images of a needle, and the angle that it points to."""
    folder, generator = tmp_path_factory.mktemp("needles"), np.random.default_rng(0)
    rows = [("path", "label", "split")]
    for index, angle in enumerate(generator.uniform(0, 360, 160)):
        image, middle = Image.new("L", (SIZE, SIZE), 20), SIZE / 2
        reach = np.array([np.cos(np.deg2rad(angle)), -np.sin(np.deg2rad(angle))]) * 7
        ImageDraw.Draw(image).line((middle, middle, *(middle + reach)), fill=240, width=2)
        image.save(folder / f"{index}.png")
        rows.append((f"{index}.png", f"{angle:.2f}", "test" if index % 5 == 0 else "train"))
    with (folder / "needles.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "needles.csv"


OPTIONS = {"task": "angle", "model": "pattern", "pattern": "CRP CRP", "widths": "8,16", "size": SIZE, "epochs": 30}
OPTIONS |= {"batch": 16, "lr": 0.01, "threads": 1, "precision": "float32", "device": "cpu", "augment": ("shift 1",)}


def quiet(*arguments, **options):
    return fovea.train(*arguments, display=Display(quiet=True), **options)


@pytest.fixture(scope="module")
def run(needles, tmp_path_factory):
    return quiet(needles, out=tmp_path_factory.mktemp("angles") / "run", **OPTIONS)


def test_it_trains_and_the_error_chooses_the_epoch(run):
    lines = [json.loads(line) for line in (run.run / "metrics.jsonl").read_text().splitlines()]
    assert lines[0].keys() >= {"loss", "error", "val"} and lines[0]["val"].keys() == {"loss", "error"}
    assert lines[-1]["error"] < 25 < lines[0]["error"]
    best = min(lines, key=lambda line: line["val"]["error"])
    assert [line for line in lines if line["improved"]][-1] == best
    assert "mean angular error" in run.summary()[1] and run.results[-1]["split"] == "test"


def test_its_facts_are_in_the_card_and_checked(run):
    card = fovea.info(run.model).card
    assert (card["task"], card["loss"], card["outputs"], card["zero"]) == ("angle", "periodic", 2, "east")
    assert card["results"][-1]["error"] == run.results[-1]["error"]


def test_it_evaluates_with_its_own_figures(run, needles):
    result = fovea.evaluate(run.model, needles)
    assert result.figures.error == pytest.approx(run.results[-1]["error"]) and result.error < 25
    assert result.accuracy is None
    assert json.loads(json.dumps(result.to_dict()))["worst"] == result.worst
    assert result.summary()[0].startswith("mean angular error")
    with pytest.raises(UsageError, match="there is none for an angle"):
        fovea.evaluate(run.model, needles, robust=True)


def test_it_predicts_angles(run, needles):
    with needles.open(newline="") as file:
        labels = {row["path"]: float(row["label"]) for row in csv.DictReader(file)}
    paths = [needles.parent / f"{index}.png" for index in range(0, 50, 5)]
    found = [result.prediction.value for result in fovea.predict(run.model, paths)]
    assert np.mean(apart(found, [labels[path.name] for path in paths])) < 25
    assert fovea.load(run.model).predict(paths[0])[0].label == f"{found[0]:g}"


def test_it_reports(run, needles, tmp_path):
    page = (run.run / "report.html").read_text()
    assert "Mean angular error" in page and "Predictions" in page and "Largest errors" in page
    fovea.evaluate(run.model, needles, html=tmp_path / "page.html")
    assert "worst" in (tmp_path / "page.html").read_text()


def test_it_compares(run, needles, tmp_path):
    other = quiet(needles, out=tmp_path / "other", **{**OPTIONS, "epochs": 2})
    [difference] = fovea.compare([run.run, other.run], html=tmp_path / "page.html").differences
    assert difference.difference > 0 and "mean angular error on test" in difference.text
    assert "mean angular error on test" in (tmp_path / "page.html").read_text().lower()


def test_a_run_that_stopped_goes_on_to_the_same_bits(needles, tmp_path, dying_after):
    options = {**OPTIONS, "epochs": 3}
    whole = quiet(needles, out=tmp_path / "whole", **options)
    with dying_after(11):
        quiet(needles, out=tmp_path / "stopped", checkpoint_minutes=1e-9, **options)
    resumed = quiet(resume=tmp_path / "stopped")
    tensors = [fovea.load(path).model.state_dict() for path in (whole.model, resumed.model)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert resumed.results == whole.results


def test_its_head_is_fitted_in_closed_form(run, needles, tmp_path):
    probed = quiet(needles, task="angle", start=run.model, probe=True, size=SIZE, out=tmp_path / "probed", device="cpu")
    assert probed.results[-1]["error"] < 40


def test_what_does_not_fit_is_refused_in_one_line(needles, tmp_path):
    with pytest.raises(UsageError, match="cannot be used with --task angle; use periodic"):
        quiet(needles, out=tmp_path / "run", **{**OPTIONS, "loss": "cross-entropy"})
    with pytest.raises(
        UsageError, match="`--task angel` is not one of classes, number, labels, grade, masks, boxes, points, angle"
    ):
        quiet(needles, out=tmp_path / "run", **{**OPTIONS, "task": "angel"})
    (needles.parent / "bad.csv").write_text("path,label\n0.png,north\n")
    with pytest.raises(DataError, match="Label `north` is not a number, which `--task angle` requires"):
        fovea.find(needles.parent / "bad.csv", task="angle")
    with pytest.raises(UsageError, match="`--task angle` does not fit `digits`, which has classes"):
        quiet("digits", out=tmp_path / "run", task="angle")


def test_a_data_set_of_it_is_checked(needles):
    assert fovea.check(needles, task="angle").classes == {}


def test_names_and_losses_are_taken_once():
    with pytest.raises(UsageError, match="Task `angle`: its name or one of its losses is already used by `angle`"):
        tasks.register(Angle)


def test_it_is_exported_and_says_the_same(run, needles, tmp_path):
    done = fovea.export(run.model, out=tmp_path / "net.onnx", images=needles.parent)
    assert done.facts["proof"]["decisions"] == 0
    bundle = fovea.load(run.model)
    stored = np.stack([bundle.read(needles.parent / f"{index}.png") for index in range(10)])
    found, _ = onnxruntime.InferenceSession(done.path).run(None, {"images": stored})
    assert apart(found[:, 0], bundle.scores(stored)[:, 0]).max() < 0.01
