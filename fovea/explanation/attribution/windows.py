"""Occlusion of series and clips: how much of the evidence is lost where a window of time, and of space, is hidden.

As of images: Zeiler and Fergus 2013, arXiv:1311.2901, section 4.2. Inputs are series (N, C, T) or clips (N, C, T, H, W)
float, normalised; maps (N, T) or (N, T, H, W) float32, signed. A place gets the mean of what is lost over all windows
that hide it.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError
from fovea.explanation.objective import Objective
from fovea.explanation.passes import Images, wide

SHARES = {1: (1 / 7,), 3: (1 / 4, 1 / 4, 1 / 4)}
"""Of each axis that a window hides where no size is given: a seventh of a series, a quarter of frames and sides."""


def default_window(sizes: Sequence[int], patch: int | None) -> tuple[int, ...]:
    """Return how much a window hides along each axis; `patch` is that of a series, or of the sides of a clip.

    Raises: ShapeError if it is larger than the input.
    """
    shares = SHARES[len(sizes)]
    window = [max(1, round(size * share)) for size, share in zip(sizes, shares, strict=True)]
    if patch is not None:
        window[-1:] = [patch]
        window[1:] = [patch] * (len(sizes) - 1) or window[1:]
    if any(not 1 <= hidden <= size for hidden, size in zip(window, sizes, strict=True)):
        given = "x".join(map(str, sizes))
        raise ShapeError(f"`patch` (={patch}) must be from 1 to the input's shorter side; it is {given}.")
    return tuple(window)


def windows_of(sizes: Sequence[int], window: Sequence[int], stride: int | None = None) -> list[tuple[slice, ...]]:
    """Return the windows over an input of these sizes, half a window apart along each axis, up to its end."""
    starts = []
    for size, hidden in zip(sizes, window, strict=True):
        step = min(hidden, stride or max(1, hidden // 2))
        starts.append([*range(0, size - hidden, step), size - hidden])
    return [tuple(slice(a, a + b) for a, b in zip(place, window, strict=True)) for place in product(*starts)]


@torch.no_grad()
def occluded(
    model: nn.Module,
    images: Images,
    windows: Sequence[tuple[slice, ...]],
    *,
    cover: Tensor,
    batch: int,
) -> Tensor:
    """Return what each place costs when it is hidden by `cover`: (N, T) or (N, T, H, W) float32 on the CPU."""
    maps = []
    for index, (one, objective) in enumerate(images):
        whole = _answers(model, one, objective)
        images.passed(1)
        lost = []
        for first in range(0, len(windows), batch):
            hidden = one.repeat_interleave(len(part := windows[first : first + batch]), 0)
            for copy, window in zip(hidden, part, strict=True):
                copy[:, *window] = cover[index][:, *window]
            lost.append((whole - _answers(model, hidden, objective)).cpu().double())
            images.passed(len(part))
        maps.append(_laid_out(torch.cat(lost), windows, one.shape[2:]))
    return torch.stack(maps).float()


def _answers(model: nn.Module, inputs: Tensor, objective: Objective) -> Tensor:
    """Return the evidence of inputs (n, C, ...): (n,) float."""
    return objective(wide(model(inputs)))


def _laid_out(values: Tensor, windows: Sequence[tuple[slice, ...]], sizes: Sequence[int]) -> Tensor:
    """Return the mean at each place of the values (P,) of the windows over it."""
    sums, counts = torch.zeros(*sizes, dtype=torch.float64), torch.zeros(*sizes, dtype=torch.float64)
    for value, window in zip(values, windows, strict=True):
        sums[window] += value
        counts[window] += 1
    return sums / counts
