"""`fovea check`: what is wrong with a data set, before anything is trained on it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from fovea import inputs
from fovea.data.anomalies import find_blank, find_dark, find_strays, survey_sizes
from fovea.data.dataset import Dataset, Part
from fovea.data.duplicates.groups import Member, find_duplicates
from fovea.data.duplicates.likeness import SIDE
from fovea.data.findings import DataCheck
from fovea.data.sources.parquet import parquet_files
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.data.splits import surprises
from fovea.data.statistics import channel_statistics
from fovea.display import Display
from fovea.plans.plan import Plan
from fovea.preprocess import Pixels, Preprocess, decode
from fovea.report.check import check_page
from fovea.report.page import THUMBNAIL, write_page


@reads_data
def check(
    data: str | Path,
    *,
    html: str | Path | None = None,
    task: str = "classes",
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> DataCheck:
    """Return what is wrong with `data`, and write a page with the images concerned where `html` says.

    Looked for are files that cannot be read, exact and near duplicates (also resized, re-encoded, cropped, mirrored)
    within and across parts, duplicates with different labels, blank images, odd sizes, stray files and imbalance.
    `label_from`, the columns, `label_separator` and `order` say how `data` is read, as for `find`.

    Raises: DataError for data that cannot be looked at at all; StorageError where the page cannot be written.
    """
    display = display or Display(quiet=True)
    source = DataSource(data=data, task=task, allow_bad=True, **reading)
    dataset = source.find(progress=display.fetched)
    C = dataset.channels
    thumbnail = Preprocess(size=(SIDE, SIDE), channels=C, fit="squash", mean=(0.0,) * C, std=(1.0,) * C)
    decoded = source.decode(dataset, thumbnail, progress=display.counter("decoding"))
    result = DataCheck(
        data=dataset.name,
        images={name: len(part) for name, part in decoded.parts.items()},
        classes=_class_counts(decoded),
        bad_files=decoded.bad_files,
        groups=find_duplicates(dataset, decoded, progress=display.counter("comparing")),
        sizes=survey_sizes(dataset),
        channels={name: _statistics(part) for name, part in decoded.parts.items()},
        blank=find_blank(decoded),
        dark=find_dark(decoded),
        strays=_strays(data, dataset),
        notes=(*dataset.notes, *surprises(dataset, fraction=Plan.val_fraction)),
    )
    if html is not None:
        pixels = partial(_pixels, dataset)
        write_page(Path(html), check_page(result.to_dict(), pixels=pixels))
    return result


def _class_counts(decoded: Dataset) -> dict[str, dict[str, int]]:
    """Return the images by class or label, then by part; nothing where labels are numbers."""
    counts = {name: decoded.kind.counts(part.labels, decoded.classes) for name, part in decoded.parts.items()}
    return {label: {part: counts[part][label] for part in counts} for label in decoded.classes}


def _statistics(part: Part) -> dict[str, Sequence[float]]:
    mean, std = channel_statistics(part, inputs.kind("images"))
    return {"mean": mean, "std": std}


def _strays(data: str | Path, dataset: Dataset) -> list[str]:
    """Return the stray files of a folder of images; of a name, an archive or a manifest there are none."""
    folder = Path(data).expanduser()
    holds_files = all(part.files is not None for part in dataset.parts.values())
    return find_strays(folder, dataset) if holds_files and folder.is_dir() and not parquet_files(folder) else []


def _pixels(dataset: Dataset, member: Member) -> Pixels:
    """Return an image large enough for a page."""
    part = dataset.parts[member.part]
    index = part.names.index(member.name)
    if part.files is None:
        pixels: Pixels = part.decoded[index]
        return pixels
    return decode(part.files[index], channels=3, at_least=(THUMBNAIL, THUMBNAIL))
