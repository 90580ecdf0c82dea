"""Several labels per image: for each of them whether it applies.

Outputs are (N, L) float32 logits, labels (N, L) float32: 1 present, 0 absent, NaN unknown. Decoded rows are (N, L)
probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fovea.errors import DataError
from fovea.tasks import register
from fovea.tasks.named import Named
from fovea.tasks.task import Labels
from fovea.tasks.wording import PLAIN, Wording, Written
from fovea.texts import natural_key

CELLS = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0, "": np.nan, "nan": np.nan}
"""What may stand in the column of a label, in any case."""


@register
@dataclass(frozen=True, kw_only=True)
class SeveralLabels(Named):
    """Each label is a question of its own; the network has an output for each."""

    name: ClassVar[str] = "labels"
    noun: ClassVar[str] = "several labels"
    losses: ClassVar[tuple[str, ...]] = ("bce",)
    several: ClassVar[bool] = True

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return float32 (N, L) of each part, 1, 0 or NaN for what is not known, and the L names.

        Texts are separated labels or lists of them, names then those of all parts, in natural order; or they are the
        cells of `wording.columns`, names then these.
        """
        if wording.columns:
            return {part: _cells(values, wording.columns) for part, values in texts.items()}, wording.columns
        given = {part: [_split(text, wording.separator) for text in values] for part, values in texts.items()}
        found = (name for values in given.values() for labels in values for name in labels)
        names = tuple(sorted({*classes, *wording.known, *found}, key=natural_key))
        index = {name: position for position, name in enumerate(names)}
        labels = {part: np.zeros((len(values), len(names)), np.float32) for part, values in given.items()}
        for part, values in given.items():
            for row, present in enumerate(values):
                labels[part][row, [index[name] for name in present]] = 1
        return dict(labels), names

    @classmethod
    def is_missing(cls, text: Written, wording: Wording) -> bool:
        """Return whether no label is known; an empty text says that none applies."""
        return bool(wording.columns) and all(np.isnan(CELLS.get(_plain(cell), 0)) for cell in text)

    @classmethod
    def notes(cls, labels: Mapping[str, Labels], classes: Sequence[str]) -> tuple[str, ...]:
        """Return how many labels are not known."""
        unknown = sum(int(np.isnan(values).sum()) for values in labels.values())
        total = sum(values.size for values in labels.values())
        return (f"{unknown:,} of {total:,} labels are unknown: loss and scores leave them out",) if unknown else ()

    @classmethod
    def strata(cls, labels: Labels) -> NDArray[np.bool_]:
        """Return which labels apply to each image, (N, L): every part has its share of each."""
        present: NDArray[np.bool_] = labels == 1
        return present

    @classmethod
    def text_of(cls, label: Labels, classes: Sequence[str]) -> str:
        """Return the labels (L,) of one image that apply, and those that are not known."""
        present = ", ".join(name for name, value in zip(classes, label, strict=True) if value == 1) or "none"
        unknown = ", ".join(name for name, value in zip(classes, label, strict=True) if np.isnan(value))
        return f"{present} (unknown: {unknown})" if unknown else present

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return to how many images each label applies."""
        return dict(zip(classes, (labels == 1).sum(axis=0).tolist(), strict=True))


def _split(text: Written, separator: str) -> list[str]:
    """Return the distinct labels in a text or list."""
    pieces = text.split(separator) if isinstance(text, str) else text
    return list(dict.fromkeys(name for piece in pieces if (name := piece.strip())))


def _cells(rows: Sequence[Written], columns: Sequence[str]) -> Labels:
    return np.array([[_cell(*pair) for pair in zip(row, columns, strict=True)] for row in rows], np.float32)


def _cell(text: str, column: str) -> float:
    """Return 1, 0, or NaN for what is not known."""
    found = CELLS.get(_plain(text))
    if found is None:
        raise DataError(f"`{text}` in the column `{column}` is no label; wanted is 1, 0, or nothing where unknown.")
    return found


def _plain(cell: str) -> str:
    return cell.strip().lower()
