"""What a terminal, a spreadsheet and a script get: names from others obey nobody, and odd streams stop no work."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fovea.cli.output import print_json
from fovea.texts import command, in_cell, shown

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams and names of POSIX systems")

HOSTILE = {
    "escape": "\x1b[31merror: gone\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http:evil\x07here\x1b]8;;\x07",
    "eight-bit": "\x9b31m",
    "line": "a\nerror: gone",
    "return": "a\rerror: gone",
    "turned": "a\u202egnp.live",
    "isolate": "a\u2066b\u2069",
    "paragraph": "a\u2029error: gone",
    "markup": "[link=http:evil]x[/link][bold red]",
    "no-text": "caf\udce9",
    "formula": "=HYPERLINK(1)",
}


def fovea(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "fovea", *map(str, arguments)], check=False, **options)


def shell(text, **options):
    return subprocess.run(["bash", "-c", text.replace("fovea ", f"{sys.executable} -m fovea ")], check=False, **options)


def on_a_terminal(*arguments):
    """Return what a command writes to a terminal, standard output and error together."""
    pid, terminal = pty.fork()
    if not pid:
        os.environ["COLUMNS"] = "200"
        os.execv(sys.executable, [sys.executable, "-m", "fovea", *map(os.fsencode, map(str, arguments))])
    written = bytearray()
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        written += chunk
    os.waitpid(pid, 0)
    os.close(terminal)
    return bytes(written)


def obeyed(written: bytes) -> list[str]:
    """Return what of a terminal's input came from a hostile name unchanged."""
    text = written.decode("utf-8", "surrogateescape")
    wrong = [mark for mark in ("\x1b]", "\x1b[31m", "\x9b", "\u202e", "\u2066", "\u2029", "\udce9") if mark in text]
    return wrong + [line for line in text.replace("\r\n", "\n").splitlines() if line.startswith("error: gone")]


@pytest.fixture
def hostile_images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in HOSTILE.values():
        Image.new("RGB", (4, 4), (200, 10, 10)).save(folder / f"{name.replace('/', '-')}.png")
        (folder / f"{name.replace('/', '-')}.broken.png").write_bytes(b"no image")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("predict", "{model}", "{images}"),
        ("predict", "{model}", "{images}", "--json"),
        ("predict", "{model}", "{images}", "--csv"),
        ("check", "{images}", "--label-from", "(.)"),
        ("train", "{images}", "--label-from", "(.)", "--model", "mlp", "--size", "4", "--epochs", "1", "--allow-bad"),
        ("info", "{model}"),
        ("evaluate", "{model}", "{missing}"),
        ("predict", "{missing}", "{missing}"),
        ("train", "--resume", "{missing}"),
        ("compare", "{missing}"),
        ("measure", "{missing}"),
        ("{missing}",),
        ("predict", "--{missing}"),
    ],
    ids=" ".join,
)
def test_no_name_reaches_a_terminal_as_it_is(words, hostile_images, make_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = "".join(HOSTILE.values()).replace("/", "-")
    model = make_bundle(
        classes=[HOSTILE["escape"], HOSTILE["turned"], HOSTILE["markup"]], licences={"data": HOSTILE["line"]}
    )
    filled = [word.format(model=model, images=hostile_images, missing=names) for word in words]
    written = on_a_terminal(*filled)
    assert written and b"Traceback" not in written
    assert obeyed(written) == []


def test_text_that_is_shown_and_not_obeyed():
    assert all(shown(name).isprintable() for name in HOSTILE.values())
    assert shown("naïve 猫 👍🏽 é") == "naïve 猫 👍🏽 é"
    assert shown("a\u00a0b\u3000c") == "a\u00a0b\u3000c"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\N{FULLWIDTH EQUALS SIGN}"])
def test_no_cell_is_a_formula(start):
    made = in_cell(f"{start}cmd|' /C calc'!A0")
    assert made.startswith("'") and made.isprintable()


@pytest.mark.parametrize("value", ["-3.5", "+2", "1e-05", -3.5, 7, "plain", ""])
def test_numbers_stay_numbers(value):
    assert in_cell(value) == value


def test_predictions_as_csv_are_read_back_and_compute_nothing(hostile_images, make_bundle):
    done = fovea("predict", make_bundle(classes=["=1+1", "-", "@a"]), hostile_images, "--csv", capture_output=True)
    rows = list(csv.reader(io.StringIO(done.stdout.decode())))
    assert {len(row) for row in rows} == {5}
    assert all(column.isprintable() and column[:1] not in "=+@\t" for row in rows for column in row if column)
    assert {row[2] for row in rows} >= {"'=1+1", "'-", "'@a"}


@pytest.mark.parametrize("images", ["{folder} {folder}/none*", "{folder}", "{folder}/none*"])
def test_json_is_whole_however_it_ends(images, hostile_images, make_bundle):
    for number in range(70):
        Image.new("RGB", (4, 4)).save(hostile_images / f"{number}.png")
    given = images.format(folder=hostile_images).split()
    done = fovea("predict", make_bundle(), *given, "--json", capture_output=True)

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(done.stdout.decode("ascii"), parse_constant=refuse)
    assert len(found) == (0 if images.startswith("{folder}/") else 70 + 2 * len(HOSTILE))
    assert done.returncode != 0 and b"Traceback" not in done.stderr


def test_numbers_that_are_none_are_null(capsys):
    print_json({"a": float("nan"), "b": [float("inf"), np.float64(2)], "c": Path("caf\udce9")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 2.0], "c": "caf\udce9"}


@pytest.mark.parametrize("name", [*HOSTILE.values(), "it's \\ here\n", "\udcff0"])
def test_a_printed_command_is_taken_by_a_shell(name):
    line = command("printf", "%s", name)
    assert line.isprintable()
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout == os.fsencode(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("streams", "code", "out", "error"),
    [
        (">&-", 1, b"", b"error: Standard output is closed"),
        (">/dev/full", 1, b"", b"error: Standard output cannot be written: No space left on device"),
        ("2>&-", 0, b"red", b""),
        ("2>/dev/full", 0, b"red", b""),
        ("<&-", 0, b"red", b""),
        (">&- 2>&-", 1, b"", b""),
        ("<&- >&- 2>&-", 1, b"", b""),
    ],
)
def test_streams_that_are_closed_or_full(make_bundle, tmp_path, streams, code, out, error):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "a.png")
    done = shell(f"fovea predict {make_bundle()} {tmp_path}/a.png {streams}", capture_output=True)
    assert done.returncode == code
    assert out in done.stdout and done.stderr.startswith(error) and done.stderr.count(b"\n") == bool(error)
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("streams", [">/dev/full", "2>/dev/full", "2>&-"])
def test_a_training_is_not_lost_with_its_output(tmp_path, streams):
    words = "train digits --model lenet1 --epochs 1 --threads 1 --precision float32 --device cpu"
    done = shell(f"fovea {words} --out {tmp_path}/run {streams}", capture_output=True)
    assert done.returncode == (1 if streams == ">/dev/full" else 0)
    assert (tmp_path / "run" / "model.safetensors").exists() and (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_streams_of_another_encoding(make_bundle, tmp_path, encoding):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "猫.png")
    bundle = make_bundle(classes=["rød", "grün", "青"])
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = fovea("predict", bundle, tmp_path / "猫.png", capture_output=True, env=environment)
    assert done.returncode == 0 and done.stderr == b""
    assert "%" in done.stdout.decode(encoding)


def test_names_that_are_no_text_come_by_standard_input(make_bundle, tmp_path):
    path = os.fsencode(tmp_path / "caf") + b"\xe9.png"
    Image.new("RGB", (4, 4), (255, 0, 0)).save(os.fsdecode(path))
    done = fovea("predict", make_bundle(), "-", input=path + b"\n", capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"caf\\xe9.png  red" in done.stdout
