"""What terminals, spreadsheets, browsers and scripts get of hostile names: text that does nothing and fakes nothing."""

import ast
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea.cli import output, run
from fovea.display import Display
from fovea.runs.next_steps import _quoted
from fovea.texts import command, in_cell, shown, strict_json

HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http:evil\x07link",
    "\x9b31m",
    "a\nerror: fake",
    "a\r\x7f\x08b",
    "\u202egnp.exe",
    "\u2066\u200bx\ufeff",
    "\u2028\x85q\u3164",
    "[link=http:evil]x[",
    "[bold]b[",
    ":warning:",
    "{task.percentage}%s",
    "=cmd|' -C calc'!A0",
    "-1+1",
    "+1+1",
    "@sum",
    "\uff1d1+1",
    "\t=1",
    "x;=1+1",
    "<script>document.title='evil'<!--",
    "<img src=x onerror=alert(1)>",
    "'\"><b id=evil>",
    "$\\frac{x",
)
"""Names of classes and files."""
BYTES = "\udcff\udce9"
"""A name that is no text, as Python gives it."""
OUR_CODES = re.compile(r"\x1b\[(?:[0-9;]*m|\d*[ABK]|\?25[hl])")
"""Colours, and moving of bars."""
ROOT = Path(fovea.__file__).parent


class Terminal:
    """A pseudo-terminal that stands in for both streams of this process."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch

    def run(self, *arguments):
        """Return the exit code of a command and all that the terminal got."""
        ours, theirs = os.openpty()
        read = []

        def listen():
            with open(ours, "rb", closefd=False) as file:
                try:
                    while block := file.read1():
                        read.append(block)
                except OSError:  # the other end is closed
                    pass

        listener = threading.Thread(target=listen)
        listener.start()
        with (
            open(theirs, "w", encoding="utf-8", errors="backslashreplace", buffering=1) as stream,
            self.monkeypatch.context() as patch,
        ):
            patch.setattr(sys, "stdout", stream)
            patch.setattr(sys, "stderr", stream)
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", "200")
            code = run(list(map(str, arguments)))
        listener.join()
        os.close(ours)
        return code, b"".join(read).decode("utf-8")


@pytest.fixture
def terminal(monkeypatch):
    return Terminal(monkeypatch)


def write_data(folder):
    """Write a class of three images and a bad file for each hostile name."""
    for number, name in enumerate(HOSTILE):
        (folder / name).mkdir(parents=True)
        for index in range(3):
            pixels = np.full((8, 8, 3), 3 * number + 80 * index, np.uint8)
            pixels[index, number % 8] = 255
            Image.fromarray(pixels).save(folder / name / f"{name}{index}.png")
        (folder / name / f"{name}-bad.png").write_bytes(b"nothing")
    Image.fromarray(pixels).save(os.fsencode(folder / HOSTILE[0] / BYTES) + b".png", format="PNG")
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return a working folder with `data` and a `run` trained on it, both with names like those within."""
    folder = tmp_path_factory.mktemp("outputs")
    data, trained = write_data(folder / f"data{HOSTILE[0]}"), folder / f"run{HOSTILE[3]}"
    fovea.train(data, out=trained, display=Display(quiet=True), **QUICK)
    return data, trained


QUICK = {"model": "mlp", "size": 8, "epochs": 1, "threads": 1, "augment": "", "allow_bad": True}
TRAIN = "train {data} --model mlp --size 8 --epochs 1 --threads 1 --set augment= --allow-bad --out {new}"


def assert_harmless(text):
    """Assert that a terminal shows nothing that it obeys beside our colours, and no line that a name has made."""
    assert "\x1b[31mred" not in text
    text = OUR_CODES.sub("", text).replace("\r\n", "\n").replace("\r", "")
    assert {character for character in text if shown(character) != character} - {"\n"} == set()
    assert "\N{WARNING SIGN}" not in text
    assert not [line for line in text.splitlines() if line.startswith("error: fake")]


@pytest.mark.parametrize(
    "line",
    [
        TRAIN,
        "train --resume {run}",
        "train {data} --preview --out {new}.png --size 8 --allow-bad",
        "check {data} --html {new}.html",
        "predict {run}/model.safetensors {data}",
        "predict {run}/model.safetensors {data} --csv",
        "predict {run}/model.safetensors {data} --json",
        "evaluate {run}/model.safetensors {data} --split val --allow-bad --html {new}.html",
        "info {run}/model.safetensors",
        "compare {run} {run} --html {new}.html",
        "measure {run}/model.safetensors --html {new}.html",
        "measure --compare {run}/model.safetensors {run}/model.safetensors",
        "filter {image} --kernel sobel-x --out {new}.png",
        "cache",
        "--debug info {data}/absent",
        "info {data} {data}",
        "check {data} --task {data}",
        "train {data} --set {data}",
        "models {data}",
    ],
)
def test_a_terminal_shows_hostile_names_and_does_nothing_else(line, hostile, terminal, tmp_path):
    data, trained = hostile
    image = data / HOSTILE[3] / f"{HOSTILE[3]}0.png"
    places = {"data": data, "run": trained, "new": tmp_path / f"new{HOSTILE[1][:8].replace('/', '')}", "image": image}
    _, seen = terminal.run(*(word.format(**places) for word in line.split()))
    assert seen
    assert_harmless(seen)
    for page in tmp_path.glob("**/*.html"):
        assert_page_is_ours(page)


def test_what_is_printed_as_next_works_in_a_shell(hostile, tmp_path):
    data, _ = hostile
    words = ["printf", "%s\n", *HOSTILE, BYTES, str(data), "two words", "it's"]
    printed = command(*words)
    assert_harmless(printed)
    done = subprocess.run(["bash", "-c", printed], capture_output=True, check=True)
    assert done.stdout == b"".join(os.fsencode(word) + b"\n" for word in words[2:])


def test_what_is_printed_as_python_works_in_a_shell():
    names = [*HOSTILE, BYTES, "\N{OWL}\u00e9"]
    code = f"import os; [os.write(1, os.fsencode(n + chr(0))) for n in ({', '.join(map(_quoted, names))})]"
    printed = command(sys.executable, "-c", code)
    assert_harmless(printed)
    done = subprocess.run(["bash", "-c", printed], capture_output=True, check=True)
    assert done.stdout == b"".join(os.fsencode(name) + b"\0" for name in names)


class Elements(HTMLParser):
    """The elements of a page, and the names of their attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {(name, value) for name, value in attrs if name == "id" or name.startswith("on")}


def assert_page_is_ours(page):
    text, found = page.read_text(encoding="utf-8"), Elements()
    found.feed(text)
    assert not {"script", "b id=evil"} & found.tags
    assert not {("id", "evil")} & found.attributes and not [a for a in found.attributes if a[0].startswith("on")]
    assert {character for character in text if shown(character) != character} - {"\n"} == set()


def test_in_a_browser_no_hostile_name_runs_or_becomes_an_element(hostile):
    playwright = pytest.importorskip("playwright.sync_api")
    _, trained = hostile
    with playwright.sync_playwright() as tools:
        try:
            browser = tools.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except Exception as error:  # of playwright's own kinds
            pytest.skip(f"no browser: {error}")
        page = browser.new_page()
        alerts = []
        page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        page.goto((trained / "report.html").as_uri())
        assert "evil" not in page.title() and not alerts
        assert page.locator("#evil, script, img[src=x]").count() == 0
        browser.close()


def test_csv_holds_no_formula_and_no_control_character(hostile, capsys):
    data, trained = hostile
    run(["predict", str(trained / "model.safetensors"), str(data), "--csv", "--top", "50"])
    text = capsys.readouterr().out
    assert_harmless(text.replace("\r\n", "\n"))
    rows = list(csv.DictReader(io.StringIO(text)))
    labels = {row["label"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if re.match(r"\s*[=+\-@\uff1d]", cell)]
    assert {"'=cmd|' -C calc'!A0", "'-1+1", "'+1+1", "'@sum", "'\uff1d1+1", "x;'=1+1"} <= labels
    assert all(0 <= float(row["probability"]) <= 1 for row in rows if not row["error"])


@pytest.mark.parametrize("value", [-1.5, 3, float("-inf"), None, "-1.5", "+2", "-3e-7", "a-b", "1;-2", "cat, dog"])
def test_numbers_and_usual_names_stay_as_they_are_in_csv(value):
    assert in_cell(value) == value


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1", " =1", "\uff0b1", "\uff0d1x", "\uff20a", "a,=1", "-", "+1-1"])
def test_what_a_spreadsheet_would_compute_has_a_quote_before_it(text):
    assert re.search(r"(^|,)'", in_cell(text)) and shown(in_cell(text)) == in_cell(text)


def test_negative_numbers_of_a_network_stay_numbers_in_csv(make_number_bundle, colour_folder, capsys, monkeypatch):
    from fovea.tasks.prediction import Prediction

    monkeypatch.setattr(Prediction, "label", "-40.5")
    assert run(["predict", str(make_number_bundle()), str(colour_folder("images")), "--csv"]) == 0
    assert {row["label"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {"-40.5"}


def strict(text):
    """Return what JSON holds, NaN and Infinity refused."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_json_has_no_numbers_that_are_none():
    value = {"a": [float("nan"), {"b": (1.5, float("inf"))}], "c": np.float64("-inf"), "d": Path("x")}
    assert strict(strict_json(value)) == {"a": [None, {"b": [1.5, None]}], "c": None, "d": "x"}


def test_json_is_whole_when_an_error_ends_a_long_list(make_bundle, colour_folder, capsys, tmp_path):
    images, model = colour_folder("images"), str(make_bundle())
    (tmp_path / "empty").mkdir()
    given = [str(images)] * 12
    assert run(["predict", model, *given, str(tmp_path / "none*.png"), "--json", "--batch", "8"]) == 2
    assert len(strict(capsys.readouterr().out)) == 72
    assert run(["predict", model, str(tmp_path / "none*.png"), "--json"]) == 2
    assert capsys.readouterr().out == "[]\n"


@pytest.fixture
def ctrl_c():
    """Ctrl-C as at a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_json_whole(capsys):
    def values():
        yield from range(3)
        signal.raise_signal(signal.SIGINT)
        yield 3

    with pytest.raises(KeyboardInterrupt):
        output.print_json_array(values())
    assert strict(capsys.readouterr().out) == [0, 1, 2]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_within_an_entry_of_json_waits_for_its_end(capsys):
    class Entry:
        def __str__(self):
            signal.raise_signal(signal.SIGINT)
            return "whole"

    with pytest.raises(KeyboardInterrupt):
        output.print_json_array([0, Entry(), 2])
    assert strict(capsys.readouterr().out) == [0, "whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_warnings_and_traces_of_libraries_are_harmless(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    output.say_warnings_safely()
    assert_harmless(warnings.formatwarning(UserWarning("".join(HOSTILE)), UserWarning, "x\x1b.py", 1))
    output.print_trace(ValueError("".join(HOSTILE)))
    assert_harmless(capsys.readouterr().err)


def test_bars_and_notes_show_names_as_they_are(terminal, monkeypatch):
    def command_that_shows():
        with Display() as display:
            for name in HOSTILE:
                display.note(name)
                display.advance(f"unpacking {name}.zip", 1, 2, detail=name)
        return 0

    monkeypatch.setattr("fovea.cli.application", lambda _: lambda *_, **__: command_that_shows())
    code, seen = terminal.run()
    assert code == 0 and "[link=http:evil]x[.zip" in seen and ":warning:" in seen
    assert_harmless(seen)


FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="only Linux has a device that is always full")
CLOSED = "error: Standard output is closed; send it to a file, or to /dev/null.\n"
LOST = "error: Standard output cannot be written: {}.\n"


def shell(line, *words, **environment):
    """Return the result of `fovea`, as `$F` in `line`, by a shell that redirects."""
    variables = {**os.environ, "F": f"{sys.executable} -m fovea", **environment}
    script = f"set -o pipefail; {line.replace('$F', f'{sys.executable} -m fovea')}"
    return subprocess.run(["bash", "-c", script, "bash", *map(str, words)], capture_output=True, env=variables)


@needs_full
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$F --version >/dev/full", 1, LOST.format("No space left on device")),
        ("$F cache >&-", 1, CLOSED),
        ("$F cache --json >&- <&-", 1, CLOSED),
        ("$F --help >/dev/full", 1, LOST.format("No space left on device")),
        ("$F --version 2>&- | cat", 0, ""),
        ("$F cache >&- 2>&- <&-", 1, ""),
        ("$F nothing 2>/dev/full", 2, ""),
        ("$F predict x - <&-", 2, "error: There is no file `x`.\n"),
    ],
)
def test_lost_streams_are_one_line_and_an_exit_code(line, code, said):
    done = shell(line)
    assert (done.returncode, done.stderr.decode()) == (code, said)


@needs_full
@pytest.mark.parametrize(("streams", "code"), [(">/dev/full 2>/dev/full", 1), ("2>&1 | head -c 1", 1)])
def test_no_training_is_lost_with_its_streams(streams, code, tmp_path):
    line = f'$F train digits --model mlp --epochs 2 --threads 1 --out "$1" {streams}'
    assert shell(line, tmp_path / "run").returncode == code
    assert all((tmp_path / "run" / name).exists() for name in ("report.html", "model.safetensors"))
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "latin-1"}],
)
def test_names_that_are_no_text_pass_any_encoding(environment, make_bundle, colour_folder):
    images = colour_folder("images")
    name = os.fsencode(images / "red") + b"/\xff\xc3\xa4.png"
    os.rename(images / "red" / "0.png", name)
    done = shell('printf "%s\\n" "$2" | $F predict "$1" - --top 1', make_bundle(), os.fsdecode(name), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.search(rb"/\\xff(\xc3\xa4|\xe4|\\xe4|\\xc3\\xa4)\.png  red", done.stdout)


def test_a_run_may_lie_at_a_path_that_is_no_text(tmp_path, capsys):
    folder = tmp_path / BYTES
    arguments = ["train", "digits", "--model", "mlp", "--epochs", "1", "--threads", "1", "--out", str(folder)]
    assert run(arguments) == 0
    assert run(["train", "--resume", str(folder)]) == 0
    assert run(["info", str(folder / "model.safetensors")]) == 0
    assert "\\xff\\xe9/report.html" in capsys.readouterr().out


IN_PROCESSES = {"model/keras_reader.py", "serving/explaining.py", "serving/worker.py"}
"""Modules that do so in a process of their own, into a pipe."""
TO_FILES = {
    *(
        "data/annotating/lists.py",
        "data/labelling.py",
        "data/writers/lists.py",
        "data/writers/masks.py",
        "data/writers/objects.py",
    ),
    "retrieval/faiss_file.py",
}
"""Modules that write tables of CSV, with `in_cell`, to files."""
PRINTING = {"cli/output.py", "cli/streams.py", "display.py", "__main__.py", *IN_PROCESSES, *TO_FILES}
"""Modules that may write to standard output or error."""
PRINTS = {"print", "Console", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write", "csv.writer"}


def test_no_other_module_prints():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTS
    }
    assert found <= PRINTING
