"""What is left out of an index: patterns that it remembers, so that what was dropped stays so, and rows that go."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fovea.errors import UsageError, listed
from fovea.retrieval.index import Index, check_patterns
from fovea.retrieval.samples import is_dropped, nothing_left
from fovea.retrieval.update import Gathered, selected


def patterns_after(known: Sequence[str], drop: Sequence[str], restore: Sequence[str]) -> tuple[str, ...]:
    """Return the patterns of an index that had those `known`, with those to `drop`, without those to `restore`.

    Raises: UsageError for one to restore that it has not, one that is to be both, or too many.
    """
    for pattern in restore:
        if pattern in drop:
            raise UsageError(f"`{pattern}` is given to both `--drop` and `--restore`; give it to one of them.")
        if pattern not in known:
            there = f"excluded patterns are {listed(list(known))}" if known else "no pattern is excluded"
            raise UsageError(f"`--restore {pattern}` is not an excluded pattern; {there}.")
    found = tuple(dict.fromkeys([*(each for each in known if each not in restore), *drop]))
    check_patterns(found, UsageError)
    return found


def without_dropped(index: Index) -> Index:
    """Return an index without the rows whose names match a pattern of it. Raises: UsageError if none is left."""
    rows = index.rows
    kept = np.array([row for row, name in enumerate(rows.names) if not is_dropped(name, index.dropped)], np.int64)
    if not len(kept):
        raise nothing_left(index.data)
    if len(kept) == len(index):
        return index
    nothing = np.empty((0, index.embeddings.shape[1]), index.embeddings.dtype)
    return replace(
        index,
        embeddings=Gathered(index.embeddings, nothing, kept),  # type: ignore[arg-type]  # sliced, as an array is
        squares=index.squares[kept],
        rows=selected(rows, kept),
    )
