"""`fovea duplicates`: copies in a data set, by their pixels and by the features of a network."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from fovea import inputs
from fovea.data.dataset import Dataset
from fovea.data.duplicates.groups import Copy, Member, connected, find_duplicates, find_identical
from fovea.data.duplicates.tiny import RATIO as TINY_RATIO
from fovea.data.duplicates.tiny import is_tiny
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.data.sources.unlabelled import find_with_or_without_labels
from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.check import looked_at
from fovea.jobs.index import index as index_job
from fovea.jobs.sample_pictures import SamplePictures
from fovea.model.bundle import load
from fovea.model.embedding import BATCH
from fovea.report.page import render, write_page
from fovea.report.rasters import in_colour
from fovea.report.sheet import MOST_ROWS, Drawn, Sheet
from fovea.report.sheet import Group as SheetGroup
from fovea.retrieval import SUFFIX
from fovea.retrieval.alike import RATIO, alike
from fovea.retrieval.index import Index
from fovea.retrieval.index_file import read_index
from fovea.storage import page_path

SHOWN_GROUPS, SHOWN_IMAGES, LISTED = 60, 12, 20
"""On a page, of a group on it, and in the terminal."""
SIDE = 210
"""Pixels of the longer side of a picture in the page."""
RATIO_NOTE = "The lower the ratio, the more similar the images are, compared with other images near them."
BY = {"pixels": "found by their pixels", "both": "by both", "network": "found by the network alone"}
"""How groups were found, in the order in which they are listed."""


class Alike(NamedTuple):
    """Images that are copies of each other, directly or through one another."""

    images: tuple[Member, ...]
    by: str
    """`pixels`, `network` or `both`."""
    ratio: float | None
    """Of the pair that is least similar for the network, as `fovea.retrieval.alike` has it; None if by pixels only."""

    @property
    def leak(self) -> bool:
        """Whether it is in more than one split."""
        return len({image.part for image in self.images}) > 1

    @property
    def conflict(self) -> bool:
        """Whether its images have different labels."""
        return len({image.label for image in self.images}) > 1

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        images = [image._asdict() for image in self.images]
        return {"images": images, "by": self.by, "ratio": self.ratio, "leak": self.leak, "conflict": self.conflict}


@dataclass(frozen=True, kw_only=True)
class DuplicatesResult:
    """The copies in a data set."""

    data: str
    images: int
    layer: str
    ratio: float
    groups: Sequence[Alike]
    """Those by pixels first, then the most similar."""
    page: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "data": self.data,
            "images": self.images,
            "layer": self.layer,
            "ratio": self.ratio,
            "counts": {by: len(self._found(by)) for by in BY},
            "groups": [group.to_dict() for group in self.groups],
            "page": None if self.page is None else str(self.page),
        }

    def summary(self) -> list[str]:
        """Return the lines for the terminal beside the table."""
        counts = ", ".join(f"{len(self._found(by))} {how}" for by, how in BY.items())
        leaks, conflicts = (sum(getattr(group, what) for group in self.groups) for what in ("leak", "conflict"))
        return [
            f"{self.data}: {self.images:,} images by features {self.layer}, ratio {self.ratio:g}",
            f"{len(self.groups)} groups: {counts}; {leaks} across splits, {conflicts} with different labels",
            *([] if self.page is None else [f"Page     {self.page}"]),
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: how found, ratio, part, label and name of two images, how many more."""
        return [
            (
                group.by,
                "" if group.ratio is None else f"{group.ratio:.3f}",
                " = ".join(f"{image.name} ({image.part}, {image.label})" for image in group.images[:2]),
                str(len(group.images) - 2) if len(group.images) > 2 else "",
            )
            for group in self.groups[:LISTED]
        ]

    def _found(self, by: str) -> list[Alike]:
        return [group for group in self.groups if group.by == by]


@reads_data
def duplicates(
    model: str | Path,
    data: str | Path,
    *,
    index: str | Path | None = None,
    ratio: float | None = None,
    layer: str | None = None,
    html: str | Path | None = None,
    task: str | None = None,
    unlabelled: bool = False,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = BATCH,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> DuplicatesResult:
    """Return the groups of copies in `data`: found by pixels, as in `check`, and by the features of `model`.

    Two images are copies for a network if their distance is less than `ratio` times the distance of both to their 20th
    neighbour. By default it is 0.5, and 0.22 for images with a side below 16 pixels, as in `check`. `index` is a
    file of embeddings to create or update. `html` is where to write the groups as pictures. The other arguments are
    those of `index`.

    Raises: as `fovea.index`; UsageError for a `ratio` that is not above 0 and below 1.
    """
    if ratio is not None and not 0 < ratio < 1:
        raise UsageError(f"`ratio` (={ratio}) must be above 0 and below 1.")
    place = None if html is None else page_path(html, option="html")
    display = display or Display(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        made = index_job(
            model,
            data,
            out=index or Path(folder) / f"duplicates{SUFFIX}",
            layer=layer,
            task=task,
            unlabelled=unlabelled,
            allow_bad=allow_bad,
            device=device,
            batch=batch,
            display=display,
            **reading,
        )
        known = read_index(made.path)
        source = DataSource(data=data, task=known.task, allow_bad=True, **reading)
        dataset, _ = find_with_or_without_labels(source, unlabelled=unlabelled, progress=display.fetched)
        if ratio is None:
            tiny = inputs.kind(dataset.input).pictures and is_tiny(dataset.native_size)
            ratio = TINY_RATIO if tiny else RATIO
        groups = _groups(known, _by_pixels(source, dataset, known, display), ratio, display)
        del known  # a mapped file cannot be removed everywhere
    result = DuplicatesResult(
        data=source.path.name, images=made.images, layer=made.layer, ratio=ratio, groups=groups, page=place
    )
    if place is not None:
        preprocess = load(model).preprocess
        pictures = SamplePictures(replace(source, input=preprocess.input), preprocess, display=display)
        write_page(place, render("sheet.html", sheet=_sheet(result, pictures), most=MOST_ROWS))
    return result


def _by_pixels(source: DataSource, dataset: Dataset, index: Index, display: Display) -> list[list[int]]:
    """Return the rows of an index that are copies by their pixels, group by group."""
    decoded = source.decode(dataset, looked_at(dataset), progress=display.counter("decoding"))
    if not index.labelled:  # a label of -1 is the last of these
        decoded = replace(decoded, classes=("",))
    comparing = display.counter("comparing pixels")
    pictures = inputs.kind(dataset.input).pictures
    found = find_duplicates(dataset, decoded, progress=comparing) if pictures else find_identical(decoded)
    row_of = {index.rows.key(row): row for row in range(len(index))}
    rows = ([row_of.get((image.part, image.name), -1) for image in group.images] for group in found)
    return [[row for row in group if row >= 0] for group in rows]


def _groups(index: Index, by_pixels: Sequence[Sequence[int]], ratio: float, display: Display) -> list[Alike]:
    """Return the groups that copies of either kind connect."""
    pairs = alike(index, ratio=ratio, progress=display.counter("comparing features of the network"))
    pixels = [Copy(first, second, 1.0) for group in by_pixels for first, second in pairwise(group)]
    network = [Copy(pair.first, pair.second, 1 - pair.ratio) for pair in pairs]
    of_pixels, ratios = {row for copy in pixels for row in copy[:2]}, dict[int, float]()
    for pair in pairs:
        for row in pair[:2]:
            ratios[row] = max(pair.ratio, ratios.get(row, 0.0))
    found = []
    for rows in connected([*pixels, *network]):
        seen = [ratios[row] for row in rows if row in ratios]
        alone = "network" if not of_pixels & set(rows) else "pixels" if not seen else "both"
        images = tuple(Member(*index.rows.key(row), index.label_text(row)) for row in rows)
        found.append(Alike(images, alone, max(seen) if seen else None))
    order = list(BY)
    return sorted(found, key=lambda group: (order.index(group.by), group.ratio or 0, group.images))


def _sheet(result: DuplicatesResult, pictures: SamplePictures) -> Sheet:
    """Return the page: the groups that the network alone has found first, as they are new to the reader."""
    groups = []
    for by, how in reversed(BY.items()):
        own = [group for group in result.groups if group.by == by]
        for number, group in enumerate(own[:SHOWN_GROUPS]):
            drawn = [_drawn(image, pictures) for image in group.images[:SHOWN_IMAGES]]
            title = f"{how.capitalize()}: {len(own):,}" if number == 0 else ""
            said = [f"ratio {group.ratio:.3f}"] if group.ratio is not None else []
            said += [
                what for what, is_so in (("in several splits", group.leak), ("labels differ", group.conflict)) if is_so
            ]
            groups.append(SheetGroup(title, "; ".join(said), drawn=drawn))
    lead = " ".join([*(line.rstrip(".") + "." for line in result.summary()[:2]), RATIO_NOTE])
    return Sheet(title=f"Copies in {result.data}", lead=lead, groups=groups)


def _drawn(image: Member, pictures: SamplePictures) -> Drawn:
    pixels = pictures(image.part, image.name)
    shown = np.full((8, 8, 3), 235, np.uint8) if pixels is None else in_colour(pixels)
    return Drawn(shown, image.label, f"{image.name} ({image.part})", width=105, side=SIDE)
