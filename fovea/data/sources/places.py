"""Finding the files of a list by paths that another system, another program or a person wrote.

What is written counts first. Else backslashes are taken as slashes, `%20` as a blank, `~` as the home; names are
compared in one Unicode form, then in any case, and an image may lack its suffix, where only one file can be meant.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from fovea.data.sources.folders import is_image
from fovea.errors import shortened
from fovea.files import is_file, is_folder, no_file, no_folder
from fovea.texts import composed


class Names(NamedTuple):
    """What a folder holds, by names as they are compared: in one Unicode form and case."""

    whole: dict[str, list[str]]
    stems: dict[str, list[str]]
    """Of images only, without their suffix."""


class Places:
    """The files below a folder, or the folders there; what was found otherwise than written is counted."""

    def __init__(self, folder: Path, *, within: Path | None = None, of_folders: bool = False) -> None:
        self.folder = folder
        self._within = within
        self._is_there = is_folder if of_folders else is_file
        self._why_not = no_folder if of_folders else no_file
        self._listed: dict[Path, Names] = {}
        self._ways: Counter[str] = Counter()

    def find(self, written: str) -> Path:
        """Return the file meant; where there is none, what is written, from the folder on."""
        found, way = self._found(written)
        if way:
            self._ways[way] += 1
        return found or self.folder / written

    def missing(self, path: Path, written: str) -> str:
        """Return why there is no file to read at `path`, which `find` gave; nothing where there is one."""
        if self._within is not None and not Path(os.path.abspath(path)).is_relative_to(self._within):
            return "its path leads outside of the archive"
        reason = self._why_not(path)
        if reason and (PurePosixPath(written).is_absolute() or re.match(r"[A-Za-z]:[\\/]", written)):
            return f"{reason}, as on another machine: {self._tail(written) or 'write paths from the manifest on'}"
        return reason

    def notes(self, file: Path) -> list[str]:
        """Return how many paths in `file` were found otherwise than written, one line for each way."""
        return [f"{count:,} paths in {file.name} were found {way}" for way, count in self._ways.items()]

    def _found(self, written: str) -> tuple[Path | None, str]:
        if self._is_there(self.folder / written):
            return self.folder / written, ""
        for text, way in _forms(written):
            if way and self._is_there(self.folder / text):
                return self.folder / text, way
            path, more = self._compared(text)
            if path is not None:
                return path, " and ".join(filter(None, (way, more)))
        return None, ""

    def _compared(self, text: str) -> tuple[Path | None, str]:
        """Return the only file whose names along the path are equal to those in `text`, and in which way."""
        pieces = PurePosixPath(text).parts
        if not pieces or PurePosixPath(text).is_absolute() or "\0" in text:
            return None, ""
        path = self.folder
        ways: set[str] = set()
        for number, piece in enumerate(pieces, 1):
            if piece == "..":
                path = path.parent
                continue
            name, way = self._match(path, piece, last=number == len(pieces))
            if not name:
                return None, ""
            path, ways = path / name, ways | ({way} if way else set())
        return (path, " and ".join(sorted(ways))) if self._is_there(path) else (None, "")

    def _match(self, folder: Path, piece: str, *, last: bool) -> tuple[str, str]:
        """Return the only name in `folder` that `piece` can mean, and how; nothing where there is none."""
        names, key = self._names(folder), composed(piece).casefold()
        found = names.whole.get(key, [])
        equal = [name for name in found if composed(name) == composed(piece)]
        if len(equal) == 1:
            return equal[0], ""
        if len(found) == 1:
            return found[0], "in different case"
        without = names.stems.get(key, []) if last and not found else []
        return (without[0], "with the missing suffix added") if len(without) == 1 else ("", "")

    def _names(self, folder: Path) -> Names:
        if folder not in self._listed:
            names = Names({}, {})
            try:
                entries = sorted(os.listdir(folder))
            except OSError:
                entries = []
            for name in entries:
                names.whole.setdefault(composed(name).casefold(), []).append(name)
                if is_image(name):
                    names.stems.setdefault(composed(os.path.splitext(name)[0]).casefold(), []).append(name)
            self._listed[folder] = names
        return self._listed[folder]

    def _tail(self, written: str) -> str:
        """Return what to write in place of an absolute path whose end is here."""
        pieces = written.replace("\\", "/").split("/")
        tails = ("/".join(pieces[first:]) for first in range(1, len(pieces)))
        here = next((tail for tail in tails if tail and self._found(tail)[0]), "")
        return f"`{shortened(here)}` exists; write that" if here else ""


def _forms(written: str) -> Iterator[tuple[str, str]]:
    """Yield what `written` may mean, and how it is taken then."""
    yield written, ""
    text, ways = written, []
    if "\\" in text:
        text = text.replace("\\", "/")
        ways.append("with slashes instead of backslashes")
        yield text, " and ".join(ways)
    if re.search("%[0-9A-Fa-f]{2}", text):
        text = unquote(text)
        ways.append("with percent-encoding decoded")
        yield text, " and ".join(ways)
    if text.startswith("~"):
        yield os.path.expanduser(text), " and ".join([*ways, "with the home folder expanded"])
