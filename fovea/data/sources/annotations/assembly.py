"""From annotated images to a data set: what all readers of masks, boxes and points have in common at the end."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import inputs
from fovea.data.dataset import BadFile, Dataset, Part
from fovea.data.labels import in_order
from fovea.errors import DataError, readable
from fovea.tasks.task import Labels
from fovea.texts import composed


class Sample(NamedTuple):
    """An image and what is known of it."""

    part: str
    name: str
    """From the data set on, POSIX."""
    path: Path
    target: Any
    """A mask source; boxes (b, 6), or points (P, 3), float32."""
    target_bytes: int = 0
    """Of a target that is a file; other targets count by their numbers."""
    region: tuple[int, int, int, int] | None = None
    """x0, y0, x1, y1 of what the sample is of its image, in whose pixels the target is given; None if it is all."""
    area: float | None = None
    """Pixels of the image that its object covers; None if that is not known."""


def assembled(
    samples: Sequence[Sample],
    *,
    name: str,
    task: str,
    classes: Sequence[str],
    notes: Sequence[str] = (),
    bad: Sequence[BadFile] = (),
    directional: bool = False,
) -> Dataset:
    """Return the data set of annotated images, each part sorted by name.

    Raises: DataError if there are none, or an image stands there twice.
    """
    if not samples:
        raise DataError(f"`{name}` has no annotated image{f'; {notes[0]}' if notes else ''}.")
    ordered = sorted(samples, key=lambda sample: (sample.part, composed(sample.name)))
    grouped: dict[str, list[Sample]] = {}
    for sample in ordered:
        grouped.setdefault(sample.part, []).append(sample)
    parts = {
        part: Part(
            labels=STACKED[task]([sample.target for sample in grouped[part]]),
            names=tuple(readable(sample.name) for sample in grouped[part]),
            files=tuple(sample.path for sample in grouped[part]),
            regions=_regions(grouped[part]),
            areas=_areas(grouped[part]),
        )
        for part in in_order(grouped)
    }
    first = next(iter(parts))
    channels, size, said = inputs.kind("images").survey(parts[first].files or ())
    return Dataset(
        name=readable(name),
        parts=parts,
        classes=tuple(classes),
        channels=channels,
        task=task,
        native_size=None if samples[0].region else size,
        directional=directional,
        fingerprint=_fingerprint(ordered, classes),
        notes=(*said, *notes),
        bad_files=tuple(bad),
    )


def _regions(samples: Sequence[Sample]) -> NDArray[np.int64] | None:
    """Return the regions (N, 4) of samples that are parts of images; None if they are images."""
    found = [sample.region for sample in samples if sample.region is not None]
    return np.array(found, np.int64) if found else None


def _areas(samples: Sequence[Sample]) -> NDArray[np.float64] | None:
    """Return the areas (N,) of the objects of samples; None if any is not known."""
    found = [sample.area for sample in samples if sample.area is not None]
    return np.array(found, np.float64) if len(found) == len(samples) else None


def mask_sources(targets: Sequence[Any]) -> Labels:
    """Return mask sources as an array (N,) of dtype object."""
    sources = np.empty(len(targets), object)
    sources[:] = targets
    return sources


def padded_boxes(targets: Sequence[Any]) -> Labels:
    """Return the boxes (b, 6) of images as (N, M, 6) float32, M the most of any; rows beyond have the class -1."""
    most = max(1, *(len(boxes) for boxes in targets))
    padded = np.zeros((len(targets), most, 6), np.float32)
    padded[..., 0] = -1
    for row, boxes in zip(padded, targets, strict=True):
        row[: len(boxes)] = boxes
    return padded


def stacked_points(targets: Sequence[Any]) -> Labels:
    """Return the points (P, 3) of images as (N, P, 3) float32."""
    return np.stack(targets).astype(np.float32)


STACKED: dict[str, Callable[[Sequence[Any]], Labels]] = {
    "masks": mask_sources,
    "boxes": padded_boxes,
    "points": stacked_points,
}
"""What makes the labels of a part of the targets of its images, by kind of target."""


def _fingerprint(samples: Sequence[Sample], classes: Sequence[str]) -> str:
    """Return SHA-256 over classes, names, sizes and targets; of masks their size, or what they are drawn of."""
    digest = hashlib.sha256(json.dumps(list(classes)).encode())
    for sample in samples:
        size = sample.path.stat().st_size if sample.path.is_file() else 0
        digest.update(json.dumps([sample.part, composed(sample.name), size, sample.target_bytes]).encode())
        if sample.region is not None:
            digest.update(json.dumps(sample.region).encode())
        if isinstance(sample.target, np.ndarray):
            digest.update(np.ascontiguousarray(sample.target, np.float32).data)
        elif not sample.target_bytes:
            digest.update(sample.target.key.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
