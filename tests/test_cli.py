"""The command line: what goes where, with which exit code, and what is not imported for it."""

import csv
import errno
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

import fovea
from fovea import cli, tasks
from fovea.cli import BEGAN_AT, run
from fovea.display import Display
from fovea.errors import TrainingError, UsageError
from fovea.jobs import train as train_module


@pytest.fixture
def images(colour_folder):
    return colour_folder("images")


@pytest.fixture
def trained(monkeypatch):
    """Return the list of the arguments that the train job was called with; it trains nothing."""

    class Result:
        interrupted = False

        def summary(self):
            return ["Run      runs/x"]

        def to_dict(self):
            return {"run": "runs/x"}

    calls = []

    def job(*, display, **options):
        assert display.began_at == BEGAN_AT  # a budget counts from there
        calls.append(options)
        return Result()

    monkeypatch.setattr(train_module, "train", job)
    return calls


def fovea_process(*arguments, **options):
    command = [sys.executable, "-m", "fovea", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_help_imports_neither_torch_nor_numpy():
    code = (
        "import sys; from fovea.cli import run; code = run(sys.argv[1:]);"
        "sys.exit(code or any(name in sys.modules for name in ('torch', 'numpy', 'PIL')))"
    )
    for arguments in (["--help"], ["train", "--help"], ["predict", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: fovea" in done.stdout


def test_every_command_of_this_version_has_help(capsys):
    for command in ("train", "evaluate", "predict", "info", "doctor", "cache", "models"):
        assert run([command, "--help"]) == 0
        assert "--json" in capsys.readouterr().out


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"fovea {fovea.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["paint"], "No such command 'paint'. Did you mean 'explain', 'train'? See `fovea --help`."),
        (["train", "--epoch", "3"], "No such option: --epoch"),
        (["search", "i", "x.png", "--page", "y.html"], "No such option: --page; it is `--html` now."),
        (["evaluate"], "Missing argument"),
        (["predict", "m.safetensors", "x.png", "--top", "0"], "Invalid value for '--top'"),
        (["predict", "m.safetensors", "x.png", "--json", "--csv"], "`--json` and `--csv` cannot be used together"),
        (["evaluate", "m", "d", "--min-score", "mae"], "`--min-score mae` must have the form NAME=VALUE with a number"),
        (["evaluate", "m", "d", "--min-score", "mae=x"], "`--min-score mae=x` must have the form NAME=VALUE with"),
        (
            ["evaluate", "m", "d", "--min-score", "mae=1", "--min-score", "mae=2"],
            "`--min-score mae=2`: `mae` is given twice; keep one of them.",
        ),
        (["train", "digits", "--batch", "many"], "Invalid value for '--batch': many must be a whole number or auto."),
        (["train", "digits", "--set", "lr"], "`--set lr` must have the form key=value, as `--set momentum=0.9`."),
        (["train", "digits", "--seed", "1", "--set", "seed=2"], "`seed` has an option of its own: --seed."),
        (["train", "digits", "--set", "val_fraction=0"], "`val_fraction` has an option of its own: --val-fraction."),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(capsys, arguments, error):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ") and error in err


def test_no_command_shows_the_help_and_is_a_usage_error(capsys):
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert "Usage: fovea" in out + err and "error:" not in err


@pytest.mark.parametrize("arguments", [["info", "absent", "--debug"], ["--debug", "info", "absent"]])
def test_debug_shows_the_traceback_wherever_it_stands(capsys, arguments):
    assert run([argument for argument in arguments if argument != "--debug"]) == 2
    assert capsys.readouterr().err == "error: There is no file `absent`.\n"
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and err.endswith("There is no file `absent`.\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("Wrong `x`."), 2, "error: Wrong `x`.\n"),
        (TrainingError("The loss\nis NaN."), 1, "error: The loss is NaN.\n"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "a.png"),
            2,
            "error: `a.png` cannot be used (File name too long); give another path, or make it accessible.\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a.png"),
            1,
            "error: `a.png` cannot be used (Permission denied); give another path, or make it accessible.\n",
        ),
        (ZeroDivisionError("by 0"), 1, "error: ZeroDivisionError: by 0; run with --debug for the traceback\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_of_a_job_become_one_line_and_an_exit_code(capsys, monkeypatch, error, code, said):
    def job(**options):
        raise error

    monkeypatch.setattr(train_module, "train", job)
    assert run(["train", "digits"]) == code
    assert capsys.readouterr() == ("", said)


def test_terminal_codes_in_messages_are_shown_and_not_obeyed(capsys):
    assert run(["info", "\x1b[2Jabsent"]) == 2
    assert capsys.readouterr().err == "error: There is no file `\N{REPLACEMENT CHARACTER}[2Jabsent`.\n"


def test_train_hands_over_what_is_given_and_nothing_else(trained, capsys):
    common = {"device": "auto", "images": True, "watch": None}
    assert run(["train", "digits"]) == 0
    assert trained.pop() == {"data": "digits", **common}
    options = "--model lenet5 --epochs 3 --lr 0.5 --seed 0 --compile --val-fraction 0 --batch 32 --threads 2"
    assert run(["train", "digits", *options.split(), "--set", "momentum=0.8", "--set", "augment=flip,shift 2"]) == 0
    assert trained.pop() == {
        "data": "digits",
        **common,
        **{"model": "lenet5", "epochs": 3, "lr": 0.5, "seed": 0, "compile": True, "val_fraction": 0.0, "batch": 32},
        **{"threads": 2, "momentum": "0.8", "augment": "flip,shift 2"},
    }
    assert run(["train", "--resume", "runs/x", "--batch", "auto", "--threads", "auto"]) == 0
    assert trained.pop() == {"resume": "runs/x", "threads": 0, **common}
    assert capsys.readouterr().out == "Run      runs/x\n" * 3


def test_train_json_and_interrupt(trained, capsys, monkeypatch):
    assert run(["train", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": "runs/x"}
    result = train_module.train(display=Display(began_at=BEGAN_AT))
    result.interrupted = True
    monkeypatch.setattr(train_module, "train", lambda **options: result)
    assert run(["train", "digits"]) == 130


def test_a_preview_is_named_in_json_too(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "digits", "--preview", "--out", "a.png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["preview"] == "a.png" and told["plan"]["model"] == "lenet5" and Path("a.png").exists()
    assert run(["train", "digits", "--preview", "--out", "a.png"]) == 0
    assert capsys.readouterr().out == "Preview  a.png\n"


def test_evaluate_prints_json_alone(make_bundle, images, capsys):
    assert run(["evaluate", str(make_bundle()), str(images), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["accuracy"] == 1
    assert "no splits: measured on all images" in err


def test_evaluate_exits_1_below_the_accuracy_asked_for(make_bundle, images, capsys):
    model = str(make_bundle(order=(1, 0, 2)))
    assert run(["evaluate", model, str(images), "--min-accuracy", "0.33"]) == 0
    assert "accuracy 33.33 %, 95 % interval" in capsys.readouterr().out
    assert run(["evaluate", model, str(images), "--min-accuracy", "0.34", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["passed"] is False
    assert err.endswith("error: accuracy 0.3333 is below --min-accuracy 0.34\n")


def test_evaluate_exits_1_with_a_line_per_score_that_is_worse(make_bundle, images, capsys):
    model = str(make_bundle(order=(1, 0, 2)))
    asked = ["--min-score", "accuracy=0.33", "--min-score", "nll=9"]
    assert run(["evaluate", model, str(images), *asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["min_scores"] == {"accuracy": 0.33, "nll": 9.0}
    asked = ["--min-score", "accuracy=0.5", "--min-score", "nll=1e-3", "--min-score", "top5=0.5"]
    assert run(["evaluate", model, str(images), *asked, "--min-accuracy", "0.34"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert errors == [
        "error: accuracy 0.3333 is below --min-accuracy 0.34",
        "error: accuracy 0.3333 is worse than --min-score accuracy=0.5",
        "error: nll 4.0049 is worse than --min-score nll=0.001",
        "error: top5 is undefined for these images, so --min-score top5=0.5 fails",
    ]


def test_predict_prints_a_line_per_image(make_bundle, images, capsys):
    assert run(["predict", str(make_bundle()), str(images / "red"), "--top", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{images}/red/{i}.png  red 99.5 %  green 0.2 %" for i in range(2)]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (["9.png", "10.png"], ["9.png   red", "10.png  red"]),
        (["folder"], ["folder/9.png  red", "folder/10.png  red", "folder/11.png  red"]),
        (["10.png", "9.png", f"{'x' * 41}.png"], ["10.png  red", "9.png   red", f"{'x' * 41}.png  red"]),
    ],
)
def test_predict_aligns_answers_by_the_names_that_it_knows(make_bundle, tmp_path, monkeypatch, capsys, given, lines):
    (tmp_path / "folder").mkdir()
    for name in (*given, *(f"folder/{number}.png" for number in (9, 10, 11))):
        if name != "folder":
            Image.new("RGB", (6, 6), "red").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert run(["predict", str(make_bundle()), *given, "--top", "1"]) == 0
    assert [line.removesuffix(" 99.5 %") for line in capsys.readouterr().out.splitlines()] == lines


def test_predict_json_is_an_array_even_of_nothing_good(make_bundle, images, capsys):
    model = str(make_bundle())
    assert run(["predict", model, str(images), "--json", "--ensemble", f"{model}, {model}"]) == 0
    assert [entry["predictions"][0]["label"] for entry in json.loads(capsys.readouterr().out)] == [
        *["blue", "blue"],
        *["green", "green"],
        *["red", "red"],
    ]
    assert run(["predict", model, "absent.png", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == [{"image": "absent.png", "error": "No such file or directory."}]
    assert err.splitlines()[0] == "error: absent.png: No such file or directory."


def test_predict_csv_has_a_row_per_rank(make_bundle, images, capsys):
    assert run(["predict", str(make_bundle()), str(images / "red" / "0.png"), "absent.png", "--csv", "--top", "2"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["rank"], row["label"]) for row in rows] == [("1", "red"), ("2", "green"), ("", "")]
    assert rows[2]["error"] == "No such file or directory."


def test_predict_csv_has_a_row_per_label_and_one_for_none(make_labels_bundle, images, capsys):
    model = str(make_labels_bundle(thresholds=(0.75, 0.4, 1.0)))
    assert run(["predict", model, *(str(images / colour / "0.png") for colour in ("red", "blue")), "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
    assert [row[1:] for row in rows[:3]] == [
        ["1", "red", rows[0][3], ""],
        ["2", "green", "0.5", ""],
        ["1", "green", "0.5", ""],
    ]
    assert run(["predict", str(make_labels_bundle(thresholds=(1, 1, 1))), str(images / "red" / "0.png"), "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"{images}/red/0.png,,,,"]


def test_predict_prints_labels_grades_and_numbers(
    make_labels_bundle, make_grade_bundle, make_number_bundle, images, capsys
):
    image = str(images / "red" / "0.png")
    said = {
        make_labels_bundle: "red 99.8 %",
        make_grade_bundle: "2 95.2 %  0 4.7 %  1 0.0 %",
        make_number_bundle: "40",
    }
    for make, text in said.items():
        assert run(["predict", str(make()), image]) == 0
        assert capsys.readouterr().out == f"{image}  {text}\n"
    assert run(["predict", str(make_labels_bundle()), "absent.png", "--top", "1"]) == 2
    assert "leave out `--top`." in capsys.readouterr().err
    assert run(["predict", str(make_number_bundle()), image, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"{image},1,40,,"


def test_predict_counts_on_the_terminal_what_goes_into_a_file(make_bundle, images, tmp_path):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "fovea", "predict", str(make_bundle()), str(images), "--json"]
    with (tmp_path / "out.json").open("w") as file:
        subprocess.run(command, stdout=file, stderr=theirs, check=True)
    os.close(theirs)
    assert len(json.loads((tmp_path / "out.json").read_text())) == 6
    assert b"6 images" in os.read(ours, 10_000)
    os.close(ours)


def test_predict_reads_names_from_standard_input(make_bundle, images, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{images}/red/0.png\n\n{images}/blue\r\n"))
    assert run(["predict", str(make_bundle()), "-", "--top", "1"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["red", "blue", "blue"]


def test_predict_imports_no_library_that_it_does_not_need(make_bundle, images):
    code = (
        "import sys; from fovea.cli import run; code = run(sys.argv[1:]);"
        "sys.exit(code or any(name in sys.modules for name in ('scipy', 'sklearn', 'matplotlib', 'torch._dynamo')))"
    )
    arguments = ["predict", str(make_bundle()), str(images)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_info_shows_the_card(make_bundle, capsys):
    origin = {"file": "a.pth", "sha256": "0" * 64, "naming": "timm"}
    model = str(make_bundle(results=[{"split": "test", "accuracy": 0.5}], origin=origin, temperature=1.5))
    assert run(["info", model, "--all"]) == 0
    out = capsys.readouterr().out
    shown = {"arguments, size": "4", "loss": "cross-entropy", "temperature": "1.5", "origin, file": "a.pth"}
    lines = [line.split() for line in out.splitlines()]
    assert all([*field.split(), value] in lines for field, value in shown.items())
    assert "mlp" in out and "red, green, blue" in out and "split test, accuracy 0.5" in out
    assert run(["info", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"]["architecture"] == "mlp"


def test_info_says_plainly_that_confidence_is_not_calibrated(make_labels_bundle, capsys):
    model = str(make_labels_bundle(uncalibrated="no validation split, which the temperature needs"))
    assert run(["info", model]) == 0
    out = capsys.readouterr().out
    said = "Its confidence is not calibrated: no validation split, which the temperature needs."
    assert f"Caution    {said}" in out.splitlines() and out.count("not calibrated") == 1
    assert run(["info", model, "--all"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == said and out.count("not calibrated") == 1
    assert run(["info", str(make_labels_bundle())]) == 0
    assert "calibrated" not in capsys.readouterr().out


def test_info_shows_two_numbers_as_an_interval_only_where_they_are_one(make_labels_bundle, capsys):
    from fovea.registry import build

    arguments = {"classes": 2, "c_in": 3, "size": 4, "widths": [3]}
    task = {"classes": ["a", "b"], "outputs": 2, "arguments": arguments, "model": build("mlp", **arguments)}
    results = [{"split": "test", "map": None, "interval": None}, {"split": "val", "map": 0.5, "interval": [0.4, 0.6]}]
    assert run(["info", str(make_labels_bundle(thresholds=(0.25, 0.75), results=results, **task)), "--all"]) == 0
    out = capsys.readouterr().out
    assert "0.25, 0.75" in out and "map 0.5, interval 0.4 to 0.6" in out
    assert "map not defined, interval not defined" in out


def test_models_lists_names_that_match(capsys):
    assert run(["models", "resnet1?", "--json"]) == 0
    assert [card["name"] for card in json.loads(capsys.readouterr().out)] == ["resnet18"]
    assert run(["models"]) == 0
    out = capsys.readouterr().out
    assert "LeCun et al." in out and "61.7 k" in out
    assert max(map(len, out.splitlines())) <= 100


def test_models_shows_no_empty_table(capsys):
    assert run(["models", "--year", "1066"]) == 0
    assert capsys.readouterr().out == "0 networks.\n"


def test_models_draws_what_accuracy_costs(capsys, tmp_path):
    assert run(["models", "*net*", "--year", "2018", "--max-params", "2M", "--plot", str(tmp_path / "zoo.svg")]) == 0
    assert "3 networks" in capsys.readouterr().out
    assert (tmp_path / "zoo.svg").read_text().endswith("</svg>\n")
    assert run(["models", "--year", "soon"]) == 2
    assert "`year` (=soon) must be a year" in capsys.readouterr().err


def test_doctor_and_cache_print_tables_and_json(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path))
    assert run(["doctor", "--json"]) == 0
    assert "Python" in [check["name"] for check in json.loads(capsys.readouterr().out)]
    assert run(["doctor"]) == 0
    assert "matrix products" in capsys.readouterr().out
    assert run(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["cache"]) == 0
    assert "images" in capsys.readouterr().out


def test_a_closed_pipe_is_quiet(make_bundle, images):
    process = subprocess.Popen(
        [sys.executable, "-m", "fovea", "predict", str(make_bundle()), *[str(images)] * 200],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_a_file_name_that_is_no_text_is_printed(make_bundle, images):
    name = os.fsencode(images) + b"/\xff.png"
    os.rename(images / "red" / "0.png", name)
    done = fovea_process("predict", make_bundle(), os.fsdecode(name), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["image"] == os.fsdecode(name)


def test_options_after_a_double_dash_are_names(make_bundle, capsys):
    assert run(["predict", str(make_bundle()), "--", "--debug"]) == 1
    assert "error: --debug: No such file" in capsys.readouterr().err


def test_the_script_is_this_main(monkeypatch):
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))  # which the command line replaces
    monkeypatch.setattr("warnings.formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "argv", ["fovea", "info", "absent"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 2


def test_how_labels_are_written_reaches_the_job(trained):
    assert run(["train", "x.csv", "--task", "labels", "--label-separator", "|"]) == 0
    assert run(["train", "x.csv", "--task", "labels", "--label-columns", "a,b"]) == 0
    assert run(["train", "x.csv", "--task", "grade", "--order", "small,large"]) == 0
    given = [
        {name: call[name] for name in call if name in ("label_separator", "label_columns", "order")} for call in trained
    ]
    assert given == [{"label_separator": "|"}, {"label_columns": "a,b"}, {"order": "small,large"}]


@pytest.mark.parametrize("command", ["train", "check"])
def test_the_help_of_task_names_every_kind(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "--task " in line[:16])
    assert [name for name in tasks.names() if name not in line] == []
