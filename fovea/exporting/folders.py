"""Folders that a target writes: whole under their name, or not at all; another export in their place is replaced."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from fovea.errors import StorageError, UsageError
from fovea.storage import check_writable

MARK = "card.json"
"""The file that every such folder holds."""


def check_replaceable(folder: Path) -> None:
    """Raise UsageError if something stands at `folder` that no export made, StorageError if it takes no files."""
    if folder.is_dir() and (any(folder.iterdir()) and not (folder / MARK).is_file()):
        raise UsageError(f"`out` (={folder}) is a folder that contains other files; give a new folder.")
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"`out` (={folder}) is a file, but a folder is written; give a new folder.")
    check_writable(folder)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files`, by their paths in the folder with `/`, whole under its name; `MARK` must be one of them.

    Raises:
        UsageError: something else stands there.
        StorageError: it cannot be written; what was there still is.
    """
    check_replaceable(folder)
    beside = folder.absolute().parent
    unfinished = beside / f".{folder.name[:200]}.{secrets.token_hex(8)}"
    try:
        beside.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _take_place(unfinished, folder)
    except OSError as error:
        raise StorageError(
            f"`{folder}` cannot be written ({error.strerror or error}); free some disk space or choose another folder."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _take_place(made: Path, folder: Path) -> None:
    old = made.with_name(f"{made.name}.old")
    if folder.is_dir():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        with contextlib.suppress(OSError):
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
