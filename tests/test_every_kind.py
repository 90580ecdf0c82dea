"""Every kind of target goes all the way, by the functions and by the commands: images with up to four bright corners.

Which corners are bright are their labels, how many are their class, their number and their grade.
"""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import fovea
from fovea.cli import application
from fovea.display import Display
from fovea.errors import UsageError

SIZE, IMAGES = 16, 160
CORNERS = {"nw": (0, 0), "ne": (0, 1), "sw": (1, 0), "se": (1, 1)}
WORDS = ("none", "one", "two", "three", "four")
READING = {
    "classes": {"label_column": "word"},
    "number": {"label_column": "count", "task": "number"},
    "labels": {"label_column": "corners", "task": "labels", "label_separator": "+"},
    "cells": {"label_columns": ",".join(CORNERS), "task": "labels"},
    "grade": {"label_column": "word", "task": "grade", "order": ",".join(WORDS)},
}
KINDS = tuple(READING)
METRIC = {"classes": "accuracy", "number": "mae", "labels": "map", "cells": "map", "grade": "mae"}
GOOD = {"classes": 0.8, "number": 0.5, "labels": 0.9, "cells": 0.9, "grade": 0.3}
OPTIONS = {"model": "pattern", "pattern": "CRP CRP", "widths": "8,16", "size": SIZE, "epochs": 25, "val_fraction": 0.2}
OPTIONS |= {"batch": 16, "lr": 0.01, "threads": 1, "precision": "float32", "device": "cpu", "augment": ("shift 1",)}


def quiet(*arguments, **options):
    return fovea.train(*arguments, display=Display(quiet=True), **options)


def reading(kind):
    """Return how the data is read where a model says what is learned."""
    return {name: value for name, value in READING[kind].items() if name not in ("task", "order")}


@pytest.fixture(scope="module")
def corners(tmp_path_factory):
    """Return a manifest of the images; every tenth cell of a corner is unknown."""
    folder, generator = tmp_path_factory.mktemp("corners"), np.random.default_rng(0)
    rows = []
    for index in range(IMAGES):
        bright = {name for name in CORNERS if generator.random() < 0.5}
        pixels = generator.integers(0, 60, (SIZE, SIZE), np.uint8)
        for name in bright:
            row, column = CORNERS[name]
            pixels[8 * row + 2 : 8 * row + 6, 8 * column + 2 : 8 * column + 6] += 180
        Image.fromarray(pixels).save(folder / f"{index}.png")
        cells = {name: "" if generator.random() < 0.1 else int(name in bright) for name in CORNERS}
        rows.append(
            {
                "path": f"{index}.png",
                "corners": "+".join(sorted(bright)),
                "word": WORDS[len(bright)],
                "count": len(bright),
                "camera": "old" if index % 3 else "new",
                "split": "test" if index % 4 == 0 else "train",
                **cells,
            }
        )
    with (folder / "corners.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "corners.csv"


@pytest.fixture(scope="module")
def runs(corners, tmp_path_factory):
    """Return a function that gives the trained run of a kind."""
    found = {}

    def run(kind):
        if kind not in found:
            out = tmp_path_factory.mktemp(kind) / "run"
            found[kind] = quiet(corners, out=out, **OPTIONS, **READING[kind])
        return found[kind]

    return run


def command(*words):
    result = CliRunner().invoke(application(), [str(word) for word in words])
    assert result.exit_code in (0, 1), result.output
    return result


def switches(kind):
    return [f"--{name.replace('_', '-')}={value}" for name, value in reading(kind).items()]


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_it_is_shown(runs, kind):
    run = runs(kind)
    result = run.results[-1]
    higher = METRIC[kind] in ("accuracy", "map")
    assert result["split"] == "test" and (result[METRIC[kind]] > GOOD[kind]) is higher
    assert "on val" in run.summary()[1] and "on test" in run.summary()[2]
    card = fovea.info(run.model).card
    assert card["format"] == (1 if kind in ("classes", "number") else 2)
    assert ("calibration" in card) is (kind != "number") and "uncalibrated" not in card


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_stopped_goes_on_to_the_same_bits(corners, tmp_path, dying_after, kind):
    options = {**OPTIONS, **READING[kind], "epochs": 3, "augment": ("shift 1", "mixup 0.4")}
    whole = quiet(corners, out=tmp_path / "whole", **options)
    with dying_after(11):
        quiet(corners, out=tmp_path / "stopped", checkpoint_minutes=1e-9, **options)
    resumed = quiet(resume=tmp_path / "stopped")
    first, second = (load_file(run.model) for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert resumed.results == whole.results
    assert fovea.info(whole.model).card["preprocess"] == fovea.info(resumed.model).card["preprocess"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cells"])
def test_its_export_is_proven_on_images_and_predicts_alike(corners, runs, tmp_path, kind):
    model, out, images = runs(kind).model, tmp_path / "net.onnx", sorted(corners.parent.glob("*.png"))[:40]
    done = json.loads(command("export", model, "--images", corners.parent, "--out", out, "--json").stdout)
    assert (done["proof"]["images"], done["proof"]["changed_decisions"]) == (64, 0)
    assert done["proof"]["decisions"] == {"labels": 4 * 64, "number": 0}.get(kind, 64)
    found, expected = (fovea.predict(file, images) for file in (out, model))
    for mine, other in zip(found, expected, strict=True):
        assert (mine.prediction.value or 0) == pytest.approx(other.prediction.value or 0, rel=1e-4, abs=1e-5)
        pairs = zip(mine.prediction.scores, other.prediction.scores, strict=True)
        assert all(a.label == b.label and a.probability == pytest.approx(b.probability, abs=1e-5) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_evaluated_by_slice_and_disturbed(corners, runs, tmp_path, kind):
    found = fovea.evaluate(
        runs(kind).model,
        corners,
        slice_by="camera",
        robust=True,
        html=tmp_path / "page.html",
        out=tmp_path / "picture.png",
        **reading(kind),
    )
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    metric = METRIC[kind]
    assert values[metric] == pytest.approx(runs(kind).results[-1][metric])
    assert [entry["value"] for entry in values["slices"]["values"]] == ["new", "old"]
    new, old = values["slices"]["values"]
    assert new["images"] + old["images"] == values["images"] == 40
    assert all(0 <= entry["interval"][0] <= entry[metric] <= entry["interval"][1] for entry in (new, old))
    assert values["robustness"][metric] == pytest.approx(values[metric])
    worst = {curve["disturbance"]: curve["points"][-1][metric] for curve in values["robustness"]["curves"]}
    assert "noise" in worst and (tmp_path / "picture.png").stat().st_size > 10_000
    page = (tmp_path / "page.html").read_text()
    titles = [name[0].upper() + name[1:] for name in worst]
    assert "camera" in page and all(f"{title}: " in page for title in titles)
    assert any("camera" in line for line in found.summary())


@pytest.mark.parametrize("kind", KINDS)
def test_a_least_score_can_be_asked_of_it(corners, runs, kind):
    metric, good = METRIC[kind], GOOD[kind]
    arguments = ("evaluate", runs(kind).model, corners, *switches(kind))
    assert command(*arguments, "--min-score", f"{metric}={good}").exit_code == 0
    never = "rmse" if kind == "number" else "nll"  # no likelihood of finite outputs is 1
    failed = command(*arguments, "--min-score", f"{metric}={good}", "--min-score", f"{never}=0")
    assert failed.exit_code == 1 and f"is worse than --min-score {never}=0" in failed.stderr
    with pytest.raises(UsageError, match="^`min_score` names `r3`, and this model predicts"):
        fovea.evaluate(runs(kind).model, corners, min_score={"r3": 0.5}, **reading(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts(corners, runs, kind):
    run = runs(kind)
    images = [corners.parent / f"{index}.png" for index in range(0, IMAGES, 4)]
    with corners.open(newline="") as file:
        truth = {row["path"]: row for row in csv.DictReader(file)}
    answers = [found.prediction.label for found in fovea.predict(run.model, images)]
    column = {"number": "count", "labels": "corners", "cells": "corners"}.get(kind, "word")
    wanted = [truth[image.name][column] for image in images]
    if kind in ("labels", "cells"):
        wanted = [", ".join(sorted(text.split("+"))) if text else "none" for text in wanted]
        answers = [", ".join(sorted(answer.split(", "))) for answer in answers]
    if kind == "number":
        wanted, answers = wanted, [str(round(float(answer))) for answer in answers]
    assert sum(a == b for a, b in zip(answers, wanted, strict=True)) >= 0.6 * len(images)

    rows = json.loads(command("predict", run.model, *images[:3], "--json").stdout)
    assert [row["image"] for row in rows] == [str(image) for image in images[:3]]
    keys = {"number": {"image", "value"}, "labels": {"image", "predictions", "scores"}}
    keys["cells"] = keys["labels"]
    assert rows[0].keys() == keys.get(kind, {"image", "predictions"})
    lines = list(csv.DictReader(command("predict", run.model, *images, "--csv").stdout.splitlines()))
    assert {line["image"] for line in lines} == {str(image) for image in images}
    both = fovea.predict(run.model, images[:2], ensemble=[run.model])
    assert [found.prediction.label for found in both] == [
        found.prediction.label for found in fovea.predict(run.model, images[:2])
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_compared(corners, runs, tmp_path, kind):
    other = quiet(corners, out=tmp_path / "other", **{**OPTIONS, **READING[kind], "epochs": 1})
    found = fovea.compare([runs(kind).run, other.run], html=tmp_path / "page.html")
    [difference] = found.differences
    assert (difference.difference < 0) is (METRIC[kind] in ("accuracy", "map"))
    assert (difference.interval is None) is (kind == "number")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["groups"][0]["metric"] == METRIC[kind]
    assert difference.metric.title in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_its_data_is_checked(corners, kind):
    found = fovea.check(corners, **READING[kind])
    counts = {name: sum(parts.values()) for name, parts in found.classes.items()}
    assert set(counts) == {"number": set(), "labels": set(CORNERS), "cells": set(CORNERS)}.get(kind, set(WORDS))
    assert found.faults == 0


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_with_the_weights_of_another_and_within_a_time(corners, runs, tmp_path, kind):
    options = {**OPTIONS, **READING[kind]} | {"freeze": "all", "start": runs(kind).model, "budget": 1}
    for name in ("epochs", "model", "pattern", "widths"):
        del options[name]
    found = quiet(corners, out=tmp_path / "run", **options)
    assert found.results[-1]["images"] == 40 and found.seconds < 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_without_validation_says_that_nothing_is_calibrated(corners, tmp_path, kind):
    options = {**OPTIONS, **READING[kind], "val_fraction": 0, "epochs": 1}
    run = quiet(corners, out=tmp_path / "run", **options)
    card, page = fovea.info(run.model).card, run.report.read_text()
    said = kind != "number"
    assert ("uncalibrated" in card) is said and ("not calibrated" in page) is said
    lines = fovea.evaluate(run.model, corners, **reading(kind)).summary()
    assert any("not calibrated: no validation split" in line for line in lines) is said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cells", "grade"])
def test_two_processes_train_it_to_the_same_network(corners, tmp_path, kind):
    options = {**OPTIONS, **READING[kind], "epochs": 2, "optimiser": "sgd", "augment": ""}
    alone = quiet(corners, out=tmp_path / "alone", **options)
    own = ("optimiser", "augment", "pattern", "widths")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if name not in own]
    words += [word for name in own for word in ("--set", f"{name}={options[name]}")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "fovea"]
    ended = subprocess.run(
        [*launcher, "train", str(corners), *words, "--out", str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = load_file(alone.model), load_file(tmp_path / "two" / "model.safetensors")
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-4)


def test_what_has_no_meaning_is_refused_in_one_line(corners, runs, tmp_path):
    cases = {
        ("labels", "balanced"): "Balanced sampling needs one class per image; this network predicts several labels.",
        ("number", "balanced"): "`balanced` (=True) needs classes; `loss` (=mse) has none.",
        ("number", "class_weights"): "`class_weights` (=True) needs classes; `loss` (=mse) has none.",
    }
    for (kind, field), message in cases.items():
        with pytest.raises(UsageError) as caught:
            quiet(corners, out=tmp_path / "run", **{**OPTIONS, **READING[kind], field: True})
        assert str(caught.value) == message
    for kind, loss in (("labels", "cross-entropy"), ("grade", "bce"), ("classes", "corn")):
        with pytest.raises(UsageError, match=rf"`loss` \(={loss}\) cannot be used with --task"):
            quiet(corners, out=tmp_path / "run", **{**OPTIONS, **READING[kind], "loss": loss})
    with pytest.raises(UsageError, match="The models of an ensemble must have the same classes"):
        list(fovea.predict(runs("classes").model, corners.parent / "0.png", ensemble=[runs("grade").model]))
    for kind in ("number", "labels"):
        with pytest.raises(UsageError, match="top"):
            list(fovea.predict(runs(kind).model, corners.parent / "0.png", top=3))
    with pytest.raises(UsageError, match="`min_accuracy`"):
        fovea.evaluate(runs("labels").model, corners, min_accuracy=0.5, **reading("labels"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kind", "field"),
    [("labels", "class_weights"), ("cells", "class_weights"), ("grade", "class_weights"), ("grade", "balanced")],
)
def test_rare_ones_can_count_as_much_as_frequent_ones(corners, tmp_path, kind, field):
    options = {**OPTIONS, **READING[kind], "epochs": 2}
    plain, weighed = (quiet(corners, out=tmp_path / str(on), **options, **{field: on}) for on in (False, True))
    first, second = (load_file(run.model) for run in (plain, weighed))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert all(torch.isfinite(tensor).all() for tensor in second.values())
