"""`fovea check`: the faults of a data set, before training."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np

from fovea import inputs
from fovea.data.anomalies import find_blank, find_constant, find_dark, find_strays, survey_lengths, survey_sizes
from fovea.data.dataset import Dataset, Part
from fovea.data.duplicates.groups import Member, find_duplicates, find_identical
from fovea.data.duplicates.likeness import SIDE
from fovea.data.findings import DataCheck
from fovea.data.sources.parquet import parquet_files
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.data.splits import surprises
from fovea.data.statistics import channel_statistics
from fovea.data.target_faults import survey_targets
from fovea.display import Display
from fovea.errors import UsageError
from fovea.evaluation.label_faults import find_label_faults
from fovea.inputs.interface import InputKind, Preprocessing
from fovea.jobs.fault_pictures import fault_picture
from fovea.model.bundle import Bundle, load
from fovea.plans.plan import Plan
from fovea.preprocess import Pixels, decode
from fovea.report.check import check_page
from fovea.report.page import THUMBNAIL, write_page


@reads_data
def check(
    data: str | Path,
    *,
    html: str | Path | None = None,
    task: str = "classes",
    model: str | Path | Bundle | None = None,
    layer: str | None = None,
    device: str = "auto",
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> DataCheck:
    """Return the faults of the data set `data`, and write a page with the images concerned to `html`.

    The check finds unreadable files, exact and near duplicates (also resized, re-encoded, cropped or mirrored) within
    and across splits, duplicates with different labels, blank images, unusual sizes, stray files and class imbalance.
    With `model` it also finds labels that are improbable given the features before the last layer of that network, or
    the output of its `layer` (confident learning). The classes of the model may differ from those of `data`.
    `label_from`, the columns, `label_separator` and `order` have the same meaning as for `find`.

    Raises: DataError for data that cannot be read at all; BundleError for a `model` that cannot be loaded; UsageError
    for labels that a model cannot check; StorageError if the page cannot be written.
    """
    display = display or Display(quiet=True)
    if model is None and layer is not None:
        raise UsageError(f"`layer` (={layer}) is a layer of a network; give that network with `--model`.")
    bundle = load(model, device=device) if isinstance(model, str | Path) else model
    source = DataSource(data=data, task=task, allow_bad=True, **reading)
    dataset = source.find(progress=display.fetched)
    kind = inputs.kind(dataset.input)
    decoded = source.decode(dataset, looked_at(dataset), progress=display.counter("decoding"))
    comparing = display.counter("comparing")
    result = DataCheck(
        data=dataset.name,
        images={name: len(part) for name, part in decoded.parts.items()},
        classes=_class_counts(decoded),
        bad_files=decoded.bad_files,
        groups=find_duplicates(dataset, decoded, progress=comparing) if kind.pictures else find_identical(decoded),
        sizes=survey_sizes(dataset) if kind.pictures else None,
        channels={name: _statistics(part, kind) for name, part in decoded.parts.items()},
        blank=find_blank(decoded) if kind.pictures else find_constant(decoded),
        dark=find_dark(decoded) if kind.pictures else (),
        strays=_strays(data, dataset),
        notes=(*dataset.notes, *surprises(dataset, fraction=Plan.val_fraction)),
        lengths=survey_lengths(dataset),
        nouns=kind.nouns,
        targets=survey_targets(dataset, progress=display.counter("checking labels")),
        label_faults=None
        if bundle is None
        else find_label_faults(bundle, dataset, source, model=_file_of(model), layer=layer, display=display),
    )
    if html is not None:
        pixels = partial(_pixels, dataset) if kind.pictures else partial(_thumbnail, decoded)
        write_page(Path(html), check_page(result.to_dict(), pixels=pixels, faulty=partial(fault_picture, dataset)))
    return result


def _file_of(model: object) -> str:
    """Return what the file of a network is called."""
    return Path(model).name if isinstance(model, str | Path) else "the network"


def looked_at(dataset: Dataset) -> Preprocessing:
    """Return how samples are decoded to be looked at: pictures as small squares, others as they are learned."""
    kind, C = inputs.kind(dataset.input), dataset.channels
    usual = kind.usual(dataset.native_size)
    size, fit = (SIDE, "squash") if usual is None else (usual.size, Plan.fit)
    geometry = kind.geometry(size=size, fit=fit, channels=C, native_size=dataset.native_size)
    return geometry.with_normalisation((0.0,) * C, (1.0,) * C)


def _class_counts(decoded: Dataset) -> dict[str, dict[str, int]]:
    """Return the images by class or label, then by part; nothing where labels are numbers."""
    counts = {name: decoded.kind.counts(part.labels, decoded.classes) for name, part in decoded.parts.items()}
    known = {name: of_part for name, of_part in counts.items() if of_part}
    return {label: {part: known[part][label] for part in known} for label in decoded.classes if known}


def _statistics(part: Part, kind: InputKind) -> dict[str, Sequence[float]]:
    mean, std = channel_statistics(part, kind)
    return {"mean": mean, "std": std}


def _strays(data: str | Path, dataset: Dataset) -> list[str]:
    """Return the stray files of a folder of images; of a name, an archive or a manifest there are none."""
    folder = Path(data).expanduser()
    holds_files = all(part.files is not None for part in dataset.parts.values())
    return find_strays(folder, dataset) if holds_files and folder.is_dir() and not parquet_files(folder) else []


def _thumbnail(decoded: Dataset, member: Member) -> Pixels:
    """Return a picture of a sample that is not an image."""
    part = decoded.parts[member.part]
    return inputs.kind(decoded.input).thumbnail(np.asarray(part.decoded[part.names.index(member.name)]))


def _pixels(dataset: Dataset, member: Member) -> Pixels:
    """Return an image large enough for a page."""
    part = dataset.parts[member.part]
    index = part.names.index(member.name)
    if part.files is None:
        pixels: Pixels = part.decoded[index]
        return pixels
    return decode(part.files[index], channels=3, at_least=(THUMBNAIL, THUMBNAIL))
