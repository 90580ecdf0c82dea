"""Images that are arrays already: parsed once and kept as memory-mapped files; `.npz` and scikit-learn's digits."""

import hashlib
import json
import math
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.budget import TABLE
from fovea.data.dataset import Dataset, Part
from fovea.data.labels import CHARACTERS_NOTE, alike, checked_names
from fovea.data.sources.cells import label_text
from fovea.data.sources.containers import check_table, open_member
from fovea.data.sources.download import CATALOGUE, DIGITS
from fovea.data.splits import split_off
from fovea.errors import DataError, FoveaError, first_line
from fovea.files import open_regular
from fovea.storage import build_once
from fovea.tasks.task import Labels, Task
from fovea.tasks.wording import PLAIN, Wording

NPZ_KEYS = {
    "train": (("x_train", "y_train"), ("images", "labels"), ("x", "y")),
    "val": (("x_val", "y_val"), ("x_valid", "y_valid"), ("x_validation", "y_validation")),
    "test": (("x_test", "y_test"),),
}
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
    return _in_order(dataset, wording) if dataset.kind.ordered else dataset


def load_digits() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, a fixed fifth of each digit being the test part.

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
    fingerprint = _fingerprint(pixels_of, {name: part.labels for name, part in parts.items()}, DIGITS)
    return Dataset(
        name="digits",
        parts=parts,
        classes=DIGITS,
        channels=1,
        native_size=(8, 8),
        directional=True,
        licence="CC BY 4.0 (Alpaydin, Kaynak, UCI)",
        fingerprint=fingerprint,
        notes=("test: 20 % of the 1,797 images, stratified, seed 0 (they come without a test part)",),
    )


def _build(parse: Callable[[], Arrays], folder: Path) -> None:
    arrays = parse()
    for part in arrays.pixels:
        np.save(folder / f"{part}-pixels.npy", arrays.pixels[part])
        np.save(folder / f"{part}-labels.npy", arrays.labels[part])
    fingerprint = _fingerprint(arrays.pixels, arrays.labels, arrays.classes)
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
    if _fingerprint(pixels, labels, classes) != facts["fingerprint"]:
        raise ValueError("the fingerprint is another")
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


def _fingerprint(pixels: Mapping[str, NDArray[np.uint8]], labels: Mapping[str, Labels], classes: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for part in sorted(pixels):
        for array in (pixels[part], labels[part]):
            # shape and type too: the same bytes can be other images
            digest.update(f"{part} {array.shape} {array.dtype.str}".encode())
            for first in range(0, len(array), HASHED_ROWS):
                digest.update(np.ascontiguousarray(array[first : first + HASHED_ROWS]).data)
    return digest.hexdigest()


def _parse_npz(file: Path, task: str) -> Arrays:
    try:
        # an object array is a pickle, which can run any code
        with open_regular(file) as stream:
            check_table(stream, file)
            with np.load(stream, allow_pickle=False) as stored:
                present = _present(stored.files, file)
                wanted = [*(key for pair in present.values() for key in pair), "classes"]
                content = _within_memory(stored, [key for key in wanted if key in stored.files], file)
    except FoveaError:
        raise
    except Exception as error:  # a damaged file: NumPy's reader raises whatever its parts meet
        reason = first_line(error).rstrip(".")
        raise DataError(f"`{file}` cannot be read as an .npz of plain arrays: {reason}.") from error
    _check_axes(content, file)
    kind, names = tasks.kind(task), _class_names(content, file)
    pixels = {part: _as_pixels(content[x], x) for part, (x, _) in present.items()}
    if len({array.shape[1:] for array in pixels.values()}) > 1:
        raise DataError(f"The parts of `{file}` differ in height, width or channels; make them the same.")
    raw = {part: (y, content[y], len(pixels[part])) for part, (_, y) in present.items()}
    if kind.several:
        return Arrays(pixels, *_with_rows({part: _as_rows(*found) for part, found in raw.items()}, names), task=task)
    columns = {part: _as_column(*found) for part, found in raw.items()}
    if kind.has_classes and "classes" in content:
        return Arrays(pixels, *_with_names(columns, names), task=task)
    keys = {part: y for part, (_, y) in present.items()}
    return Arrays(pixels, *_encoded(columns, kind, keys), task=task)


def _class_names(content: Mapping[str, NDArray[Any]], file: Path) -> tuple[str, ...]:
    """Return the names under `classes`, none where there is no such key."""
    if "classes" not in content:
        return ()
    stored = content["classes"]
    if stored.ndim != 1 or stored.dtype.kind not in "SUiu":
        raise DataError(
            f"`{file}`: `classes` is {stored.dtype} of shape {stored.shape}; wanted are the names of the classes, (K,)."
        )
    return checked_names(stored.tolist(), where=f"`{file}`: `classes`")


def _check_axes(content: Mapping[str, NDArray[Any]], file: Path) -> None:
    """Raise DataError where an array has no axis to go along."""
    for key, array in content.items():
        if array.ndim == 0:
            raise DataError(f"`{file}`: `{key}` has shape (); wanted is one entry per image, or per class.")


def _present(keys: Sequence[str], file: Path) -> dict[str, tuple[str, str]]:
    """Return the keys of pixels and labels of each part that a file has."""
    found = {part: _pair(keys, names) for part, names in NPZ_KEYS.items()}
    present = {part: pair for part, pair in found.items() if pair}
    if "train" not in present and "test" not in present:
        raise DataError(
            f"`{file}` has the keys {', '.join(keys[:20])}; wanted are `x_train` and `y_train` (also `_val`, `_test`), "
            "or `images` and `labels`."
        )
    return present


def _within_memory(stored: Any, keys: Sequence[str], file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays under these keys, after what their headers announce was found to fit into memory.

    Raises: whatever NumPy does of damaged ones, and ValueError for texts that are none.
    """
    if excess := TABLE.excess(sum(_announced_bytes(stored.zip, key) for key in keys)):
        raise DataError(f"`{file}`: its arrays would take {excess}.")
    arrays = {key: stored[key] for key in keys}
    for key, array in arrays.items():
        # NumPy takes any numbers for characters, and makes of them text that Python fails at later
        if array.dtype.kind == "U" and _characters(array).max(initial=0) > sys.maxunicode:
            raise ValueError(f"`{key}` holds characters that are none")
    return arrays


def _characters(texts: NDArray[np.str_]) -> NDArray[np.uint32]:
    """Return the numbers of all characters of an array of texts."""
    return texts.astype(texts.dtype.newbyteorder("<")).ravel().view("<u4")


def _announced_bytes(archive: zipfile.ZipFile, key: str) -> int:
    """Return the size of an array of an `.npz` by its header."""
    names = archive.namelist()
    with open_member(archive, archive.getinfo(f"{key}.npy" if f"{key}.npy" in names else key)) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    return math.prod(shape) * dtype.itemsize


def _encoded(
    columns: Mapping[str, NDArray[Any]], kind: type[Task], keys: Mapping[str, str]
) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return labels that are no indices of names; grades as classes, which have no order yet."""
    # as text, so that labels mean the same here as in folders and tables
    texts = {part: _texts(array, kind, keys[part]) for part, array in columns.items()}
    return (tasks.kind("classes") if kind.ordered else kind).encode(texts)


def _texts(labels: NDArray[Any], kind: type[Task], key: str) -> list[str]:
    """Return labels (N,) as text.

    Raises: DataError for what is no label, with the first row that has it.
    """
    if labels.dtype.kind not in "biufSU":
        raise DataError(f"`{key}` is {labels.dtype}; wanted are labels that are integers, numbers or text.")
    values = labels.tolist()
    texts = [label_text(value, (), where=f"`{key}`, row {row}") for row, value in enumerate(values)]
    if blank := [row for row, text in enumerate(texts) if kind.is_missing(text, PLAIN)]:
        raise DataError(f"`{key}` has {len(blank):,} rows without a label, as row {blank[0]}; leave their images out.")
    kind.check_raw(labels, key)
    for row, text in enumerate(texts):
        try:
            kind.check_written(text, PLAIN)
        except DataError as error:
            raise DataError(f"`{key}`, row {row}: {error}") from error
    return texts


def _in_order(dataset: Dataset, wording: Wording) -> Dataset:
    """Return a data set of classes whose indices are those of grades."""
    texts = {name: [dataset.classes[label] for label in part.labels] for name, part in dataset.parts.items()}
    labels, grades = dataset.kind.encode(texts, classes=dataset.classes, wording=wording)
    parts = {name: replace(part, labels=labels[name]) for name, part in dataset.parts.items()}
    return replace(dataset, parts=parts, classes=grades)


def _pair(content: Collection[str], keys: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    return next(((x, y) for x, y in keys if x in content and y in content), None)


def _as_pixels(array: NDArray[Any], key: str) -> NDArray[np.uint8]:
    """Return (N, H, W, C) uint8 of (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if array.dtype != np.uint8:
        raise DataError(
            f"`{key}` is {array.dtype}; pixels are uint8 0..255. Convert with `.astype('uint8')` where values are "
            "0..255, `(x * 255).round().astype('uint8')` where 0..1, `(x // 257).astype('uint8')` where 16 bit."
        )
    if array.ndim == 3:
        array = array[..., None]
    # the last axis comes first: (N, 3, H, 3) counts as channels last
    elif array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape:
        raise DataError(
            f"`{key}` has shape {array.shape}; wanted is (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1 or 3."
        )
    return array


def _as_column(key: str, labels: NDArray[Any], count: int) -> NDArray[Any]:
    if labels.size != count or labels.shape[0] != count:
        hint = " Several labels per image need `--task labels`." if labels.ndim == 2 and len(labels) == count else ""
        raise DataError(
            f"`{key}` has shape {labels.shape}; wanted is one label for each of {count} images, ({count},).{hint}"
        )
    return labels.reshape(count)  # from (N, 1) too


def _as_rows(key: str, labels: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return (N, L) float32 of 1, 0, and NaN for what is not known."""
    if labels.ndim != 2 or len(labels) != count or not labels.size or labels.dtype.kind not in "biuf":
        raise DataError(
            f"`{key}` is {labels.dtype} of shape {labels.shape}; `--task labels` wants ({count}, L): for each of the L "
            "labels 1, 0, or NaN where it is not known."
        )
    others = labels[~np.isnan(labels) & (labels != 0) & (labels != 1)]
    if others.size:
        raise DataError(f"`{key}` holds {others[0]:g}; `--task labels` wants 1, 0, or NaN where a label is not known.")
    return labels.astype(np.float32)


def _with_rows(rows: Mapping[str, Labels], names: Sequence[str]) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return labels (N, L), and their names, which are numbers where there are none."""
    widths = {labels.shape[1] for labels in rows.values()}
    if len(widths) > 1 or (names and {len(set(names))} != widths):
        shapes = ", ".join(f"{labels.shape} in `{part}`" for part, labels in rows.items())
        named = f"; `classes` has {len(set(names))} different names" if names else ""
        raise DataError(f"The labels have the shapes {shapes}{named}; they need a column for each name in every part.")
    return dict(rows), tuple(names) or _indices(*widths)


def _with_names(raw: Mapping[str, NDArray[Any]], names: Sequence[str]) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return labels that are indices into the class names, which keep their order."""
    for part, labels in raw.items():
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
            raise DataError(f"With `classes`, the labels of `{part}` must be integers 0..{len(names) - 1}.")
    return {part: labels.astype(np.int64) for part, labels in raw.items()}, tuple(names)
