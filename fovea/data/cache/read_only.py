"""A cache that cannot be written, as one that is shared: an entry that holds everything is used as it is."""

import os
import zlib
from itertools import accumulate
from pathlib import Path

import numpy as np

from fovea.data.cache.decoding import CHECKED_CHUNKS, ROWS, Chunk, Header, Pixels, read_journal


def whole_entry(folder: Path, header: Header) -> tuple[Pixels, list[tuple[int, str]]] | None:
    """Return the read-only uint8 rows (N, H, W, C) of an entry, and index and reason of each bad image.

    None unless the entry holds all that `header` asks for, by its journal and the checksums of some of its chunks.
    """
    journal = read_journal(folder)
    if journal is None or journal[0] != header or sum(chunk.files for chunk in journal[1]) != header.files:
        return None
    chunks = journal[1]
    bad = [(index, why) for chunk in chunks for index, why in chunk.bad]
    shape, dtype = (sum(chunk.rows for chunk in chunks), *header.shape), np.dtype(header.dtype)
    if not shape[0]:
        return np.zeros(shape, dtype), bad
    try:
        if not _sound(folder / ROWS, header, chunks):
            return None
        return np.memmap(folder / ROWS, dtype, mode="r", shape=shape), bad
    except (OSError, ValueError):  # a file that is shorter than its journal says
        return None


def _sound(rows: Path, header: Header, chunks: list[Chunk]) -> bool:
    ends = [0, *accumulate(chunk.rows * header.row_bytes for chunk in chunks)]
    with rows.open("rb") as file:
        if os.fstat(file.fileno()).st_size < ends[-1]:
            return False
        for index in np.linspace(0, len(chunks) - 1, min(len(chunks), CHECKED_CHUNKS)).astype(int):
            file.seek(ends[index])
            if zlib.crc32(file.read(ends[index + 1] - ends[index])) != chunks[index].crc:
                return False
    return True
