"""Every kind of input goes all the way, by the functions and by the commands: series, recordings and clips.

What tells the two classes apart is how fast something swings, how high it sounds, and whether it moves left or right.
"""

import csv
import json
import wave

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import fovea
from fovea import inputs
from fovea.cli import application
from fovea.display import Display
from fovea.errors import DataError, UsageError

COUNTS = {"train": 24, "val": 6, "test": 8}
"""Samples of each class."""
STEPS, RATE, SECONDS, FRAMES, SIDE = 48, 4000, 0.12, 5, 16
CLASSES = {"series": ("fast", "slow"), "spectrograms": ("high", "low"), "clips": ("left", "right")}
KINDS = tuple(CLASSES)
READING = {"series": {}, "spectrograms": {}, "clips": {"input": "clips"}}
SMALL = {
    "series": {"model": "causal_1d", "kernel": 5, "levels": 2, "width": 8, "epochs": 10, "lr": 0.01},
    "spectrograms": {"model": "foveola", "width": 0.05, "size": 16, "epochs": 8, "lr": 0.01},
    "clips": {"model": "r3d_8", "epochs": 8, "lr": 0.01},
}
OPTIONS = {"batch": 8, "threads": 1, "precision": "float32", "device": "cpu"}
AUGMENT = {
    "series": ("shift 3", "crop 0.8", "scale 0.1", "jitter 0.1", "mixup 0.2"),
    "spectrograms": ("shift 2", "pitch 1", "mask_time 2", "mask_bands 2", "gain 3"),
    "clips": ("shift 1", "crop 0.8", "erase 0.3"),
}
BROKEN = {"series": "c.csv", "spectrograms": "c.wav", "clips": "c"}


def quiet(*arguments, **options):
    return fovea.train(*arguments, display=Display(quiet=True), **options)


def command(*words):
    return CliRunner().invoke(application(), [str(word) for word in words])


def write_series(place, second, generator):
    phase = generator.uniform(0, 6.28) + np.linspace(0, 6.28 * (2 if second else 6), STEPS)
    values = np.stack([np.sin(phase), np.cos(phase)], axis=1) + 0.2 * generator.normal(size=(STEPS, 2))
    np.savetxt(place.with_suffix(".csv"), values, delimiter=",", header="x,y", comments="")


def write_sound(place, second, generator):
    times = np.arange(int(RATE * SECONDS)) / RATE
    sound = np.sin(2 * np.pi * times * (300 if second else 1200) * generator.uniform(0.9, 1.1))
    sound += 0.1 * generator.normal(size=len(sound))
    with wave.open(str(place.with_suffix(".wav")), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((8000 * sound).astype("<i2").tobytes())


def write_clip(place, second, generator):
    place.mkdir()
    column, row = generator.integers(0, SIDE), generator.integers(0, SIDE - 4)
    for frame in range(FRAMES):
        pixels = generator.integers(0, 40, (SIDE, SIDE), np.uint8)
        columns = (column + 3 * frame * (1 if second else -1) + np.arange(4)) % SIDE
        pixels[row : row + 4, columns] = 220
        Image.fromarray(pixels).save(place / f"{frame}.png")


WRITERS = {"series": write_series, "spectrograms": write_sound, "clips": write_clip}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a folder of each kind, with a broken sample in its train part."""
    found = {}
    for kind in KINDS:
        folder, generator = tmp_path_factory.mktemp(kind) / kind, np.random.default_rng(0)
        for part, count in COUNTS.items():
            for second, label in enumerate(CLASSES[kind]):
                (folder / part / label).mkdir(parents=True)
                for index in range(count):
                    WRITERS[kind](folder / part / label / f"{index:02}", second, generator)
        broken = folder / "train" / CLASSES[kind][0] / BROKEN[kind]
        if kind == "clips":
            broken.mkdir()
            broken /= "0.png"
        broken.write_bytes(b"RIFF, or not")
        found[kind] = folder
    return found


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory):
    """Return a function that gives the trained run of a kind."""
    found = {}

    def run(kind):
        if kind not in found:
            out = tmp_path_factory.mktemp(kind) / "run"
            found[kind] = quiet(folders[kind], out=out, **OPTIONS, **SMALL[kind], **READING[kind])
        return found[kind]

    return run


def samples(folder, kind, part="test"):
    return sorted(path for path in (folder / part).glob("*/*") if path.name != BROKEN[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_it_is_shown(folders, runs, kind):
    run = runs(kind)
    result = run.results[-1]
    assert result["split"] == "test" and result["accuracy"] >= 0.85 and result["images"] == 2 * COUNTS["test"]
    card = fovea.info(run.model).card
    assert card["preprocess"]["input"] == kind and "calibration" in card
    page = run.report.read_text()
    assert BROKEN[kind] in page
    evaluated = fovea.evaluate(run.model, folders[kind])
    assert evaluated.accuracy == result["accuracy"]
    assert f"{2 * COUNTS['test']} {inputs.kind(kind).nouns}" in "\n".join(evaluated.summary())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_stopped_goes_on_to_the_same_bits(folders, tmp_path, dying_after, kind):
    options = {**OPTIONS, **SMALL[kind], **READING[kind], "epochs": 3, "augment": AUGMENT[kind]}
    whole = quiet(folders[kind], out=tmp_path / "whole", **options)
    with dying_after(11):
        quiet(folders[kind], out=tmp_path / "stopped", checkpoint_minutes=1e-9, **options)
    resumed = quiet(resume=tmp_path / "stopped")
    first, second = (load_file(run.model) for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert resumed.results == whole.results


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_sees_what_numpy_computes(folders, runs, kind):
    bundle = fovea.load(runs(kind).model)
    sample = bundle.read(samples(folders[kind], kind)[0])
    assert sample.shape == bundle.preprocess.stored_shape and sample.dtype == bundle.preprocess.dtype
    prepared = bundle.inputs_of(sample[None]).numpy()
    assert prepared.shape == (1, *bundle.preprocess.shape)
    np.testing.assert_allclose(prepared, bundle.preprocess.normalise(sample[None]), rtol=1e-4, atol=1e-5)
    assert inputs.from_dict(json.loads(json.dumps(bundle.preprocess.to_dict()))) == bundle.preprocess


@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts_by_the_command(folders, runs, kind):
    paths = samples(folders[kind], kind)
    rows = json.loads(command("predict", runs(kind).model, *paths, "--json").stdout)
    assert [row["image"] for row in rows] == [str(path) for path in paths]
    right = sum(row["predictions"][0]["label"] == path.parent.name for row, path in zip(rows, paths, strict=True))
    assert right >= 0.85 * len(paths)
    whole = command("predict", runs(kind).model, folders[kind] / "train" / CLASSES[kind][0], "--csv")
    lines = list(csv.DictReader(whole.stdout.splitlines()))
    assert whole.exit_code == 1 and len({line["image"] for line in lines}) == COUNTS["train"] + 1
    assert [line["image"] for line in lines if line["error"]][0].endswith(BROKEN[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_its_export_is_proven_on_samples_and_predicts_alike(folders, runs, tmp_path, kind):
    model, out = runs(kind).model, tmp_path / "net.onnx"
    done = json.loads(command("export", model, "--images", folders[kind] / "test", "--out", out, "--json").stdout)
    assert done["proof"]["source"] == f"{inputs.kind(kind).nouns} of test"
    assert done["proof"]["images"] == 2 * COUNTS["test"] and done["proof"]["changed_decisions"] == 0
    paths = samples(folders[kind], kind)
    rows, expected = (json.loads(command("predict", file, *paths, "--json").stdout) for file in (out, model))
    for row, other in zip(rows, expected, strict=True):
        assert [answer["label"] for answer in row["predictions"]] == [a["label"] for a in other["predictions"]]
        assert row["predictions"][0]["probability"] == pytest.approx(other["predictions"][0]["probability"], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_evaluated_compared_and_described_by_the_commands(folders, runs, tmp_path, kind):
    model, folder = runs(kind).model, folders[kind]
    evaluated = command("evaluate", model, folder, "--json", "--html", tmp_path / "page.html")
    assert json.loads(evaluated.stdout)["images"] == 2 * COUNTS["test"]
    assert "accuracy" in (tmp_path / "page.html").read_text()
    assert command("compare", runs(kind).run, runs(kind).run).exit_code == 0
    assert kind in command("info", model).stdout
    assert command("measure", model).exit_code == 0
    refused = command("evaluate", model, folder, "--robust")
    assert f"this network takes {inputs.kind(kind).nouns}; leave it out" in str(refused.exception)
    assert isinstance(command("evaluate", model, folder, "--flip").exception, UsageError)


@pytest.mark.parametrize("kind", KINDS)
def test_its_answers_are_explained(folders, runs, tmp_path, kind):
    paths = samples(folders[kind], kind)[:2]
    methods = "gradcam,saliency,integrated_gradients,occlusion"
    found = fovea.explain(runs(kind).model, paths, method=methods, target=CLASSES[kind][0], out=tmp_path / "out")
    assert found.failed == 0 and len(found.written[0].pictures) == 4
    shape = fovea.load(runs(kind).model).preprocess.shape
    with np.load(found.written[0].maps) as maps:
        assert maps["map1"].shape == shape[1:] and maps["map1"].max() > 0
    kind_of = inputs.kind(kind)
    assert f"The {kind_of.noun}, " in found.written[0].page.read_text()
    if kind != "spectrograms":
        with pytest.raises(UsageError, match=f"`rise` does not explain {kind_of.nouns}; .*gradcam"):
            fovea.explain(runs(kind).model, paths, method="rise", out=tmp_path / "out")
    with pytest.raises(UsageError, match=f"this network takes {kind_of.nouns}"):
        fovea.trust(runs(kind).model, folders[kind], out=tmp_path / "trust.html")


@pytest.mark.parametrize("kind", KINDS)
def test_its_data_is_checked(folders, tmp_path, kind):
    found = fovea.check(folders[kind], html=tmp_path / "page.html", **READING[kind])
    assert [bad.name for bad in found.bad_files] == [f"train/{CLASSES[kind][0]}/{BROKEN[kind]}"]
    assert found.images == {part: 2 * count for part, count in COUNTS.items()} and found.faults == 1
    length = {"series": STEPS, "spectrograms": SECONDS, "clips": FRAMES}[kind]
    assert found.lengths.median == found.lengths.largest == pytest.approx(length)
    shown = command("check", folders[kind], *(f"--{name}={value}" for name, value in READING[kind].items()))
    nouns = inputs.kind(kind).nouns
    assert f"{nouns} that cannot be used" in shown.stdout and "blank images" not in shown.stdout
    assert nouns in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_bad_ones_are_counted_by_the_name_of_their_kind(tmp_path, kind):
    generator = np.random.default_rng(0)
    for second, label in enumerate(CLASSES[kind]):
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(3):
            WRITERS[kind](tmp_path / "data" / label / f"{index:02}", second, generator)
    broken = tmp_path / "data" / CLASSES[kind][0] / BROKEN[kind]
    if kind == "clips":
        broken.mkdir()
        broken /= "0.png"
    broken.write_bytes(b"RIFF, or not")
    with pytest.raises(DataError, match=f"1 of 7 {inputs.kind(kind).nouns} cannot be used"):
        quiet(tmp_path / "data", out=tmp_path / "run", **OPTIONS, **SMALL[kind], **READING[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_samples_are_found_across_parts(folders, tmp_path, kind):
    place = tmp_path / kind
    for part, label in (("train", 0), ("train", 1), ("test", 0)):
        own = place / part / CLASSES[kind][label]
        own.mkdir(parents=True)
        WRITERS[kind](own / "same", 0, np.random.default_rng(0))
        WRITERS[kind](own / "other", label, np.random.default_rng(1 + label + 2 * (part == "test")))
    found = fovea.check(place, html=tmp_path / "page.html", **READING[kind])
    [group] = found.groups
    assert group.exact and group.leak and group.conflict and len(group.images) == 3
    assert (tmp_path / "page.html").read_text().count("data:image/") >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_network_will_see_is_drawn(folders, tmp_path, kind):
    options = {**OPTIONS, **SMALL[kind], **READING[kind], "augment": AUGMENT[kind]}
    for name in ("threads", "precision"):
        del options[name]
    from fovea.jobs.preview import preview

    picture = preview(folders[kind], out=tmp_path / "preview.png", display=Display(quiet=True), **options)
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_is_there_for_each_kind(folders, kind):
    from fovea.plans.rules import default_plan

    plan = default_plan(fovea.find(folders[kind], **READING[kind]))
    assert plan.model in fovea.names() and plan.reasons
    assert default_plan(fovea.find(folders[kind], **READING[kind]), size=32).size == 32


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_meaning_is_refused_in_one_line(folders, runs, tmp_path, kind):
    nouns = inputs.kind(kind).nouns
    with pytest.raises(DataError, match=f"`digits` contains images, but this network takes {nouns}."):
        fovea.evaluate(runs(kind).model, "digits")
    options = {**OPTIONS, **READING[kind], "out": tmp_path / "run", "epochs": 1}
    with pytest.raises(UsageError, match="Unknown augmentation `colour`"):
        quiet(folders[kind], **{**options, "augment": ("colour 0.3",)})
    with pytest.raises(UsageError, match="`fit` \\(=letterboxed\\)"):
        quiet(folders[kind], **{**options, "fit": "letterboxed"})
    if kind == "spectrograms":
        with pytest.raises(UsageError, match="`lenet5` does not take inputs of 1x32x12, whose sides differ"):
            quiet(folders[kind], **{**options, "model": "lenet5", "size": 32})
    other = "resnet18" if kind != "spectrograms" else "fcn_1d"
    with pytest.raises(UsageError, match=f"`{other}` takes"):
        quiet(folders[kind], **{**options, "model": other})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_shrunk_and_answers_as_before_its_name(folders, runs, tmp_path, kind, monkeypatch):
    monkeypatch.setattr("fovea.runs.chain.measured.TIMED_S", 0.0)
    out = tmp_path / "small.safetensors"
    words = ("--steps", "fold,finetune=1,share=6bit:1", "--out", out, "--threads", 1, "--device", "cpu", "--json")
    reading = [word for name, value in READING[kind].items() for word in (f"--{name}", value)]
    result = command("shrink", runs(kind).model, folders[kind], *words, *reading)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["step"] for row in rows] == ["as given", "fold", "finetune=1", "share=6bit:1"]
    assert rows[1]["score"] == rows[0]["score"] and rows[-1]["tensor_bytes"] < rows[0]["tensor_bytes"]
    assert fovea.evaluate(out, folders[kind]).accuracy == pytest.approx(rows[-1]["test"]["score"])
    (answer,) = fovea.predict(out, samples(folders[kind], kind)[:1])
    assert answer.prediction.label in CLASSES[kind]
