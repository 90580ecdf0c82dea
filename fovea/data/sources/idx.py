"""The idx files of MNIST and Fashion-MNIST, gzipped or not (format: the MNIST page, LeCun, Cortes, Burges 1998)."""

import gzip
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.budget import TABLE
from fovea.data.dataset import Dataset
from fovea.data.sources.arrays import Arrays, parsed_once
from fovea.data.sources.download import CATALOGUE, checksum_of
from fovea.errors import DataError

STEMS = {"train": "train", "test": "t10k"}
UBYTE = 0x08
MAX_BYTES = 1 << 31


def idx_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return the files (images, labels) of each part that a folder holds; empty if it holds none."""
    found = {}
    for part, stem in STEMS.items():
        images, labels = _file(folder, f"{stem}-images-idx3-ubyte"), _file(folder, f"{stem}-labels-idx1-ubyte")
        if images and labels:
            found[part] = (images, labels)
    return found


def load_idx(folder: Path) -> Dataset:
    """Return the images of a folder with idx files; MNIST and Fashion-MNIST are recognised by their checksums.

    Raises: DataError for files that are damaged or no idx.
    """
    sources = [file for pair in idx_files(folder).values() for file in pair]
    return parsed_once(sources, partial(_parse, folder), name=folder.resolve().name)


def read_idx(file: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """Return an idx file of unsigned bytes as uint8, in the shape that its header gives: (N,) labels, (N, H, W) images.

    Raises: DataError if it is anything else, or shorter or longer than its header says.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            # two zeros, the type, how many dimensions; then the length of each, the highest byte first
            zeros, kind, count = struct.unpack(">HBB", stream.read(4))
            if (zeros, kind, count) != (0, UBYTE, dimensions):
                raise DataError(f"`{file}` is not an idx file of unsigned bytes in {dimensions} dimension(s).")
            shape = struct.unpack(f">{count}I", stream.read(4 * count))
            # in Python's integers, as a damaged header can overflow others; bounded, as it can ask for all memory
            size_bytes = min(int(np.prod(shape, dtype=object)), MAX_BYTES)
            if excess := TABLE.excess(2 * size_bytes):  # pieces that are joined
                raise DataError(f"`{file}` would need {excess}.")
            content = stream.read(size_bytes + 1)  # one more, to notice a file that goes on
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"`{file}` cannot be read: {error}. Download it again.") from error
    if len(content) != size_bytes:
        raise DataError(f"`{file}` is damaged: its header says {shape}, but its content differs. Download it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _file(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)


def _parse(folder: Path) -> Arrays:
    files = idx_files(folder)
    pixels = {part: read_idx(images, dimensions=3)[..., None] for part, (images, _) in files.items()}
    labels = {part: read_idx(label_file, dimensions=1).astype(np.int64) for part, (_, label_file) in files.items()}
    for part in files:
        if len(pixels[part]) != len(labels[part]) or not len(labels[part]):
            raise DataError(f"`{folder}`: {len(pixels[part])} images but {len(labels[part])} labels in `{part}`.")
    # by labels, whose files are small: those of MNIST and Fashion-MNIST have the same names
    known = _recognised(next(iter(files.values()))[1])
    if known:
        return Arrays(pixels, labels, CATALOGUE[known].classes, known)
    texts = {part: array.astype(str).tolist() for part, array in labels.items()}
    return Arrays(pixels, *tasks.kind("classes").encode(texts))


def _recognised(label_file: Path) -> str:
    """Return the name in the catalogue whose label file this is, or nothing."""
    for name, published in CATALOGUE.items():
        checksum = published.files.get(label_file.name, "")
        if checksum and checksum_of(label_file, checksum.partition(":")[0]) == checksum:
            return name
    return ""
