"""What else there is to know of the images of a data set: sizes, modes, blank ones, and files that are none of it."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fovea import inputs
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.folders import is_ignored
from fovea.preprocess import read_header

ODD_FACTOR = 4
"""A side is odd that is so many times the median of that side, or so many times shorter."""
ODD_SHARE = 0.9
"""Of samples that share a length: others are odd then."""
BLANK_LEVELS = 2
DARK_LEVELS = 17
"""Of 255: an image without a brighter pixel is nearly black. Values of 12 bits in a file of 16 reach 16."""
CHUNK = 2048
ANNOTATIONS = (".xml", ".txt", ".json", ".csv", ".yaml", ".yml", ".names")
"""Suffixes of files that say where things lie on images."""


class ImageHeader(NamedTuple):
    """What an image says of itself: (width, height) in pixels, and Pillow's mode."""

    size: tuple[int, int]
    mode: str


class Sizes(NamedTuple):
    """The sizes of images, each (width, height) in pixels; sides are taken one by one."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    modes: Mapping[str, int]
    """How many images have which of Pillow's modes: L is grey, RGB colour, P a palette, ...A with transparency."""
    odd: Sequence[tuple[str, str]]
    """Name and part of images with a side that is very long or short among the others."""


class Lengths(NamedTuple):
    """How long the samples are, in the unit that their kind counts in."""

    smallest: float
    median: float
    largest: float
    unit: str
    odd: Sequence[tuple[str, str]]
    """Name and part of those with another length than nearly all, or a very long or short one among many lengths."""


def survey_lengths(dataset: Dataset) -> Lengths | None:
    """Return how long the samples are; None of a kind that has no length, and where none can be read."""
    kind = inputs.kind(dataset.input)
    if not kind.unit:
        return None
    sources = [
        (name, part.names[i], _source(part, i)) for name, part in dataset.parts.items() for i in range(len(part))
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lengths = list(pool.map(kind.length_of, (source for _, _, source in sources)))
    known = [length for length in lengths if length]
    if not known:
        return None
    usual, count = Counter(known).most_common(1)[0]
    median = float(np.median(known))
    # where nearly all share a length the others are odd; else those that are very long or short
    low, high = (usual, usual) if count >= ODD_SHARE * len(known) else (median / ODD_FACTOR, ODD_FACTOR * median)
    odd = [bool(length) and not low <= length <= high for length in lengths]
    named = [(image, name) for (name, image, _), is_odd in zip(sources, odd, strict=True) if is_odd]
    return Lengths(min(known), median, max(known), kind.unit, named)


def _source(part: Part, index: int) -> Any:
    return part.files[index] if part.files is not None else part.decoded[index]


def find_constant(decoded: Dataset) -> list[tuple[str, str]]:
    """Return name and part of the samples that have one value everywhere, in a decoded data set."""
    kind = inputs.kind(decoded.input)
    return [
        (image, name)
        for name, part in decoded.parts.items()
        for index, image in enumerate(part.names)
        if kind.is_constant(np.asarray(part.decoded[index]))
    ]


def survey_sizes(dataset: Dataset) -> Sizes:
    """Return the sizes and modes of all images whose header can be read; their pixels are not decoded."""
    found = [
        (image, name, header)
        for name, part in dataset.parts.items()
        for image, header in zip(part.names, _headers(part), strict=True)
        if header is not None
    ]
    sides = np.array([header.size for _, _, header in found] or [(0, 0)])
    median = np.median(sides, axis=0)
    odd = ((sides > ODD_FACTOR * median) | (sides * ODD_FACTOR < median)).any(axis=1)
    smallest, middle, largest = ((int(w), int(h)) for w, h in (sides.min(0), median, sides.max(0)))
    modes = dict(Counter(header.mode for _, _, header in found).most_common())
    return Sizes(smallest, middle, largest, modes, [found[index][:2] for index in np.flatnonzero(odd)])


def find_blank(thumbnails: Dataset) -> list[tuple[str, str]]:
    """Return name and part of the images of a single colour, give or take BLANK_LEVELS, in a decoded data set."""
    blank = []
    for name, part in thumbnails.parts.items():
        for first in range(0, len(part), CHUNK):
            levels = np.ptp(part.decoded[first : first + CHUNK], axis=(1, 2)).max(axis=1)
            blank += [(part.names[first + index], name) for index in np.flatnonzero(levels <= BLANK_LEVELS)]
    return blank


def find_dark(thumbnails: Dataset) -> list[tuple[str, str]]:
    """Return name and part of the images that are nearly black but not blank, in a decoded data set."""
    dark = []
    for name, part in thumbnails.parts.items():
        for first in range(0, len(part), CHUNK):
            pixels = part.decoded[first : first + CHUNK]
            brightest, spread = pixels.max(axis=(1, 2, 3)), np.ptp(pixels, axis=(1, 2)).max(axis=1)
            chosen = np.flatnonzero((brightest <= DARK_LEVELS) & (spread > BLANK_LEVELS))
            dark += [(part.names[first + index], name) for index in chosen]
    return dark


def find_strays(root: Path, dataset: Dataset) -> list[str]:
    """Return the names, relative to `root`, of files below it that are not part of the data set; hidden ones aside."""
    known = {os.path.realpath(file) for part in dataset.parts.values() for file in part.files or ()}
    known |= {os.path.realpath(root / bad.name) for bad in dataset.bad_files if "\0" not in bad.name}
    said_by = ANNOTATIONS if dataset.kind.lies_on_image else ()
    if dataset.kind.lies_on_image:  # of masks that are files
        targets = (target for part in dataset.parts.values() for target in part.labels if part.labels.dtype == object)
        known |= {os.path.realpath(target.path) for target in targets if hasattr(target, "path")}
    strays = []
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        if os.path.realpath(folder) in known:  # its files are one sample
            continue
        paths = (Path(folder, name) for name in files if not is_ignored(name) and not name.lower().endswith(said_by))
        strays += [path.relative_to(root).as_posix() for path in paths if os.path.realpath(path) not in known]
    return sorted(strays)


def _headers(part: Part) -> Sequence[ImageHeader | None]:
    if part.files is None:
        H, W, C = part.decoded.shape[1:]
        return [ImageHeader((W, H), "L" if C == 1 else "RGB")] * len(part)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [header and ImageHeader(header[1], header[0]) for header in pool.map(read_header, part.files)]
