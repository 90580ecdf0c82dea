"""Masks as run lengths, as COCO writes them: column by column, outside and inside by turns, outside first."""

import numpy as np
from numpy.typing import NDArray


def to_runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the run lengths (R,) int64 of bool (h, w), outside first, column by column."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate(([0], ends, [flat.size])))
    return np.concatenate(([0], lengths)) if flat.size and flat[0] else lengths


def runs_to_text(runs: NDArray[np.int64]) -> str:
    """Return run lengths (R,) int64 as COCO packs them; undoes `runs_from_text`."""
    characters: list[str] = []
    for index, run in enumerate(runs.tolist()):
        value = run - int(runs[index - 2]) if index > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            characters.append(chr(48 + bits + 32 * more))
            if not more:
                break
    return "".join(characters)
