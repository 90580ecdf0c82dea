"""`fovea shrink` as its user meets it: every kind of target, teachers and members, the table, errors in one line."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import fovea
from fovea.cli import application
from fovea.compression.planning import measured as measured_of
from fovea.compression.planning import target_of
from fovea.custom import custom_network
from fovea.display import Display
from fovea.errors import BundleError, DataError, UsageError
from fovea.jobs.shrink import shrink
from fovea.runs.chain import measured

OPTIONS = {"threads": 1, "precision": "float32", "device": "cpu", "batch": 16}


def quiet(*arguments, **options):
    return fovea.train(*arguments, display=Display(quiet=True), **{**OPTIONS, **options})


def command(*words):
    return CliRunner().invoke(application(), ["shrink", *map(str, words)])


@pytest.fixture(autouse=True)
def short_timings(monkeypatch):
    """Time the fewest passes: how long they take is not what is tested here."""
    monkeypatch.setattr(measured, "TIMED_S", 0.0)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return a function of a seed that gives a network that knows digits, of one form."""
    found = {}

    def trained(seed=0, **settings):
        key = (seed, *settings.items())
        if key not in found:
            out = tmp_path_factory.mktemp("digits") / "run"
            found[key] = quiet("digits", model="mlp", epochs=6, batch=64, seed=seed, out=out, **settings).model
        return found[key]

    return trained


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Return a manifest of grey squares whose brightness is a number, a grade, and two labels."""
    folder, generator = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    rows = [("path", "split", "number", "grade", "labels")]
    for part, count in (("train", 48), ("val", 16), ("test", 16)):
        for index in range(count):
            level = float(generator.uniform(0, 1))
            pixels = np.clip(255 * level + generator.normal(0, 8, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{part}{index}.png")
            labels = ";".join(name for name, limit in (("some", 0.3), ("much", 0.6)) if level > limit) or "none"
            rows.append((f"{part}{index}.png", part, f"{10 * level:.3f}", str(int(3 * level)), labels))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "labels.csv"


@pytest.mark.parametrize(("task", "metric"), [("number", "mae"), ("grade", "mae"), ("labels", "map")])
def test_every_kind_of_target_is_judged_by_its_own_score(squares, tmp_path, task, metric):
    model = quiet(squares, task=task, label_column=task, model="mlp", epochs=8, size=8, out=tmp_path / "run").model
    done = shrink(
        model, squares, steps="finetune=1,distil=1", teacher=model, out=tmp_path / "s.safetensors", label_column=task
    )
    assert [row.metric for row in done.rows] == [metric] * 3
    assert done.rows[-1].test["score"] == pytest.approx(
        getattr(fovea.evaluate(done.out, squares, label_column=task), metric)
    )
    first, last = done.rows[0], done.rows[-1]
    lost = first.score - last.score if metric == "map" else (last.score - first.score) / first.score
    assert last.drop == pytest.approx(100 * lost)


def test_a_student_learns_from_several_teachers(digits, tmp_path):
    student = quiet("digits", model="mlp", epochs=1, batch=64, out=tmp_path / "run", widths="8").model
    teachers = f"{digits(0)},{digits(1)}"
    done = shrink(student, "digits", steps="distil=4", teacher=teachers, out=tmp_path / "s.safetensors", threads=1)
    assert done.rows[-1].score > done.rows[0].score
    said = fovea.info(done.out).card["shrunk"]["teacher"]
    assert [teacher["file"] for teacher in said] == ["model.safetensors"] * 2
    assert said[0]["sha256"] != said[1]["sha256"]


def test_without_a_teacher_a_network_learns_from_itself_as_it_was(digits, tmp_path):
    """The steps before must not have changed the teacher."""
    steps = "finetune=1,distil=1"
    alone, named = (
        shrink(digits(0), "digits", steps=steps, teacher=teacher, out=tmp_path / f"{name}.safetensors", threads=1)
        for name, teacher in (("alone", None), ("named", digits(0)))
    )
    states = [fovea.load(done.out).model.state_dict() for done in (alone, named)]
    assert all((states[0][name] == tensor).all() for name, tensor in states[1].items())


OWN = """
from torch import nn

class Own(nn.Module):
    def __init__(self, classes, c_in):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(c_in, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten())
        self.logits = nn.LazyLinear(classes)

    def forward(self, x):
        return self.logits(self.features(x))
"""


def test_a_network_of_ones_own_is_shrunk_and_loaded_again(tmp_path):
    code = tmp_path / "own.py"
    code.write_text(OWN)
    model = quiet("digits", model=f"{code}:Own", epochs=3, batch=64, size=8, out=tmp_path / "run").model
    options = ("--steps", "prune=0.5,distil=1,int8", "--network", f"{code}:Own", "--threads", 1)
    result = command(model, "digits", *options, "--out", tmp_path / "s.safetensors")
    assert result.exit_code == 0, result.output
    small = fovea.load(tmp_path / "s.safetensors", model=custom_network(code, "Own", classes=10, c_in=1))
    rows = fovea.info(tmp_path / "s.safetensors").card["shrunk"]["rows"]
    parameters = sum(parameter.numel() for parameter in small.model.parameters())
    assert parameters == rows[2]["parameters"] < rows[0]["parameters"]
    assert fovea.evaluate(tmp_path / "s.onnx", "digits").accuracy == pytest.approx(rows[3]["test"]["score"])
    with pytest.raises(BundleError, match="a custom network"):
        fovea.load(tmp_path / "s.safetensors")


def test_teachers_and_members_may_be_ones_own_network_or_the_zoos(digits, tmp_path):
    code, small = tmp_path / "own.py", tmp_path / "s.safetensors"
    code.write_text(OWN)
    first, second = (
        quiet("digits", model=f"{code}:Own", epochs=1, batch=64, size=16, seed=seed, out=tmp_path / str(seed)).model
        for seed in (0, 1)
    )
    own = {"network": f"{code}:Own", "out": small, "threads": 1}
    steps = "distil=0.2,soup"
    done = shrink(first, "digits", steps=steps, teacher=[second, digits(0)], members=[second], **own)
    assert [row.step for row in done.rows] == ["as given", "distil=0.2", "soup"]
    assert shrink(digits(0), "digits", steps="distil=0.2", teacher=second, **own).rows[-1].score > 0
    with pytest.raises(UsageError, match="none of these is; leave it out"):
        shrink(digits(0), "digits", steps="distil=1", teacher=digits(1), **own)
    code.write_text(OWN.replace("16, 3)", "16, 4)"))
    with pytest.raises(UsageError, match="`--network` does not fit `model.safetensors`"):
        shrink(digits(0), "digits", steps="distil=1", teacher=second, **own)


def test_a_soup_of_seeds_is_no_worse_than_the_network_alone(digits, tmp_path):
    """Networks from other random weights do not mix, and a greedy soup leaves them out."""
    done = shrink(digits(0), "digits", steps="soup", members=[digits(1)], out=tmp_path / "s.safetensors", threads=1)
    assert done.rows[-1].score >= done.rows[0].score
    assert done.rows[-1].notes[0].startswith("greedy: the mean of ")


@pytest.mark.parametrize("target", ["macs=2x", "bytes=5x"])
def test_a_target_is_reached_and_no_more_is_taken_than_it_asks(digits, tmp_path, target):
    found = shrink(digits(0, widths="64"), "digits", target=target, out=tmp_path / "s.safetensors", threads=1)
    assert found.reached, found.verdict
    first, last, aim = found.rows[0], found.rows[-1], target_of(target)
    value = measured_of(last, aim.what)
    # a network of a few kilobytes has few sizes to choose from
    assert (0.97 if aim.what == "macs" else 0.8) * aim.goal(first) <= value <= aim.goal(first)
    steps = [row.step for row in found.rows[1:]]
    assert fovea.info(found.out).card["shrunk"]["steps"] == steps


def test_bagged_members_are_trained_on_other_images(digits):
    assert fovea.info(digits(0, resample=True)).card["training"]["recipe"]["resample"] is True
    plain, bagged = (fovea.load(digits(0, **fields)).model.head.logits.weight for fields in ({}, {"resample": True}))
    assert not (plain == bagged).all()


def test_the_command_prints_the_table_and_info_shows_it_again(digits, tmp_path):
    result = command(digits(0), "digits", "--steps", "finetune=1", "--out", tmp_path / "s.safetensors", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "accuracy, val" in result.stdout and "ms for 16" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines() if line.strip()][2:4] == ["as", "finetune=1"]
    assert f"Written  {tmp_path / 's.safetensors'}" in result.stdout
    shown = CliRunner().invoke(application(), ["info", str(tmp_path / "s.safetensors"), "--all"]).stdout
    assert "shrunk, steps" in shown and "finetune=1" in shown and "ms for 16" in shown


def test_a_chain_is_drawn(digits, tmp_path):
    plot = tmp_path / "chain.png"
    done = shrink(digits(0), "digits", steps="share=4bit:1", out=tmp_path / "s.safetensors", threads=1, plot=plot)
    assert done.files == (plot,)
    with Image.open(plot) as picture:
        assert picture.width > 400


def test_the_command_prints_json_alone(digits, tmp_path):
    words = ("--steps", "finetune=0.5", "--out", tmp_path / "s.safetensors", "--threads", 1, "--json")
    found = json.loads(command(digits(0), "digits", *words).stdout)
    assert [row["step"] for row in found["rows"]] == ["as given", "finetune=0.5"] and found["stopped"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give either `--steps`, for example `--steps fold,finetune=3`, or `--target`"),
        ({"steps": "soup", "target": "macs=2x"}, "Give either"),
        (
            {"steps": "finetune=1", "teacher": "x"},
            ("`--teacher` works only with steps that learn from a teacher, such as `distil`"),
        ),
        ({"steps": "finetune=1", "network": "net"}, r"`network` \(=net\) must be the code of your own network"),
        ({"steps": "soup"}, "`soup` needs other networks; give them with `--members"),
        ({"steps": "finetune=1", "out": "small.onnx"}, r"`out` \(=small.onnx\) must end in .safetensors"),
        ({"steps": "finetune=1", "out": "none/small.safetensors"}, "there is no folder `none`"),
        ({"steps": "finetune=1", "plot": "chain.bmp"}, r"`plot` \(=chain.bmp\) must end in .png, .jpg, .pdf or .svg"),
        ({"steps": "finetune=1", "max_drop": -1}, r"`--max-drop` \(=-1\) must be points from 0 to 100"),
        ({"steps": "finetune=1", "threads": 0}, r"`--threads` \(=0\) must be a whole number from 1"),
        ({"target": "speed=2x"}, "must be one of latency, macs, bytes"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(digits, tmp_path, options, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as error:
        shrink(digits(0), "digits", **options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_model_itself_is_not_overwritten(digits):
    with pytest.raises(UsageError, match="is the model itself"):
        shrink(digits(0), "digits", steps="finetune=1", out=digits(0))


def test_a_teacher_with_other_classes_or_sizes_is_refused(digits, make_bundle, tmp_path):
    with pytest.raises(UsageError, match="`--teacher` model.safetensors predicts .* or has other classes"):
        shrink(digits(0), "digits", steps="distil=1", teacher=make_bundle(), out=tmp_path / "s.safetensors")
    larger = quiet("digits", model="mlp", epochs=1, size=12, out=tmp_path / "run").model
    with pytest.raises(UsageError, match="sees samples of 1x12x12 and the network those of 1x16x16"):
        shrink(digits(0), "digits", steps="distil=1", teacher=larger, out=tmp_path / "s.safetensors")


def test_data_without_a_training_part_is_refused(digits, tmp_path):
    folder = tmp_path / "test" / "0"
    folder.mkdir(parents=True)
    Image.new("L", (8, 8)).save(folder / "0.png")
    with pytest.raises(DataError, match="has no split `train`"):
        shrink(digits(0), tmp_path, steps="finetune=1", out=tmp_path / "s.safetensors")
