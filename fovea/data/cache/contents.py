"""What the cache holds, of every kind: listing it and clearing it."""

import shutil
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from fovea.data.cache.decoding import JOURNAL, LOCK, ROWS, Header, locked, read_journal
from fovea.data.sources.download import CATALOGUE
from fovea.errors import StorageError
from fovea.storage import KEYED, UNFINISHED, cache_root, remove_whole

FOLDERS = {
    **{"decoded": "decoded", "arrays": "arrays", "archive": "archives", "download": "downloads"},
    "neighbours": "neighbours",
}
"""Where in the cache each kind lies."""
LEFT_BEHIND_S = 24 * 3600


class Entry(NamedTuple):
    """One thing in the cache."""

    kind: str
    """`decoded` images, parsed `arrays`, an unpacked `archive`, `neighbours` of an index, or a `download`."""
    name: str
    """Its folder: data set, then for `decoded` part and shape, then the beginning of its key."""
    bytes: int
    """On the disk."""
    used: float
    """When it was last opened or written, in seconds since 1970; of a download, when it came."""
    images: int | None = None
    """How many decoded images it holds so far, bad ones included; None for other kinds."""
    total: int | None = None
    """How many it holds when it is complete; 0 where its journal cannot be read."""
    shape: tuple[int, ...] | None = None
    """(H, W, C) of each image."""


def list_entries(pattern: str = "") -> list[Entry]:
    """Return the entries whose name begins like `pattern` (`*` stands for anything), the longest unused first."""
    entries = [_entry(kind, folder) for kind, folder in _folders() if fnmatchcase(folder.name, f"{pattern}*")]
    return sorted(entries, key=lambda entry: (entry.used, entry.name))


def clear(pattern: str = "") -> list[Entry]:
    """Remove the entries that `list_entries` gives and return them, and what was left half-made more than a day ago.

    A download goes only where `pattern` fits its whole name; decoded images that another process opens or writes at
    this moment stay. Raises: StorageError.
    """
    for leftover in cache_root().glob(f"*/{UNFINISHED}*"):
        if time.time() - leftover.stat().st_mtime > LEFT_BEHIND_S:
            shutil.rmtree(leftover, ignore_errors=True)
    wanted = [entry for entry in list_entries(pattern) if entry.kind != "download" or fnmatchcase(entry.name, pattern)]
    return [entry for entry in wanted if _removed(entry)]


def _folders() -> Iterator[tuple[str, Path]]:
    """Yield kind and folder of each entry; a folder that someone else put there is none."""
    root = cache_root()
    yield from (("decoded", rows.parent) for rows in root.glob(f"{FOLDERS['decoded']}/*/{ROWS}"))
    for kind in ("arrays", "archive", "neighbours"):
        yield from ((kind, folder) for folder in root.glob(f"{FOLDERS[kind]}/{KEYED}"))
    downloads = (root / FOLDERS["download"] / name for name in CATALOGUE)
    yield from (("download", folder) for folder in downloads if any(folder.glob("*")))


def _entry(kind: str, folder: Path) -> Entry:
    size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if kind != "decoded":
        return Entry(kind, folder.name, size_bytes, folder.stat().st_mtime)
    header, chunks = read_journal(folder) or (Header(0, (0, 0, 0)), [])
    images = sum(chunk.files for chunk in chunks)
    used = (folder / LOCK).stat().st_mtime
    return Entry(kind, folder.name, size_bytes, used, images, header.files, header.shape)


def _removed(entry: Entry) -> bool:
    folder = cache_root() / FOLDERS[entry.kind] / entry.name
    try:
        if entry.kind == "decoded":
            _remove_decoded(folder)
        else:
            remove_whole(folder)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(f"Cannot remove the cache entry `{folder}`: {error.strerror or error}.") from error
    return True


def _remove_decoded(folder: Path) -> None:
    with locked(folder, wait=False):
        for name in (ROWS, JOURNAL):
            (folder / name).unlink(missing_ok=True)
    (folder / LOCK).unlink()
    folder.rmdir()
