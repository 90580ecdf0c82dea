"""Drift as a server sees it: what recent images were like, beside what the model's validation images were like."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.drift import MEASURES, Reference, counted, measures_of, stability_index
from fovea.serving.meters import Meters

WINDOW = 10_000
"""Images of a process that count about; older ones count half, then a quarter, and so on."""
NOT_COUNTED = "images larger than the input are answered for tile by tile, and not counted"
"""What is said of a network that sees tiles: its reference is of single ones."""
FEWEST = 100
"""Images below which chance alone moves the index, and none is given."""


class DriftWatch:
    """Counts the images of one model into the bins of its reference; numbers only, in memory only."""

    def __init__(self, model: str, reference: Reference | None, meters: Meters, *, tiles: bool = False) -> None:
        self.reference, self._tiles = reference, tiles
        self._model, self._meters = model, meters
        self._counts = meters.drift_counts(model)
        self._counts[:] = 0

    def note(self, samples: NDArray[Any], rows: NDArray[np.float64]) -> None:
        """Count stored samples (N, ...) with their decoded rows (N, K) float64."""
        if self.reference is None:
            return
        measured = measures_of(samples, rows)
        for index, name in enumerate(MEASURES):
            found = counted(measured[:, index], self.reference.histograms[name].edges)
            self._counts[index, : len(found)] += found
        if self._counts[0].sum() > 2 * WINDOW:
            self._counts *= 0.5

    def indices(self) -> dict[str, float]:
        """Return the population stability index of each measure over all processes; nothing where there is none yet."""
        if self.reference is None:
            return {}
        seen = self._meters.all_drift_counts(self._model)
        if seen[0].sum() < FEWEST:
            return {}
        expected = [self.reference.histograms[name].counts for name in MEASURES]
        pairs = zip(MEASURES, expected, seen, strict=True)
        return {name: stability_index(counts, found[: len(counts)].tolist()) for name, counts, found in pairs}

    def described(self) -> dict[str, Any]:
        """Return the answer to a client, as JSON values."""
        return {**self._told(), **({"note": NOT_COUNTED} if self._tiles else {})}

    def _told(self) -> dict[str, Any]:
        if self.reference is None:
            return {"state": "unknown: the card has no reference; create one with `fovea serve --reference DATA`"}
        seen = round(self._meters.all_drift_counts(self._model)[0].sum())
        found = self.indices()
        if not found:
            return {"state": f"unknown: fewer than {FEWEST} images so far", "images": seen}
        worst = max(found.values())
        state = "little" if worst < 0.1 else "some" if worst < 0.25 else "much"
        against = {"split": self.reference.split, "images": self.reference.images}
        indices = {name: round(value, 4) for name, value in found.items()}
        return {"state": state, **indices, "images": seen, "against": against}
