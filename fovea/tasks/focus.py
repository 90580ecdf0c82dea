"""One thing that a network sees in an image: a region of a mask, a box or a point, and its score.

Outputs are (N, K, ...) float32 of the network itself; places are (x, y) in pixels of its input, sizes (H, W).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.texts import percent

if TYPE_CHECKING:
    from torch import Tensor

    from fovea.tasks.box_forms import BoxForm

CLASS, SCORE = 0, 5


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which thing is meant: the one at a position, or the one with a number, 1 the most confident."""

    at: tuple[float, float] | None = None
    number: int | None = None
    size: tuple[int, int]
    """Of the input."""


@dataclass(frozen=True, kw_only=True)
class Focus:
    """One thing in an image."""

    answer: int
    """Its class."""
    text: str
    """What a person calls it."""
    evidence: Callable[["Tensor"], "Tensor"]
    """Outputs (N, K, ...) -> (N,), differentiable: its score."""


def region(outputs: "Tensor", names: Sequence[str], wanted: Wanted) -> Focus:
    """Return the connected region of a class at a place, of outputs (1, K, h, w): its evidence is the mean logit.

    Vinogradova, Dibrov and Myers 2020, arXiv:2002.11434, equation 2. Maps that are smaller than the input lie in its
    middle.

    Raises: UsageError if no place is given, or the network says nothing of it.
    """
    import torch
    from scipy import ndimage

    if wanted.at is None:
        raise UsageError("Regions of masks have no numbers; give a pixel of the image, for example `--at 120,80`.")
    (H, W), (h, w) = wanted.size, outputs.shape[2:]
    x, y = int(wanted.at[0]) - (W - w) // 2, int(wanted.at[1]) - (H - h) // 2
    if not (0 <= x < w and 0 <= y < h):
        raise UsageError("The network predicts no class for that pixel: it predicts the centre of its input only.")
    said = outputs[0].argmax(0).cpu().numpy()
    labels, _ = ndimage.label(said == said[y, x])
    inside = torch.from_numpy(labels == labels[y, x]).to(outputs.device)
    index, count = int(said[y, x]), int(inside.sum())
    return Focus(
        answer=index,
        text=f"{names[index]}, a region of {count:,} pixels",
        evidence=lambda outputs: outputs[:, index][:, inside].mean(1),
    )


def box(outputs: "Tensor", told: NDArray[np.float32], names: Sequence[str], form: "BoxForm", wanted: Wanted) -> Focus:
    """Return one of the boxes that are reported (D, 6), the best first; its evidence is the logit that it comes of.

    Raises: UsageError if there is none with that number, or at that place.
    """
    index = _chosen(told, wanted)
    row = told[index]
    own = int(row[CLASS])
    each = form.class_logits(outputs)
    place = int((form.score_of(each)[0, own] - float(row[SCORE])).abs().argmin())
    x0, y0, x1, y1 = (round(float(side)) for side in row[1:SCORE])
    return Focus(
        answer=own,
        text=(
            f"{names[own]} {percent(float(row[SCORE]), 0)}, object {index + 1} of {len(told)} ({x1 - x0} x "
            f"{y1 - y0} pixels)"
        ),
        evidence=lambda outputs: form.class_logits(outputs)[:, own, place],
    )


def _chosen(told: NDArray[np.float32], wanted: Wanted) -> int:
    """Return the index of the box that is meant."""
    if wanted.at is None:
        if wanted.number is None or not 1 <= wanted.number <= len(told):
            found = (
                f"must be from 1 to {len(told)}, the number of objects found"
                if len(told)
                else "selects nothing: no object is found"
            )
            raise UsageError(f"`object` (={wanted.number}) {found}; `fovea predict` lists them.")
        return wanted.number - 1
    x, y = wanted.at
    inside = (told[:, 1] <= x) & (x < told[:, 3]) & (told[:, 2] <= y) & (y < told[:, 4])
    if not inside.any():
        raise UsageError("No object is found at that pixel; `fovea predict` lists the objects.")
    return int(inside.argmax())


def point(found: NDArray[np.float32], names: Sequence[str], wanted: Wanted) -> int:
    """Return which of the points (P, 3) that were found is meant: the nearest, or the one with that number."""
    if wanted.at is not None:
        return int(np.square(found[:, :2] - np.array(wanted.at)).sum(axis=1).argmin())
    if wanted.number is None or not 1 <= wanted.number <= len(names):
        raise UsageError(f"`object` (={wanted.number}) must be from 1 to {len(names)}, the number of points.")
    return wanted.number - 1
