"""Which images to label next: those that a network is least sure of, or knows least.

Probabilities are (N, K) float64, 0..1; embeddings (N, D) float32. Doubts are (N,) float64: the larger, the sooner.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.retrieval.neighbours import Floats, nearest

WAYS = ("margin", "entropy", "core-set")
BLOCK = 4096
"""Embeddings whose distances are computed at a time."""


def check_way(by: str) -> None:
    """Raise UsageError for a way to choose that is not known."""
    if by not in WAYS:
        raise UsageError(f"`by` (={by}) must be {', '.join(f'`{way}`' for way in WAYS[:-1])} or `{WAYS[-1]}`.")


def doubt_by_margin(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 less the difference (N,) float64 of the two largest probabilities (N, K).

    Scheffer, Decomain and Wrobel 2001, doi:10.1007/3-540-44816-0_31.
    """
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    doubt: NDArray[np.float64] = 1 - (two[:, 1] - two[:, 0])
    return doubt


def doubt_by_entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy (N,) float64 of probabilities (N, K), in nats (Shannon 1948)."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    entropy: NDArray[np.float64] = -(probabilities * logs).sum(1)
    return np.maximum(entropy, 0)


def doubts_of(probabilities: NDArray[np.float64], *, by: str, several: bool) -> NDArray[np.float64]:
    """Return doubts (N,) float64 by `margin` or `entropy`, of probabilities (N, K) of K classes.

    Where an image has `several` labels each is a yes or no of its own: the margin is the smallest of them (Brinker
    2006, doi:10.1007/3-540-31314-1_24), the entropy their sum.
    """
    doubt = {"margin": doubt_by_margin, "entropy": doubt_by_entropy}[by]
    if not several:
        return doubt(probabilities)
    N, K = probabilities.shape
    each = doubt(np.stack([probabilities, 1 - probabilities], axis=-1).reshape(N * K, 2)).reshape(N, K)
    found: NDArray[np.float64] = each.max(1) if by == "margin" else each.sum(1)
    return found


def most_doubtful(doubts: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the rows (M,) int64 of the `count` largest of `doubts` (N,) float64; of equal ones the first."""
    return np.argsort(-doubts, kind="stable")[:count]


def core_set(
    candidates: Floats, known: Floats, count: int, *, progress: Callable[[int, int], None] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which of `candidates` (N, D) float to label, and how far each was from all that was known before it.

    Each, (M,) int64, is the one farthest from all of `known` (L, D) and from those chosen before it, by L2: the greedy
    choice of centres (Sener and Savarese 2018, arXiv:1708.00489, algorithm 1). Where nothing is known it begins with
    the candidate nearest to their mean.
    """
    N = len(candidates)
    order, distances = np.empty(min(count, N), np.int64), np.empty(min(count, N))
    squares = np.concatenate([np.square(np.asarray(block, np.float64)).sum(1) for block in _blocks(candidates)] or [[]])
    if len(known):
        away = nearest(candidates, known, 1).distances[:, 0].astype(np.float64)
    else:
        away = np.full(N, np.inf)
    for place in range(len(order)):
        if np.isinf(away).all():
            row = int(_from_point(candidates, squares, candidates.mean(0, dtype=np.float64)).argmin())
        else:
            row = int(away.argmax())
        order[place], distances[place] = row, away[row]
        away = np.minimum(away, _from_point(candidates, squares, np.asarray(candidates[row], np.float64)))
        away[row] = -1.0  # never twice, not even a copy of it before others
        if progress is not None:
            progress(place + 1, len(order))
    return order, distances


def _from_point(candidates: Floats, squares: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each candidate from one point (D,)."""
    products = np.concatenate(
        [np.asarray(block, np.float32) @ point.astype(np.float32) for block in _blocks(candidates)]
    )
    found: NDArray[np.float64] = np.sqrt(np.maximum(squares - 2.0 * products + (point @ point), 0))
    return found


def _blocks(rows: Floats) -> list[Floats]:
    return [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]
