"""docs/zoo.md shows what `fovea models` prints."""

from pathlib import Path

from fovea.cli.models import COLUMNS, _row
from fovea.jobs.models import models

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "zoo.md").read_text()


def test_the_table_is_that_of_the_command():
    shown = [line.split() for line in PAGE.splitlines()]
    begin = shown.index(list(COLUMNS)) + 2  # below the rule
    expected = [" ".join(map(str, _row(card))).split() for card in models()]
    assert shown[begin : begin + len(expected)] == expected


def test_every_family_has_its_drawing():
    drawings = {path.name for path in Path(__file__).resolve().parents[2].glob("docs/images/zoo-*.png")}
    assert drawings
    assert all(f"(images/{name})" in PAGE for name in drawings)
