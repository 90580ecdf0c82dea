"""Every block of terminal output in README.md and docs/ is what its command prints; the notebook runs as it is shown.

A block is what stands indented below `$ fovea ...`. A line `...` stands for lines that are left out, `...` within a
line for words. What a machine decides (accuracies of a training, times) is compared without its digits, all else to
the letter.
"""

import ast
import base64
import json
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from fovea.cli import run

ROOT = Path(__file__).resolve().parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
NOTEBOOK = json.loads((ROOT / "docs" / "first-network.ipynb").read_text())

LEFT_OUT = "..."
MEASURED = ("train", "evaluate", "compare", "export", "shrink")
"""Commands whose numbers depend on the machine; those of `measure --latency` do too."""

PROGRESS = re.compile(r"[a-z ]+: \d+ %  ")
"""Lines that a busy machine prints every ten seconds."""

NEEDS = {
    "fovea train digits --model pattern": "shallow run",
    "fovea train digits --from": "published weights",
    "fovea train digits": "run",
    "fovea evaluate": "run",
    "fovea export small": "network on a grid",
    "fovea export": "run",
    "fovea compare": "six runs",
    "fovea shrink": "run",
    "fovea train photos --from resnet18.safetensors": "built network",
    "fovea train photos": "published weights",
}
"""What a command needs beside the files of `folder`, by how it begins: a fixture of that name, with `_` for blanks."""

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.conv2 = nn.Conv2d(16, 16, 3)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        x = nn.functional.relu(self.conv1(x))
        return self.fc(self.conv2(x).mean((2, 3)))
"""
"""The network of docs/measure.md whose second convolution wants other channels than it gets."""


class Block(NamedTuple):
    """A command with what a page says it prints."""

    page: str
    command: str
    lines: list[str]

    @property
    def measured(self) -> bool:
        return self.command.split()[1] in MEASURED or "--latency" in self.command

    @property
    def needs(self) -> str:
        return next((need for start, need in NEEDS.items() if self.command.startswith(start)), "")

    @property
    def slow(self) -> bool:
        """Whether it takes more than a few seconds, or data that are not at hand everywhere."""
        long = self.command == "fovea train digits" or "models --plot" in self.command
        return long or self.needs in ("six runs", "published weights")


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the blocks of a page."""
    found = []
    for indented in re.findall(r"(?:^(?:    .*|)\n)+", text, re.M):
        lines = [line[4:].rstrip() for line in indented.splitlines()]
        starts = [i for i, line in enumerate(lines) if line.startswith("$ fovea ")]
        for start, end in zip(starts, [*starts, len(lines)][1:], strict=False):
            kept = [line for line in lines[start + 1 : end] if line]
            found.append(Block(page, lines[start].removeprefix("$ "), kept))
    return found


BLOCKS = [block for page, text in PAGES.items() for block in blocks_of(page, text)]


def pattern_of(line: str, *, measured: bool) -> str:
    """Return the regular expression of a line: blanks are of any length, digits of measured ones are any."""
    words = re.escape(" ".join(line.split())).replace(r"\ ", r"\s+").replace(re.escape(LEFT_OUT), ".*")
    words = re.sub("─+", "─+", words)
    words = re.sub(r"threads?,\\s\+b?float(32|16)", r"threads?,\\s+b?float(32|16)", words)  # what is faster here
    return re.sub(r"(?:\\[-+])?(?:\d|\\\.|,|e\\-)*\d", r"[-+\\d.,e]+", words) if measured else words


def missing(expected: list[str], printed: list[str], *, measured: bool) -> str:
    """Return the first line of a page that is not printed in its place; empty where all are, and nothing else is."""
    lines = [" ".join(line.split()) for line in printed if line.strip() and not PROGRESS.match(line)]
    ends = {0}  # how many printed lines the lines of the page so far may stand for
    for line in expected:
        if line == LEFT_OUT:
            ends = set(range(min(ends), len(lines) + 1))
            continue
        wanted = re.compile(pattern_of(line, measured=measured))
        ends = {end + 1 for end in ends if end < len(lines) and wanted.fullmatch(lines[end])}
        if not ends:
            return line
    return "" if len(lines) in ends else f"(nothing) where there is: {lines[max(ends)]}"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder with the files that the pages name."""
    place = tmp_path_factory.mktemp("pages")
    (place / "net.py").write_text(NET)
    (place / "docs" / "images").mkdir(parents=True)
    (place / "docs" / "patterns.py").write_text((ROOT / "docs" / "patterns.py").read_text())
    for name, colour in (("cats", "red"), ("dogs", "blue")):
        (place / "photos" / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (40, 40), colour).save(place / "photos" / name / f"{index}.png")
    return place


def quietly(folder, command):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*shlex.split(command)[1:], "--threads", "1"]) == 0


@pytest.fixture(scope="session")
def a_run(folder):
    """Train what the pages go on with; fewer epochs than a reader trains, as digits are not compared."""
    quietly(folder, "fovea train digits --epochs 3 --out runs/digits-lenet5")


@pytest.fixture(scope="session")
def shallow_run(folder):
    pattern = '--model pattern --set "pattern=CRP CRP" --set widths=8,16 --size 16'
    quietly(folder, f"fovea train digits {pattern} --epochs 1 --out shallow")


@pytest.fixture(scope="session")
def built_network(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["build", "resnet18"]) == 0


@pytest.fixture(scope="session")
def network_on_a_grid(folder, a_run):
    quietly(folder, "fovea shrink runs/digits-lenet5 digits --steps fold,quantise=1 --out small.safetensors")


@pytest.fixture(scope="session")
def six_runs(folder):
    for seed in range(3):
        for name, augment in (("still", "--set augment="), ("moved", "")):
            quietly(folder, f"fovea train digits --epochs 10 {augment} --seed {seed} --out runs/{name}-{seed}")


@pytest.fixture(scope="session")
def published_weights(folder):
    file = Path(os.environ.get("FOVEA_DATA", "")) / "weights" / "resnet20-12fca82f.th"
    if not file.is_file():
        pytest.skip("FOVEA_DATA has no weights/resnet20-12fca82f.th")
    (folder / file.name).symlink_to(file)


@pytest.fixture(scope="session")
def printed_by():
    """Return what commands have printed, by command: two pages may show the same one."""
    return {}


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, marks=pytest.mark.slow) if block.slow else block for block in BLOCKS],
    ids=lambda block: f"{block.page}: {block.command}",
)
def test_a_block_of_terminal_output_is_what_its_command_prints(block, folder, printed_by, request, monkeypatch, capsys):
    if block.needs and block.command != "fovea train digits":
        request.getfixturevalue({"run": "a_run"}.get(block.needs, block.needs.replace(" ", "_")))
    if block.command == "fovea train digits":  # names its own run, which must not be there yet
        folder = folder / "alone"
        folder.mkdir(exist_ok=True)
    if block.command not in printed_by:
        capsys.readouterr()
        monkeypatch.chdir(folder)
        run(shlex.split(block.command)[1:])
        seen = capsys.readouterr()
        printed_by[block.command] = (seen.err + seen.out).splitlines()
    printed = printed_by[block.command]
    fault = missing(block.lines, printed, measured=block.measured)
    assert not fault, f"{block.page} shows `{fault}`; {block.command} prints:\n" + "\n".join(printed)


def test_no_page_shows_output_without_the_command_that_prints_it():
    said = re.compile(
        r"    (plan|data|weights|error|step \d+ of \d+|kept|head|epoch +\d+|Written|Result|Report|Target) *[: ]"
    )
    for page, text in PAGES.items():
        for indented in re.findall(r"(?:^(?:    .*|)\n)+", text, re.M):
            before, *_ = indented.split("    $ fovea ", 1)
            assert not [line for line in before.splitlines() if said.match(line)], page


def test_there_are_blocks_to_compare():
    assert len(BLOCKS) >= 16
    assert {block.page for block in BLOCKS} >= {"README.md", "docs/measure.md", "docs/training.md", "docs/zoo.md"}


@pytest.mark.parametrize(
    ("expected", "printed", "measured", "fault"),
    [
        (["a 1", "..."], ["a   1", "b"], False, ""),
        (["a 1"], ["a 2"], False, "a 1"),
        (["a 1.5 %"], ["a 20 %"], True, ""),
        (["a 1.5 %"], ["b 20 %"], True, "a 1.5 %"),
        (["a"], ["a", "b"], False, "(nothing) where there is: b"),
        (["...", "b"], ["a", "c", "b"], False, ""),
        (["...", "b"], ["a", "c"], False, "b"),
        (["a ... z"], ["a b c z"], False, ""),
        (["...", "epoch 40", "b"], ["epoch 1", "epoch 2", "training: 8 %  epoch 3", "b"], True, ""),
        (["──"], ["─────"], False, ""),
    ],
)
def test_a_block_that_says_something_else_would_be_found(expected, printed, measured, fault):
    assert missing(expected, printed, measured=measured) == fault


def test_the_notebook_runs_and_shows_what_it_stores(tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="the notebook shows a data frame")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 8
    for cell in cells:
        *body, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        if not isinstance(last, ast.Expr) or "print" in ast.unparse(last):
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
            continue
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        (stored,) = [output["data"] for output in cell["outputs"] if output["output_type"] == "execute_result"]
        assert form(repr(value)) == form("".join(stored["text/plain"]))
        assert hasattr(value, "_repr_html_") == ("text/html" in stored)
        assert hasattr(value, "_repr_png_") == ("image/png" in stored)


def form(text: str) -> str:
    """Return a text without digits, lengths of blanks and places in memory."""
    return re.sub(r"[\d.,]+", "0", re.sub(r" at 0x[0-9A-Fa-f]+", "", " ".join(text.split())))


def test_the_notebook_stores_no_place_of_this_machine_and_nothing_large():
    text = json.dumps(NOTEBOOK)
    assert not re.search(r"/(tmp|home|root|work|Users)\b", text)
    assert len(text) < 100_000
    pictures = [
        output["data"].get("image/png")
        for cell in NOTEBOOK["cells"]
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    assert any(base64.b64decode("".join(picture))[1:4] == b"PNG" for picture in pictures if picture)
