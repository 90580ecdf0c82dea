"""Comparing runs: what is one group, which intervals there are, and what is said where there is none."""

import json
from statistics import stdev

import pytest

from fovea import registry
from fovea.cli import run as command
from fovea.errors import BundleError, UsageError
from fovea.jobs.compare import compare
from fovea.metrics import paired_interval, unpaired_interval
from fovea.runs.folder import Run


@pytest.fixture
def make_run(tmp_path, make_bundle):
    """Return a function that writes a run folder of two epochs, with results by part, and gives its path."""

    def make(name, *, seed=0, accuracy=0.9, data="f00d", val=None, results=None, task="classes", **fields):
        made = Run.create(tmp_path / name, name="unused")
        where = {"source": {"data": f"/home/me/{name}"}, "fingerprint": data, "val_fraction": 0.1}
        recipe = {"seed": seed, "threads": seed + 1, "lr": 0.1, "augment": ["flip"], **fields}
        made.write_recipe({"data": where, "network": {"model": "mlp", "arguments": {}, "size": 4}, "training": recipe})
        for epoch in range(2):
            line = {"epoch": epoch, "loss": 1.0 - 0.1 * epoch, "accuracy": accuracy, "lr": 0.1}
            made.append_metrics({**line, "val": None if val is None else {"loss": 1.1, "accuracy": val}})
        test = {"split": "test", "accuracy": accuracy, "interval": [0.0, 1.0], "images": 100, "flip": False}
        training = {
            **{"data": {"name": "pets"}, "epochs": 2, "seconds": 10.0 + seed, "pflop": 0.5},
            **{"device": "cpu", "threads": 1},
        }
        make_bundle(f"{name}/model.safetensors", training=training, results=[test] if results is None else results)
        return made.folder

    return make


def test_runs_that_differ_in_nothing_but_their_seed_are_one_group(make_run):
    runs = [make_run(f"a{seed}", seed=seed, accuracy=0.9 + seed / 100) for seed in (2, 0, 1)]
    (group,) = compare(runs).groups
    assert (group.name, group.seeds, group.runs[0].parameters) == ("a2", (0, 1, 2), 159)
    found = group.to_dict()
    assert found["results"]["test"]["mean"] == pytest.approx(0.91)
    assert found["results"]["test"]["deviation"] == pytest.approx(0.01)
    assert (found["seconds"]["mean"], found["seconds"]["deviation"]) == (11, 1)
    assert (found["network"], found["data"], found["pflop"]["mean"]) == ("mlp", "pets", 0.5)


def test_another_field_makes_another_group_and_is_named(make_run):
    result = compare([make_run("a"), make_run("b", lr=0.2, augment=[]), make_run("c", seed=1)])
    assert [(group.name, group.seeds) for group in result.groups] == [("a", (0, 1)), ("b", (0,))]
    assert result.settings == {"training.lr": (0.1, 0.2), "training.augment": (["flip"], [])}
    assert result.settings_table.rows == [("training.lr", "0.1", "0.2"), ("training.augment", "flip", "none")]


def test_the_interval_is_paired_over_the_seeds_that_both_have(make_run):
    ours, theirs = (0.90, 0.92, 0.91), (0.93, 0.94, 0.95, 0.50)
    runs = [make_run(f"a{seed}", seed=seed, accuracy=value) for seed, value in enumerate(ours)]
    runs += [make_run(f"b{seed}", seed=seed, accuracy=value, lr=0.2) for seed, value in enumerate(theirs)]
    (found,) = compare(runs).differences
    assert found.difference == pytest.approx(0.03)
    assert found.interval == pytest.approx(paired_interval([0.03, 0.02, 0.04]))
    assert found.method == "paired over 3 common seeds: 0, 1, 2"
    assert found.text.startswith("b0 against a0: accuracy on test +3 points (95 % interval +0.516 to +5.48, paired")


def test_two_single_runs_have_an_interval_over_images(make_run):
    (found,) = compare([make_run("a", accuracy=0.9), make_run("b", accuracy=0.95, lr=0.2, seed=3)]).differences
    assert found.difference == pytest.approx(0.05)
    assert found.interval == unpaired_interval((90, 100), (95, 100))
    assert "over the images, unpaired as predictions are not kept" in found.method


def test_without_common_seeds_there_is_no_interval_and_it_says_why(make_run):
    runs = [make_run("a0"), make_run("a1", seed=1), make_run("b", seed=2, lr=0.2)]
    (found,) = compare(runs).differences
    assert (found.interval, found.method) == (None, "no interval: that needs two seeds in common")
    assert found.difference == pytest.approx(0.0)


def test_the_test_part_comes_before_validation_and_other_data_are_not_compared(make_run):
    def val(accuracy):
        return [{"split": "val", "accuracy": accuracy, "images": 50}]

    runs = [make_run("a", results=val(0.8)), make_run("b", results=val(0.9), lr=0.2), make_run("c", data="cafe")]
    result = compare(runs)
    assert [(found.group, found.split) for found in result.differences] == [("b", "val")]
    assert result.notes[0] == "c was trained on different data than a: they are not compared"
    assert result.table.columns[3:5] == ("accuracy on test", "accuracy on val")
    assert [row[3:5] for row in result.table.rows] == [("-", "80.00 %"), ("-", "90.00 %"), ("90.00 %", "-")]


def test_what_spoils_a_comparison_is_noted(make_run):
    flipped = [{"split": "test", "accuracy": 0.9, "images": 100, "flip": True}]
    runs = [
        make_run("a"),
        make_run("b", results=flipped, lr=0.2),
        make_run("c", results=[], lr=0.3),
        make_run("a-again"),
    ]
    notes = " | ".join(compare(runs).notes)
    assert "a: of several runs with the same seed, the last one counts" in notes
    assert "c has no result: its training has not ended" in notes
    assert "averages over each image and its mirror image" in notes


def test_numbers_are_compared_by_their_error(make_run, make_bundle):
    def errors(mae):
        return [{"split": "test", "images": 100, "mae": mae, "rmse": 2 * mae, "r2": 0.5}]

    runs = [make_run(f"a{seed}", seed=seed, results=errors(3.0 + seed)) for seed in (0, 1)]
    runs += [make_run(f"b{seed}", seed=seed, results=errors(2.5 + seed / 2), lr=0.2) for seed in (0, 1)]
    number = {"task": "number", "loss": "mse", "classes": [], "outputs": 1, "target": {"mean": 0.0, "std": 1.0}}
    for folder in runs:
        card = {
            "training": {"data": {"name": "ages"}, "epochs": 2, "seconds": 1, "pflop": 1, "device": "cpu", "threads": 1}
        }
        mae = errors(float(folder.name[1]) + (3.0 if folder.name[0] == "a" else 2.5))
        arguments = {"classes": 1, "c_in": 3, "size": 4, "widths": [3]}
        model = registry.build("mlp", **arguments)
        make_bundle(f"{folder.name}/model.safetensors", model=model, results=mae, arguments=arguments, **number, **card)
    result = compare(runs)
    assert result.table.columns[3] == "mean absolute error on test"
    assert result.table.rows[0][3] == f"3.5 ± {stdev((3, 4)):.2g}"
    assert result.differences[0].difference == pytest.approx(-0.5)
    assert result.differences[0].text.startswith("b0 against a0: mean absolute error on test -0.5 (95 %")


def test_a_run_given_twice_counts_once_and_names_tell_folders_apart(make_run):
    (parent := make_run("x").parent / "y").mkdir()
    other = make_run("y/x", lr=0.2)
    result = compare([parent.parent / "x", other, parent / ".." / "x"])
    assert [group.name for group in result.groups] == [f"{parent.parent.name}/x", "y/x"]
    assert [len(group.runs) for group in result.groups] == [1, 1]


def test_the_page_holds_table_differences_settings_and_curves_and_no_place_on_the_disk(make_run, tmp_path):
    hostile = "<script>x</script>"
    runs = [make_run("a", val=0.7), make_run("b", seed=1, val=0.8), make_run("c", lr=0.2, optimiser=hostile)]
    compare(runs, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert str(tmp_path) not in page and "/home/me" not in page and hostile not in page
    assert "3 runs, of 2 recipes" in page and "training.lr" in page and "&lt;script&gt;" in page
    assert [title for title in ("Training loss", "Training accuracy, %", "Validation loss") if title in page] != []
    assert "a: 75 at 1" in page  # the mean of 70 and 80 % in the first epoch
    with pytest.raises(UsageError, match=r"`html` \(=.*page\.html\): there is no folder `.*nowhere`; create it first"):
        compare(runs, html=tmp_path / "nowhere" / "page.html")


def test_the_command_prints_tables_or_json_alone(make_run, capsys):
    runs = [str(make_run("a")), str(make_run("b", lr=0.2))]
    assert command(["compare", *runs]) == 0
    out = capsys.readouterr().out
    assert "accuracy on test" in out and "b against a: accuracy on test +0 points" in out and "training.lr" in out
    assert command(["compare", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [group["name"] for group in found["groups"]] == ["a", "b"]
    assert found["differences"][0]["method"].startswith("over the images")


def test_what_is_no_run_is_one_clear_line(make_run, tmp_path, capsys):
    assert command(["compare", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: `{tmp_path}` is not a run: it has no recipe.toml.")
    folder = make_run("a")
    (folder / "model.safetensors").rename(folder / "gone")
    with pytest.raises(
        UsageError, match=r"` has no model yet; resume it with `fovea train --resume .*a`, or leave it out\.$"
    ):
        compare([folder])
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match="empty or truncated"):
        compare([folder])
    (make_run("b") / "recipe.toml").write_text("[training]\nlr = 1.0\n")
    with pytest.raises(
        UsageError, match=r"`.*b` is an incomplete run: in its recipe `data` is missing; leave it out\.$"
    ):
        compare([folder.parent / "b"])
    with pytest.raises(UsageError, match=r"^Give at least one run folder"):
        compare([])


def test_a_folder_of_runs_is_all_of_them_but_those_without_a_result(make_run, tmp_path):
    for name, settings in {"run-10": {"lr": 0.2}, "run-9": {}, "stopped": {"lr": 0.3, "results": []}}.items():
        make_run(name, **settings)
    diverged = Run.create(tmp_path / "diverged", name="unused")
    diverged.write_recipe({"training": {"seed": 0}})
    (tmp_path / "pictures").mkdir()
    result = compare([tmp_path])
    assert [group.name for group in result.groups] == ["run-9", "run-10"]
    assert result.notes == (
        "diverged is left out, as it has no complete model: it diverged or has not ended",
        "stopped is left out, as it has no result: it diverged or has not ended",
    )
    with pytest.raises(UsageError, match="has no model yet"):
        compare([diverged.folder])


def test_a_folder_without_a_whole_run_is_refused(tmp_path):
    diverged = Run.create(tmp_path / "runs" / "diverged", name="unused")
    diverged.write_recipe({"training": {"seed": 0}})
    with pytest.raises(UsageError, match=r"There is no run to compare: diverged is left out"):
        compare([tmp_path / "runs"])


def test_a_length_by_budget_is_said_in_words(make_run):
    result = compare([make_run("a", epochs=40, budget_s=0.0), make_run("b", epochs=0, budget_s=60.0)])
    assert result.settings_table.rows == [
        ("training.epochs", "40", "by budget"),
        ("training.budget_s", "none", "60.0"),
    ]
