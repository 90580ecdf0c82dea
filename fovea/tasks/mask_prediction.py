"""What a network says of the pixels of one image."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.runs import runs_to_text, to_runs
from fovea.storage import let_go
from fovea.tasks.mask_colours import mask_png, overlaid
from fovea.tasks.prediction import LabelScore, PredictionOnImage
from fovea.texts import percent

SHOWN = 4
COUNTED = 1 << 22
"""Pixels at a time."""


@dataclass(frozen=True, eq=False, repr=False)
class MaskPrediction(PredictionOnImage):
    """A mask, with the share of the image that each class has."""

    mask: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """(H, W) class indices; 255 where nothing is said."""
    probabilities: NDArray[np.float32] | None = None
    """(H, W) 0..1: of the class of each pixel."""
    classes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, mask: NDArray[np.uint8], classes: Sequence[str], *, probability: NDArray[np.float32] | None = None
    ) -> "MaskPrediction":
        """Return the prediction of a mask (H, W) uint8, its classes by their share of the known pixels."""
        counts = counted(mask)[: len(classes)]
        order = np.argsort(-counts, kind="stable")
        known = max(int(counts.sum()), 1)
        shares = tuple(LabelScore(classes[i], float(counts[i] / known)) for i in order if counts[i])
        return cls(scores=shares, mask=mask, probabilities=probability, classes=tuple(classes))

    @property
    def label(self) -> str:
        """The largest classes with their shares."""
        rest = f" and {len(self.scores) - SHOWN} more" if len(self.scores) > SHOWN else ""
        return ", ".join(f"{name} {percent(share)}" for name, share in self.scores[:SHOWN]) + rest or "nothing known"

    @property
    def probability(self) -> float:
        """The mean probability of the pixels' classes; not a number where it is not known."""
        return float("nan") if self.probabilities is None else float(self.probabilities.mean())

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) uint8 under the colours of its mask."""
        return overlaid(image, self.mask)

    def attached(self, *, masks: str = "png") -> dict[str, Any]:
        """Return the mask as a PNG in base64, or the run lengths of each class in it, as COCO packs them."""
        if masks == "rle":
            size = list(self.mask.shape)
            index = {name: i for i, name in enumerate(self.classes)}
            inside = [(name, to_runs(self.mask == index[name])) for name, _ in self.scores]
            return {"rle": [{"label": name, "size": size, "counts": runs_to_text(runs)} for name, runs in inside]}
        return {"png": base64.b64encode(mask_png(self.mask)).decode()}

    def to_dict(self) -> dict[str, Any]:
        """Return size, and name, pixels and share of each class that is there, as JSON values."""
        counts = counted(self.mask)
        index = {name: i for i, name in enumerate(self.classes)}
        shares = [{"label": name, "share": share, "pixels": int(counts[index[name]])} for name, share in self.scores]
        return {"size": list(self.mask.shape), "classes": shares}


def counted(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels of a mask uint8 (H, W) have which value, (256,) int64; some rows at a time."""
    rows = max(1, COUNTED // max(1, mask.shape[1]))
    counts = np.zeros(256, np.int64)
    for top in range(0, len(mask), rows):
        counts += np.bincount(mask[top : top + rows].reshape(-1), minlength=256)
        let_go(mask)
    return counts
