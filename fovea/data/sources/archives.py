"""Zip and tar archives of images, unpacked once into the cache."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from fovea import inputs
from fovea.data.labels import PART_NAMES
from fovea.data.sources.containers import open_member, opened_tar, opened_zip
from fovea.data.sources.folders import is_ignored, is_sample, subfolders
from fovea.errors import DataError, FoveaError, first_line
from fovea.preprocess.foreign import photograph
from fovea.storage import build_once

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
MAX_MEMBERS = 5_000_000
MAX_UNPACKED_BYTES = 1 << 40
ITS_OWN = (None, errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ)
"""Numbers of errors that come from an archive, not from the disk: of gzip, of a place before its start, of names."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much, where that is known."""


class Member(NamedTuple):
    """A file in an archive, or something that is none (a link, a device)."""

    name: str
    size_bytes: int
    is_file: bool
    open: Callable[[], IO[bytes] | None]
    position: int
    """Where in the archive it lies, in bytes; of a tar, about."""


def unpack(archive: Path, *, progress: Progress | None = None) -> Path:
    """Return a folder with the images and manifests of a zip or tar archive, unpacked on the first call only.

    A single folder around everything is stepped into.

    Raises: DataError for a damaged archive, for links, for paths that lead outside, and for more members or bytes than
    the bounds (`MAX_MEMBERS`; `MAX_UNPACKED_BYTES` or nine tenths of the free space).
    """
    fill = partial(_extract, archive, progress=progress)
    return _step_into(build_once("archives", [archive], name=stem(archive), build=fill))


def stem(path: Path) -> str:
    """Return the file name without its suffix, `.tar.gz` and the like taken as one."""
    name = path.name
    for suffix in (*ZIP_SUFFIXES, *TAR_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem


def members(archive: Path) -> Iterator[Member]:
    """Yield the contents of an archive except folders, in its order; each must be read before the next is asked for."""
    return _zip_members(archive) if archive.name.lower().endswith(ZIP_SUFFIXES) else _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[Member]:
    with opened_zip(archive) as opened:
        for info in opened.infolist():
            if not info.filename.endswith("/"):  # `is_dir` fails where a name is empty
                # the upper half holds the Unix mode, where the archive was made on Unix
                is_file = not stat.S_ISLNK(info.external_attr >> 16)
                opening = partial(open_member, opened, info)
                yield Member(info.filename, info.file_size, is_file, opening, info.header_offset)


def _tar_members(archive: Path) -> Iterator[Member]:
    with opened_tar(archive) as (opened, stream):
        while (info := opened.next()) is not None:
            opened.members.clear()  # type: ignore[attr-defined]  # it would keep a record of every member
            if not info.isdir():
                yield Member(info.name, info.size, info.isfile(), partial(opened.extractfile, info), stream.tell())


def _extract(archive: Path, target: Path, *, progress: Progress | None) -> None:
    budget = min(MAX_UNPACKED_BYTES, shutil.disk_usage(target).free * 9 // 10)
    try:
        unpacked_bytes = 0
        for count, member in enumerate(members(archive), 1):
            # as declared, and more than that neither library reads of a member
            unpacked_bytes += member.size_bytes
            if count > MAX_MEMBERS or unpacked_bytes > budget:
                raise DataError(
                    f"`{archive}` contains more than {MAX_MEMBERS} files or {budget} bytes (the free space); unpack "
                    "it yourself and give the folder."
                )
            _extract_member(member, target, archive)
            if progress:
                progress(f"unpacking {archive.name}", member.position, archive.stat().st_size)
    except FoveaError:
        raise
    except Exception as error:  # a damaged archive: its library raises whatever it meets
        if isinstance(error, OSError) and error.errno not in ITS_OWN:
            raise
        reason = getattr(error, "strerror", None) or first_line(error).rstrip(".")
        raise DataError(f"`{archive}` cannot be unpacked: {reason}.") from error


def _extract_member(member: Member, target: Path, archive: Path) -> None:
    path = PurePosixPath(member.name.replace("\\", "/"))
    # before anything is ignored: an archive that tries this is refused as a whole. `C:` is a drive of Windows
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", member.name) or "\0" in member.name:
        raise DataError(f"`{archive}` is refused: its member `{member.name}` would be written outside the folder.")
    if any(is_ignored(piece) for piece in path.parts):
        return
    if not member.is_file:
        raise DataError(
            f"`{archive}` is refused: its member `{member.name}` is a link or device. "
            "If you trust it, unpack it yourself and give the folder."
        )
    source = member.open() if _is_wanted(path.name) else None
    if source is not None:
        _write(source, target / path, archive)


def _is_wanted(name: str) -> bool:
    """Tell whether a member is kept: samples, their manifests, and photographs that are named as not read."""
    kinds = inputs.kinds().values()
    sample = any(is_sample(name, kind) for kind in kinds)
    return sample or name.lower().endswith(".csv") or photograph(name) is not None


def _write(source: IO[bytes], path: Path, archive: Path) -> None:
    with source:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sink = path.open("xb")  # x: not over what an earlier member has written
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(f"`{archive}` is refused: it contains `{path.name}` twice.") from error
        with sink:
            shutil.copyfileobj(source, sink, 1 << 20)


def _step_into(folder: Path) -> Path:
    # a lone `train` is a part, no wrapping
    inner = os.listdir(folder)
    while len(inner) == 1 and subfolders(folder) and inner[0].lower() not in PART_NAMES:
        folder /= inner[0]
        inner = os.listdir(folder)
    return folder
