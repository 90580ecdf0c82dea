"""The decoded cache: a data set's images as memory-mapped uint8 arrays, decoded once and found again by their key."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from fovea import inputs
from fovea.data.cache.decoding import Header, Pixels, Sources, StoredCut, Storing, decode_into, read_journal
from fovea.data.cache.read_only import whole_entry
from fovea.data.cache.regions import read_region, region_key, region_sources
from fovea.data.cache.targets import Laying, image_sizes, without
from fovea.data.cache.tiles import complete, key_of, read_window, sources_of, windows_of, with_cut_labels
from fovea.data.dataset import BadFile, Dataset, Part
from fovea.errors import DataError, StorageError, UsageError
from fovea.inputs.interface import Preprocessing
from fovea.preprocess import Preprocess
from fovea.preprocess.regions import Windows
from fovea.storage import cache_root
from fovea.texts import percent

MAX_BAD_FRACTION = 0.05
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def cache_folder() -> Path:
    """Return where decoded images are kept."""
    return cache_root() / "decoded"


def decode_dataset(
    dataset: Dataset,
    preprocess: Preprocessing,
    *,
    room: float = 1.0,
    workers: int | None = None,
    allow_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Return the data set with `pixels` in every part: uint8 (N, H, W, C), from the cache where they are in it.

    The train part is stored at `room` times the size, so that random crops have something to choose from; val and
    test at the size. Arrays that have their shape already are passed through. Bad files are left out of `pixels`,
    `labels` and `names` alike and added to `bad_files`. `progress(done, total)` counts images.

    Raises: DataError if more than 5 % are bad (unless `allow_bad`), or a part has no good image left; StorageError
    where the cache cannot be written.
    """
    if not room >= 1:
        raise UsageError(f"`room` (={room}) must be at least 1.")
    if getattr(preprocess, "tiles", False):
        return _decode_tiles(dataset, preprocess, room=room, workers=workers, allow_bad=allow_bad, progress=progress)  # type: ignore[arg-type]
    done, total = 0, sum(map(len, dataset.parts.values()))
    counted = total * (1 + dataset.kind.lies_on_image)

    def advance(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(done, counted)

    decode = partial(_kept_or_decoded, workers=workers or os.cpu_count() or 1, advance=advance)
    roomy = preprocess.roomy(room)
    parts, bad_files = {}, list(dataset.bad_files)
    for name, part in dataset.parts.items():
        wanted = roomy if name == "train" else preprocess
        if part.pixels is not None and part.pixels.shape[1:] == wanted.stored_shape:
            parts[name] = part
            advance(len(part))
        else:
            entry = cache_folder() / _entry_name(f"{dataset.name}-{name}", part, wanted, further=region_key(part))
            cut = StoredCut(frame=wanted, read=partial(read_region, frame=wanted))
            storing = wanted if part.regions is None else cut
            pixels, bad = decode(entry, _sources(part), preprocess=storing)
            part = without(part, bad, bad_files)
            parts[name] = replace(part, files=None, pixels=pixels)
        if dataset.kind.lies_on_image:
            title = cache_folder() / _title(f"{dataset.name}-{name}-targets")
            laid = Laying(kind=dataset.kind, frame=wanted, title=title, decode=decode)
            parts[name] = laid.on(parts[name], image_sizes(part), bad_files)
    decoded = replace(dataset, parts=parts, bad_files=tuple(bad_files))
    check_bad(decoded, total + len(dataset.bad_files), allow_bad=allow_bad)
    _check_left(decoded)
    return decoded


def is_kept(dataset: Dataset, preprocess: Preprocessing, *, room: float = 1.0) -> bool:
    """Return whether all that `decode_dataset` would decode is in the cache already, by its journals."""
    roomy = preprocess.roomy(room)
    for name, part in dataset.parts.items():
        wanted = roomy if name == "train" else preprocess
        if part.pixels is not None and part.pixels.shape[1:] == wanted.stored_shape:
            continue
        entry = cache_folder() / _entry_name(f"{dataset.name}-{name}", part, wanted, further=region_key(part))
        journal, header = read_journal(entry), Header(len(part), wanted.stored_shape, wanted.dtype)
        if journal is None or journal[0] != header or sum(chunk.files for chunk in journal[1]) != header.files:
            return False
    return True


def _decode_tiles(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    room: float,
    workers: int | None,
    allow_bad: bool,
    progress: Callable[[int, int], None] | None,
) -> Dataset:
    """Return the data set with a row for each window of its images; arguments and errors as of `decode_dataset`.

    The train part has windows that random crops are taken from where `room` is above 1.
    """
    cut = {
        name: windows_of(part, preprocess, random=room > 1 and name == "train") for name, part in dataset.parts.items()
    }
    done, counted = 0, 2 * sum(len(part) for part, _ in cut.values())

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, counted)

    decode = partial(_kept_or_decoded, workers=workers or os.cpu_count() or 1, advance=advance)
    parts, bad_files = {}, list(dataset.bad_files)
    for name, (part, frame) in cut.items():
        part = with_cut_labels(part, dataset.kind, frame)
        title, bad = f"{dataset.name}-{name}", list[BadFile]()
        entry = cache_folder() / _entry_name(title, part, frame, further=key_of(part))
        with Windows(frame.channels) as windows:
            reading = partial(read_window, windows=windows, size=frame.size)
            pixels, bad_rows = decode(entry, sources_of(part), preprocess=StoredCut(frame=frame, read=reading))
        part = replace(without(part, bad_rows, bad), files=None, pixels=pixels)
        laying = Laying(
            kind=dataset.kind, frame=frame, title=cache_folder() / _title(f"{title}-targets"), decode=decode
        )
        part, bad = complete(laying.on(part, [frame.size] * len(part), bad), bad)
        parts[name], bad_files = part, [*bad_files, *bad]
    decoded = replace(dataset, parts=parts, bad_files=tuple(bad_files))
    check_bad(decoded, sum(map(len, dataset.parts.values())) + len(dataset.bad_files), allow_bad=allow_bad)
    _check_left(decoded)
    return decoded


def _kept_or_decoded(
    entry: Path, sources: Sources, *, preprocess: Storing, workers: int, advance: Callable[[int], None]
) -> tuple[Pixels, list[tuple[int, str]]]:
    """Return what `decode_into` does; where that may not write, what a whole entry holds already."""
    try:
        return decode_into(entry, sources, preprocess=preprocess, workers=workers, advance=advance)
    except StorageError as error:
        if getattr(error.__cause__, "errno", None) not in UNWRITABLE:
            raise
        kept = whole_entry(entry, Header(len(sources), preprocess.stored_shape, preprocess.dtype))
        if kept is None:
            raise
        advance(len(sources))
        return kept


def _sources(part: Part) -> Sources:
    if part.regions is not None:
        return region_sources(part)
    return part.files if part.files is not None else part.decoded


def _entry_name(title: str, part: Part, preprocess: Preprocessing, *, further: str = "") -> str:
    shape = "x".join(map(str, preprocess.stored_shape))
    return f"{_title(title)}-{shape}-{_key(part, preprocess, further)[:16]}"


def _title(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[-60:]


def _key(part: Part, preprocess: Preprocessing, further: str) -> str:
    """SHA-256 over all that the decoded pixels depend on: each file's path, size and time, or an array's content.

    `further` is what else they depend on.
    """
    digest = hashlib.sha256((json.dumps(preprocess.cache_key) + further).encode())
    if part.files is None:
        digest.update(str(part.decoded.shape).encode())
        for first in range(0, len(part), 256):
            digest.update(np.ascontiguousarray(part.decoded[first : first + 256]).data)
    else:
        resolved = cache(os.path.realpath)
        for file in part.files:
            digest.update(os.fsencode(f"{resolved(file.parent)}/{file.name}\0{_size_and_time(file)}\n"))
    return digest.hexdigest()


def _size_and_time(file: Path) -> str:
    try:
        status = file.stat()
    except OSError as error:
        return str(error.errno)
    return f"{status.st_size} {status.st_mtime_ns}"


def check_bad(dataset: Dataset, total: int, *, allow_bad: bool) -> None:
    """Raise DataError if more than 5 % of `total` samples are bad files, unless `allow_bad`."""
    bad = dataset.bad_files
    if allow_bad or len(bad) <= MAX_BAD_FRACTION * total:
        return
    shown, nouns = "; ".join(f"`{name}` ({reason})" for name, reason in bad[:5]), inputs.kind(dataset.input).nouns
    raise DataError(
        f"{len(bad)} of {total} {nouns} cannot be used, which is more than the limit of "
        f"{percent(MAX_BAD_FRACTION, 0)}: {shown}{'; ...' if len(bad) > 5 else ''}. Repair or remove them, or "
        "continue without them: `--allow-bad`."
    )


def _check_left(decoded: Dataset) -> None:
    for name, part in decoded.parts.items():
        if len(part) == 0:
            raise DataError(f"The {name} split of `{decoded.name}` has no image that can be decoded.")
