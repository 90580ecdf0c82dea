"""Where a picture or a page may go, looked at before any work."""

from collections.abc import Collection
from pathlib import Path

from fovea.errors import UsageError

PICTURES = (".png", ".jpg", ".pdf", ".svg")


def picture_path(place: str | Path, *, option: str = "out", suffixes: Collection[str] = PICTURES) -> Path:
    """Return the path of a picture that can be written in the format of its suffix.

    Raises: UsageError where the suffix is another, or there is no such folder.
    """
    path = Path(place)
    if path.suffix.lower() not in suffixes:
        *others, last = suffixes
        raise UsageError(f"`{option}` (={path}) must end in {', '.join(others)} or {last}.")
    return page_path(path, option=option)


def page_path(place: str | Path, *, option: str) -> Path:
    """Return the path of a file in a folder that is there; UsageError where it is not."""
    path = Path(place)
    if path.is_dir():
        raise UsageError(f"`{option}` (={path}) is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise UsageError(f"`{option}` (={path}): there is no folder `{path.parent}`; make it first.")
    return path
