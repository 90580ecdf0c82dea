"""Images that are arrays already: parsed once and kept as memory-mapped files; `.npz` and scikit-learn's digits."""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.data.dataset import Dataset, Part
from fovea.data.labels import CHARACTERS_NOTE, alike
from fovea.data.sources.download import CATALOGUE, DIGITS
from fovea.data.sources.npz import read_npz
from fovea.data.splits import split_off
from fovea.errors import DataError
from fovea.storage import build_once
from fovea.tasks.task import Labels
from fovea.tasks.wording import PLAIN, Wording

HASHED_ROWS = 256  # at a time: pixels are mapped from a file, and may be more than fit into memory
UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


class Arrays(NamedTuple):
    """Parsed images: pixels (N, H, W, C) uint8 and labels (N,) of each part; `known` is a name in the catalogue."""

    pixels: Mapping[str, NDArray[np.uint8]]
    labels: Mapping[str, Labels]
    classes: tuple[str, ...]
    known: str = ""
    task: str = "classes"


def parsed_once(sources: Sequence[Path], parse: Callable[[], Arrays], *, name: str, task: str = "classes") -> Dataset:
    """Return the data set that `parse` makes of these files, memory-mapped; parsed only if this was not done before.

    What is damaged in the cache is parsed again.
    """
    stored = partial(build_once, "arrays", sources, name=f"{name}-{task}", build=partial(_build, parse))
    folder = stored()
    try:
        return _read(folder, name)
    except UNREADABLE:
        shutil.rmtree(folder)  # now `stored` does not find it, and parses
        return _read(stored(), name)


def load_npz(file: Path, *, task: str = "classes", wording: Wording = PLAIN) -> Dataset:
    """Return the images of an `.npz`: keys `x_train`, `y_train` and so on, or `images` and `labels`; maybe `classes`.

    Pixels are uint8, (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels. Labels are (N,) integers or text,
    (N,) numbers, or (N, L) of 1, 0 and NaN for several labels per image, as the kind of target wants.

    Raises: DataError for other keys, shapes or types, with the way to convert them.
    """
    dataset = parsed_once([file], partial(_parse_npz, file, task), name=file.stem, task=task)
    # the cache keeps them as the file has them: an order is another with each call
    return in_grades(dataset, wording) if dataset.kind.ordered else dataset


def load_digits() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, a fixed fifth of each digit being the test split.

    Their 17 levels of grey become uint8 0..255.
    """
    from sklearn.datasets import load_digits as bundled

    digits = bundled()
    # (N, 8, 8, 1); levels 0 to 16
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    everything = Part(labels=digits.target.astype(np.int64), names=_indices(len(pixels)), pixels=pixels)
    train, test = split_off(everything, fraction=0.2, seed=0, strata=everything.labels)
    parts = {"train": train, "test": test}
    pixels_of = {name: part.decoded[:] for name, part in parts.items()}
    fingerprint = fingerprint_of(pixels_of, {name: part.labels for name, part in parts.items()}, DIGITS)
    return Dataset(
        name="digits",
        parts=parts,
        classes=DIGITS,
        channels=1,
        native_size=(8, 8),
        directional=True,
        licence="CC BY 4.0 (Alpaydin, Kaynak, UCI)",
        fingerprint=fingerprint,
        notes=("test: 20 % of the 1,797 images, stratified, seed 0 (the data comes without a test split)",),
    )


def _build(parse: Callable[[], Arrays], folder: Path) -> None:
    arrays = parse()
    for part in arrays.pixels:
        np.save(folder / f"{part}-pixels.npy", arrays.pixels[part])
        np.save(folder / f"{part}-labels.npy", arrays.labels[part])
    fingerprint = fingerprint_of(arrays.pixels, arrays.labels, arrays.classes)
    facts = {"parts": list(arrays.pixels), "classes": arrays.classes, "known": arrays.known, "task": arrays.task}
    content = json.dumps({**facts, "fingerprint": fingerprint})
    (folder / "arrays.json").write_text(content, encoding="utf-8")


def _read(folder: Path, name: str) -> Dataset:
    """Return what `_build` wrote, its fingerprint taken anew: a single changed byte is found.

    Raises: one of UNREADABLE.
    """
    facts = json.loads((folder / "arrays.json").read_text(encoding="utf-8"))
    pixels = {part: np.load(folder / f"{part}-pixels.npy", mmap_mode="r") for part in facts["parts"]}
    labels = {part: np.load(folder / f"{part}-labels.npy") for part in facts["parts"]}
    classes = tuple(facts["classes"])
    if fingerprint_of(pixels, labels, classes) != facts["fingerprint"]:
        raise ValueError("the fingerprint differs")
    published = CATALOGUE.get(facts["known"])
    height, width, channels = next(iter(pixels.values())).shape[1:]
    kind = tasks.kind(facts["task"])
    directional = kind.directional(classes, channels=channels)
    characters = (CHARACTERS_NOTE,) if directional and kind.has_classes and not published else ()
    return Dataset(
        name=facts["known"] or name,
        parts={
            part: Part(labels=labels[part], names=_indices(len(pixels[part])), pixels=pixels[part]) for part in pixels
        },
        classes=classes,
        channels=channels,
        task=facts["task"],
        native_size=(height, width),
        directional=published.directional if published else directional,
        licence=published.licence if published else "unknown",
        fingerprint=facts["fingerprint"],
        notes=(*characters, *kind.notes(labels, classes), *alike(classes)),
    )


def _indices(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def fingerprint_of(pixels: Mapping[str, NDArray[Any]], labels: Mapping[str, Labels], classes: Sequence[str]) -> str:
    """Return SHA-256 over samples (N, ...) of any dtype, labels (N,) and the names of the classes."""
    digest = hashlib.sha256(json.dumps(classes).encode())
    for part in sorted(pixels):
        for array in (pixels[part], labels[part]):
            # shape and type too: the same bytes can be other images
            digest.update(f"{part} {array.shape} {array.dtype.str}".encode())
            for first in range(0, len(array), HASHED_ROWS):
                digest.update(np.ascontiguousarray(array[first : first + HASHED_ROWS]).data)
    return digest.hexdigest()


def _parse_npz(file: Path, task: str) -> Arrays:
    stored = read_npz(file)
    pixels = {part: _as_pixels(stored.content[x], x) for part, (x, _) in stored.keys.items()}
    if len({array.shape[1:] for array in pixels.values()}) > 1:
        raise DataError(f"The splits of `{file}` differ in height, width or channels; make them equal.")
    return Arrays(pixels, *stored.labels(tasks.kind(task)), task=task)


def in_grades(dataset: Dataset, wording: Wording) -> Dataset:
    """Return a data set of classes as one of grades, whose indices have their order."""
    texts = {name: [dataset.classes[label] for label in part.labels] for name, part in dataset.parts.items()}
    labels, grades = dataset.kind.encode(texts, classes=dataset.classes, wording=wording)
    parts = {name: replace(part, labels=labels[name]) for name, part in dataset.parts.items()}
    return replace(dataset, parts=parts, classes=grades)


def _as_pixels(array: NDArray[Any], key: str) -> NDArray[np.uint8]:
    """Return (N, H, W, C) uint8 of (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if array.dtype != np.uint8:
        raise DataError(
            f"`{key}` is {array.dtype}; pixels must be uint8, 0..255. Convert values 0..255 with "
            "`.astype('uint8')`, values 0..1 with `(x * 255).round().astype('uint8')`, 16-bit values with "
            "`(x // 257).astype('uint8')`."
        )
    if array.ndim == 3:
        array = array[..., None]
    # the last axis comes first: (N, 3, H, 3) counts as channels last
    elif array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape:
        raise DataError(
            f"`{key}` has shape {array.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W), where C is 1 or 3."
        )
    return array
