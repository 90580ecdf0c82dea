"""docs/zoo.md shows what `fovea models` prints, and a drawing of each family."""

import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

import fovea.zoo  # noqa: F401
from fovea.cli.models import COLUMNS, rows
from fovea.jobs.models import models
from fovea.registry import _builders

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "zoo.md").read_text()
MODULES = {name: builder.__module__ for name, builder in _builders.items()}
FAMILIES = sorted({module for module in MODULES.values() if module.startswith("fovea.zoo.")})


def titles_of(drawing):
    """Return the titles of the panels of docs/images/zoo-`drawing`.png, as its description has them."""
    with Image.open(DOCS / "images" / f"zoo-{drawing}.png") as image:
        return image.info["Description"]


def test_the_table_is_that_of_the_command():
    shown = [line.split() for line in PAGE.splitlines()]
    begin = shown.index(list(COLUMNS)) + 2  # below the rule
    expected = [" ".join(map(str, row)).split() for row in rows(models())]
    assert shown[begin : begin + len(expected)] == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_drawing(family):
    """A panel of a drawing in the page is titled with one of the family's networks."""
    titles = " ".join(map(titles_of, re.findall(r"\(images/zoo-(\w+)\.png\)", PAGE)))
    assert set(re.findall(r"\w+", titles)) & {name for name, module in MODULES.items() if module == family}


def test_the_drawings_are_those_of_the_script(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "images")
    figures = runpy.run_path(str(DOCS / "images" / "zoo.py"))["FIGURES"]
    titles = {name: "; ".join(title for title, _ in panels()) for name, panels in figures.items()}
    assert {path.stem.removeprefix("zoo-") for path in DOCS.glob("images/zoo-*.png")} == set(titles)
    assert {name: titles_of(name) for name in titles} == titles
    assert set(re.findall(r"\(images/zoo-(\w+)\.png\)", PAGE)) == set(titles)
