"""Whether the inputs or outputs of a network have changed since validation: histograms, and how far two lie apart.

Of every image three numbers count: the confidence of its answer (the highest decoded value: a probability, or the
number itself), and mean and standard deviation of its stored values: brightness and contrast of an image, in shares of
the range of unsigned integers. Nothing else of it is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MEASURES = ("confidence", "brightness", "contrast")
BINS = 10
"""At most; each holds about as many of the reference."""
SECTION = "validation"
"""Of a card: where the reference stands."""
DIGITS = 6
"""Of edges behind the point, as a person may read them."""
LOOKED_AT = 56
"""Rows and columns of a sample of which the statistics are taken, evenly spread; about."""


@dataclass(frozen=True)
class Histogram:
    """How often values fell between edges: `counts[i]` lie from `edges[i - 1]` to below `edges[i]`."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Return the histogram of values (N,) float64 whose bins hold about equally many of them."""
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS).round(DIGITS))
        return cls(tuple(map(float, edges)), tuple(map(float, counted(values, edges))))

    def to_dict(self) -> dict[str, list[float]]:
        """Return JSON values."""
        return {"edges": list(self.edges), "counts": list(self.counts)}

    @classmethod
    def from_dict(cls, given: Any) -> Self | None:
        """Return what `to_dict` gave; None for anything else, as a card may be anybody's."""
        if not isinstance(given, Mapping):
            return None
        edges, counts = _numbers(given.get("edges")), _numbers(given.get("counts"))
        if edges is None or counts is None:
            return None
        rising = all(low < high for low, high in zip(edges, edges[1:], strict=False))
        if not rising or len(counts) != len(edges) + 1 or len(counts) > BINS or min(counts) < 0 or sum(counts) == 0:
            return None
        return cls(tuple(edges), tuple(counts))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the network saw and said of its validation images."""

    split: str
    images: int
    histograms: Mapping[str, Histogram]
    """By the names of `MEASURES`."""

    @classmethod
    def of(cls, split: str, measured: NDArray[np.float64]) -> Self:
        """Return the reference of images with the numbers (N, 3) float64 that `measures_of` gives."""
        histograms = {name: Histogram.of(values) for name, values in zip(MEASURES, measured.T, strict=True)}
        return cls(split=split, images=len(measured), histograms=histograms)

    def to_dict(self) -> dict[str, Any]:
        """Return the section of a card."""
        named = {name: histogram.to_dict() for name, histogram in self.histograms.items()}
        return {"split": self.split, "images": self.images, **named}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self | None:
        """Return the reference on a card; None if there is none that can be used."""
        section = card.get(SECTION)
        if not isinstance(section, Mapping):
            return None
        found = {name: Histogram.from_dict(section.get(name)) for name in MEASURES}
        histograms = {name: histogram for name, histogram in found.items() if histogram is not None}
        split, images = section.get("split"), section.get("images")
        if len(histograms) < len(MEASURES) or not isinstance(split, str) or type(images) is not int:
            return None
        return cls(split=split, images=images, histograms=histograms)


def measures_of(samples: NDArray[Any], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the numbers (N, 3) float64 of `MEASURES` for stored samples (N, ...) and their decoded rows (N, K)."""
    thinned = samples
    for axis, side in enumerate(samples.shape[1:3], start=1):
        thinned = thinned.take(np.arange(0, side, max(1, side // LOOKED_AT)), axis)
    values = thinned.reshape(len(samples), -1).astype(np.float32)
    scale = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
    measured: NDArray[np.float64] = np.stack([rows.max(1), values.mean(1) / scale, values.std(1) / scale], axis=1)
    return measured


def counted(values: NDArray[np.float64], edges: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many of values (N,) float64 lie in each bin, (len(edges) + 1,) int64; an edge is in that above."""
    found: NDArray[np.int64] = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return found


def stability_index(expected: Sequence[float], seen: Sequence[float]) -> float:
    """Return the population stability index of two histograms with the same bins: sum of (p - q) ln(p / q).

    Below 0.1 little has changed, above 0.25 much. Half a count is added to each bin, so that an empty one is finite.

    >>> stability_index([50, 50], [50, 50])
    0.0
    """
    shares = []
    for counts in (expected, seen):
        total = sum(counts) + len(counts) / 2
        shares.append([(count + 0.5) / total for count in counts])
    found: float = sum((p - q) * math.log(p / q) for p, q in zip(*shares, strict=True))
    return found


def _numbers(values: Any) -> list[float] | None:
    """Return finite numbers of JSON; None of anything else."""
    if not isinstance(values, list) or not all(type(value) in (int, float) and abs(value) < 1e300 for value in values):
        return None
    return list(map(float, values))
