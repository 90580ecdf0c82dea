"""Labelling as it goes on: which image is looked at, what was said of each, and the way back.

Every label is in the file before the next image comes; a page, or the studio, may end at any moment.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fovea.data.annotating.coco import CocoLabels
from fovea.data.annotating.covered import Mask, label_of, mask_of, painted
from fovea.data.annotating.kinds import Kind, Size, class_names, kind_named
from fovea.data.annotating.lists import ListedLabels
from fovea.data.annotating.mask_folder import MaskFolder
from fovea.data.pool import Pool
from fovea.errors import ImageError, UsageError
from fovea.preprocess import VOID
from fovea.preprocess.decoding import upright_size

MOST_UNDONE = 200
"""Steps back."""


Kept = ListedLabels | CocoLabels | MaskFolder
Step = tuple[str, Any]
"""An image, by its absolute path, and its label before a change."""


@dataclass(kw_only=True, eq=False)
class Labelling:
    """The images of a pool, one of which is looked at, and what is said of them."""

    name: str
    """The kind of label."""
    pool: Pool
    kept: Kept
    classes: tuple[str, ...]
    order: list[int] = field(default_factory=list)
    """The rows of the pool as they come, each once."""
    place: int = 0
    """In the order."""
    steps: list[Step] = field(default_factory=list)
    """The changes, the last last; a page that is loaded anew goes on with those of the one before."""
    _sizes: dict[int, Size] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = self.order or list(range(len(self.pool.part)))
        # where each image is for whoever reads the file
        self.images = [os.path.abspath(file) for file in self.pool.files]
        self._row_of = {image: row for row, image in enumerate(self.images)}
        self.steps[:] = [step for step in self.steps if step[0] in self._row_of]
        self.go_to_unlabelled()

    @property
    def kind(self) -> Kind:
        """The kind of label."""
        return kind_named(self.name)

    @property
    def row(self) -> int:
        """The row of the pool that is looked at."""
        return self.order[self.place]

    @property
    def file(self) -> Path:
        """The file of the image that is looked at."""
        return Path((self.pool.part.files or ())[self.row])

    @property
    def size(self) -> Size:
        """(h, w) of the image that is looked at. Raises: ImageError where that cannot be read."""
        return self._size_of(self.row)

    @property
    def label(self) -> Any:
        """What is said of the image that is looked at; None where nothing is."""
        return self._label_of(self.row)

    @property
    def done(self) -> int:
        """How many images of the pool have a label."""
        return len(self.kept.labelled.intersection(self.images))

    @property
    def labelled(self) -> set[str]:
        """The names, in the pool, of the images that have a label."""
        there = self.kept.labelled
        return {name for name, image in zip(self.pool.part.names, self.images, strict=True) if image in there}

    @property
    def can_undo(self) -> bool:
        """Whether there is a step back."""
        return bool(self.steps)

    def give(self, label: Any, *, row: int | None = None) -> None:
        """Say a label of the image that is looked at, or of that in a `row`; None takes it away. It is kept at once.

        Raises:
            UsageError: it is no label of this kind.
            StorageError: it cannot be kept; nothing has changed.
        """
        row = self.row if row is None else row
        size = self._size_of(row) if self.kind.lies_on_image else (0, 0)
        checked = None if label is None else self.kind.checked(label, self.classes, size)
        before = self._label_of(row)
        if checked == before:
            return
        self._put(row, checked)
        self.steps.append((self.images[row], before))
        del self.steps[:-MOST_UNDONE]

    def undo(self) -> None:
        """Take the last change back, and look at its image."""
        if self.steps:
            image, before = self.steps[-1]
            row = self._row_of[image]
            self._put(row, before)
            self.steps.pop()
            self.place = self.order.index(row)

    def paint(self, path: Any, *, radius: Any, label: Any, row: int | None = None) -> None:
        """Cover the pixels along a path with a class, or with none where `label` is None. Raises: as `give`."""
        value = VOID if label is None else self.classes.index(label) if label in self.classes else -1
        if value < 0:
            raise UsageError("This is none of the classes.")
        row = self.row if row is None else row
        covered = painted(self._mask_of(row), path, radius=radius, value=value)
        self.give(label_of(covered, self.classes), row=row)

    @property
    def mask(self) -> Mask:
        """The pixels that are covered (h, w) uint8: the index of a class, or 255."""
        return self._mask_of(self.row)

    def add_class(self, name: str) -> None:
        """Let there be one more class. Raises: UsageError for a name that cannot be kept."""
        self.classes = class_names([*self.classes, name], self.name)

    def go(self, step: int) -> None:
        """Look at the image so many places further; the first and the last are the ends."""
        self.place = min(max(self.place + step, 0), len(self.order) - 1)

    def go_to_unlabelled(self) -> bool:
        """Look at the next image without a label, from here on and then from the first; False where there is none."""
        there = self.kept.labelled
        count = len(self.order)
        for place in (number % count for number in range(self.place, self.place + count)):
            if self.images[self.order[place]] not in there:
                self.place = place
                return True
        return False

    def put_first(self, names: Sequence[str]) -> None:
        """Put the images of these names first, in this order, and look at the first without a label."""
        row_of = {name: row for row, name in enumerate(self.pool.part.names)}
        first = [row_of[name] for name in names if name in row_of]
        chosen = set(first)
        self.order = first + [row for row in range(len(self.images)) if row not in chosen]
        self.place = 0
        self.go_to_unlabelled()

    def shuffle(self, seed: int = 0) -> None:
        """Put the images in an order by chance, the same for the same seed."""
        names = self.pool.part.names
        self.put_first([names[row] for row in np.random.default_rng(seed).permutation(len(names)).tolist()])

    def _size_of(self, row: int) -> Size:
        if row not in self._sizes:
            file = Path((self.pool.part.files or ())[row])
            found = upright_size(file)
            if found is None:
                raise ImageError(f"`{file.name}`: its size cannot be read.")
            self._sizes[row] = found
        return self._sizes[row]

    def _label_of(self, row: int) -> Any:
        if not self.kind.lies_on_image:
            return self.kept.label(self.images[row])
        found = self.kept.label(self.images[row], self._size_of(row))
        if self.name != "points" and not {*self.kept.classes} <= {*self.classes}:  # another page has added one
            self.classes = class_names([*self.classes, *self.kept.classes], self.name)
        return found

    def _mask_of(self, row: int) -> Mask:
        return mask_of(self._label_of(row) or (), self.classes, self._size_of(row))

    def _put(self, row: int, label: Any) -> None:
        if label is not None:
            self.pool.bring([self.pool.part.names[row]])  # before the file says that it is there
        size = self._sizes.get(row, (0, 0))
        self.kept.put(self.images[row], size, label, self.classes)


class Steps:
    """The changes of each browser tab, by the file that keeps the labels; those of the tabs that came last."""

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._of = OrderedDict[tuple[str, Path, str], list[Step]]()

    def of(self, tab: str, file: Path, kind: str) -> list[Step]:
        """Return the changes that a tab has made to the labels of a kind in a file, to be added to."""
        found = self._of.setdefault((tab, file, kind), [])
        self._of.move_to_end((tab, file, kind))
        while len(self._of) > self._most:
            self._of.popitem(last=False)
        return found
