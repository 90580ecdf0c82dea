"""A digest of all that a training uses of its data.

Names, sizes and labels of files are compared before anything is decoded (`Dataset.fingerprint`); this tells whether the
images themselves are the same, whatever became of their files' times.
"""

import hashlib

import numpy as np

from fovea.data.dataset import Dataset

BLOCK_BYTES = 4 << 20


def contents(dataset: Dataset) -> str:
    """Return the digest of a decoded data set: of its parts' samples, (N, H, W, C) uint8 0..255, and labels."""
    digest = hashlib.sha256()
    for name in sorted(dataset.parts):
        part = dataset.parts[name]
        for array in (part.decoded, part.labels):
            digest.update(f"{name} {array.shape}\n".encode())
            rows = max(1, BLOCK_BYTES // max(1, 8 * int(np.prod(array.shape[1:]))))
            for first in range(0, len(array), rows):
                digest.update(np.ascontiguousarray(array[first : first + rows]).data)
    return digest.hexdigest()
