"""Padding by definition: each position of the padded input is a copy of one of the input, or a constant.

Padded are the spatial axes of float64 arrays (N, C, *sizes).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Padding = int | Literal["valid", "same", "full"] | Sequence[int | tuple[int, int]]
Mode = Literal["zero", "constant", "reflect", "replicate", "circular"]

_NUMPY_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return one number per spatial axis.

    >>> per_axis(2, 3), per_axis((1, 2), 2)
    ((2, 2, 2), (1, 2))
    """
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes:
        raise ValueError(f"`{values}` has {len(values)} numbers for {axes} spatial axes; give one, or one per axis.")
    if min(values) < 1:
        raise ValueError(f"Strides, dilations and window sizes must be at least 1, not `{values}`.")
    return values


def amounts(padding: Padding, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return (before, after) per axis for a kernel of sizes `kernel`, which reaches r = dilation (kernel - 1) further.

    "valid" adds nothing, "same" r in all (stride 1 keeps the size), "full" r on either side. Where r is odd, as for an
    even kernel, "same" puts the extra zero after; give pairs (before, after) to have it before.

    >>> amounts("same", (3, 4), (1, 1)), amounts([1, (2, 0)], (3, 3), (1, 1))
    (((1, 1), (1, 2)), ((1, 1), (2, 0)))
    """
    reaches = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    named = {
        "valid": [(0, 0) for _ in reaches],
        "same": [(r // 2, r - r // 2) for r in reaches],
        "full": [(r, r) for r in reaches],
    }
    if isinstance(padding, str):
        if padding not in named:
            raise ValueError(f"Unknown padding `{padding}`; use `valid`, `same`, `full` or numbers.")
        return tuple(named[padding])
    each = [padding] * len(reaches) if isinstance(padding, int) else list(padding)
    pairs = tuple((p, p) if isinstance(p, int) else (p[0], p[1]) for p in each)
    if len(pairs) != len(reaches) or min(map(min, pairs)) < 0:
        raise ValueError(f"`padding` (={padding}) must be one number >= 0, or one or a pair for each axis.")
    return pairs


def sources(size: int, before: int, after: int, mode: Mode = "zero") -> NDArray[np.intp]:
    """Return for each of before + size + after positions the index it copies, integers, or -1 for a constant.

    >>> sources(4, 2, 1, "reflect").tolist(), sources(4, 2, 1).tolist()
    ([2, 1, 0, 1, 2, 3, 2], [-1, -1, 0, 1, 2, 3, -1])
    """
    if mode in ("zero", "constant"):
        return np.pad(np.arange(size), (before, after), constant_values=-1)
    if mode not in _NUMPY_MODES:
        raise ValueError(f"Unknown `mode` `{mode}`; use `zero`, `constant`, `reflect`, `replicate` or `circular`.")
    return np.pad(np.arange(size), (before, after), mode=_NUMPY_MODES[mode])


def pad(x: Array, pairs: Sequence[tuple[int, int]], *, mode: Mode = "zero", value: float = 0.0) -> Array:
    """Return (N, C, *sizes) with `pairs` (before, after) more on the spatial axes: y[i] = x[source(i)], else `value`.

    `value` counts under `mode="constant"` only.
    """
    # axis after axis: a corner copies what the edges beside it have copied
    for axis, (before, after) in enumerate(pairs, start=2):
        source = sources(x.shape[axis], before, after, mode)
        x = x.take(source, axis)  # -1 takes the last position, until the constant overwrites it in this copy
        np.moveaxis(x, axis, 0)[source < 0] = value if mode == "constant" else 0.0
    return x


def pad_gradient(g: Array, pairs: Sequence[tuple[int, int]], *, mode: Mode = "zero") -> Array:
    """Return the gradient of `pad`'s input: each input position gathers from all its copies.

    dL/dx[j] = sum of g[i] over the i with source(i) = j.
    """
    for axis, (before, after) in enumerate(pairs, start=2):
        size = g.shape[axis] - before - after
        source = sources(size, before, after, mode)
        gathered = np.zeros((size, *np.delete(g.shape, axis)))
        # `gathered[source] += ...` would add once where several positions copy one
        np.add.at(gathered, source[source >= 0], np.moveaxis(g, axis, 0)[source >= 0])
        g = np.moveaxis(gathered, 0, axis)
    return g
