"""Targets that lie on images, decoded beside them: masks as further rows of the cache, boxes and points as arrays.

Sizes are (H, W) of images as they stand upright, before any preprocessing.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fovea.data.cache.regions import region_sizes
from fovea.data.dataset import BadFile, Part
from fovea.data.splits import take
from fovea.preprocess.decoding import upright_size
from fovea.tasks.places import Frame, StoredTarget, TargetSource
from fovea.tasks.task import Task

Sizes = list[tuple[int, int]]
Bad = Sequence[tuple[int, str]]


def image_sizes(part: Part) -> Sizes:
    """Return the size of each image, or region, of a part; (0, 0) of a file that cannot be read."""
    if part.regions is not None:
        return region_sizes(part)
    if part.files is None:
        return [part.decoded.shape[1:3]] * len(part)  # type: ignore[list-item]
    return [upright_size(file) or (0, 0) for file in part.files]


def without(part: Part, bad: Bad, bad_files: list[BadFile]) -> Part:
    """Return the part without rows that are bad, by index and reason, which are added to `bad_files`."""
    if not bad:
        return part
    bad_files += [BadFile(part.names[index], reason) for index, reason in bad]
    return take(part, np.delete(np.arange(len(part)), [index for index, _ in bad]))


def private(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows (N, ...) of the cache, uint8, as a map of their file that may be written to: changes stay in memory.

    PyTorch takes only such arrays as they are; others it would have to copy, all masks of a part at once.
    """
    if not isinstance(rows, np.memmap) or rows.filename is None:
        return rows
    return np.memmap(rows.filename, rows.dtype, mode="c", shape=rows.shape)


@dataclass(frozen=True, kw_only=True)
class Laying:
    """Lays the targets of a part on its decoded images."""

    kind: type[Task]
    frame: Any
    """The preprocessing of the images."""
    title: Path
    """Where the rows are kept, without shape and key."""
    decode: Callable[..., tuple[NDArray[Any], list[tuple[int, str]]]]
    """`decode_into` of the cache, with its workers and its progress."""

    def on(self, part: Part, sizes: Sizes, bad_files: list[BadFile]) -> Part:
        """Return the decoded part with targets as they lie on its images; bad ones are left out with their images."""
        frame = cast(Frame, self.frame)
        stored = self.kind.stored(frame)
        if stored is None or part.labels.dtype != object:
            return replace(part, labels=self.kind.laid(part.labels, sizes, frame))
        sources = list(zip(part.labels, sizes, strict=True))
        rows, bad = self.decode(self._entry(stored, sources), sources, preprocess=stored)
        whole = without(replace(part, labels=np.arange(len(part))), bad, bad_files)
        return replace(whole, labels=private(rows))

    def _entry(self, stored: StoredTarget, sources: Sequence[tuple[TargetSource, tuple[int, int]]]) -> Path:
        digest = hashlib.sha256(json.dumps(stored.cache_key).encode())
        for source, size in sources:
            digest.update(f"{source.key}\0{size}\n".encode("utf-8", "surrogateescape"))
        shape = "x".join(map(str, stored.stored_shape))
        return self.title.with_name(f"{self.title.name}-{shape}-{digest.hexdigest()[:16]}")
