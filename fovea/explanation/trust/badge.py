"""What pages of explanations say of a method: which checks it passed on this very network.

`fovea trust` writes its result as `NAME-trust.json`; that is read here, and nothing in it is taken for granted.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fovea.card import json_object
from fovea.data.sources.download import checksum_of
from fovea.errors import BundleError, DataError, FoveaError, StorageError, UsageError, unreadable
from fovea.explanation.attribution.methods import METHODS
from fovea.fields import Fields
from fovea.files import is_file, no_file, open_regular

FORMAT = 1
MAX_BYTES = 4_000_000
"""A genuine result has some kilobytes per method."""

WORDS = {
    "sanity": ("passes the sanity check", "fails the sanity check"),
    "insertion": ("insertion better than random and centre", "insertion not better than random and centre"),
    "cue": ("finds the planted cue", "misses the planted cue"),
}


class Badge(NamedTuple):
    """Whether a method passed each check; None if that was not made."""

    sanity: bool | None = None
    insertion: bool | None = None
    cue: bool | None = None

    @property
    def checks(self) -> dict[str, bool]:
        """Those that were made, by name, as JSON values."""
        return {name: passed for name, passed in self._asdict().items() if passed is not None}

    @property
    def said(self) -> list[tuple[str, bool]]:
        """The text for each, and whether it supports the method."""
        return [(WORDS[name][not passed], passed) for name, passed in self.checks.items()]


Badges = dict[str, Badge]
"""By the name of the method."""


def result_name(model: Path) -> str:
    """Return what the result for a model file is called."""
    return f"{model.stem}-trust.json"


def read_badges(file: Path, model: Path) -> Badges:
    """Return the badges that a result of `fovea trust` holds for the file `model`.

    Raises:
        UsageError: there is no such file, or it is the result for another model file.
        DataError: it is not a result of `fovea trust`.
        StorageError: it cannot be read.
    """
    result = _fields(file)
    result.whole("format", least=FORMAT, most=FORMAT)
    if result.table("model").text("sha256") != _digest(model):
        raise UsageError(f"`{file}` belongs to another model file than `{model.name}`; run `fovea trust` again.")
    methods = result.table("methods")
    entries = {name: methods.table(name) for name in methods.values if name in METHODS}
    applying = {name: entry.table("checks") for name, entry in entries.items() if "reason" not in entry.values}
    return {name: _badge(checks) for name, checks in applying.items()}


def find_badges(model: Path, folders: Iterable[Path]) -> tuple[Badges, list[str]]:
    """Return the badges of the first result for `model` in one of the `folders`, none where there is none.

    Also returned is what to say of the results that lie there, a line each.
    """
    remarks = list[str]()
    places = (folder / result_name(model) for folder in folders)
    for file in dict.fromkeys(place.absolute() for place in places if is_file(place)):
        try:
            return read_badges(file, model), [*remarks, f"badges from {file.name}"]
        except FoveaError as error:
            remarks.append(f"not used: {error}")
    return {}, remarks


def _badge(checks: Fields) -> Badge:
    return Badge(**{name: checks.switch(name) for name in WORDS if name in checks.values})


def _fields(file: Path) -> Fields:
    if reason := no_file(file):
        raise UsageError(f"`trust` (={file}): {reason}; give the JSON that `fovea trust` wrote.")
    try:
        with open_regular(file) as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise unreadable(file, error) from error
    if len(text) > MAX_BYTES:
        raise DataError(f"`{file.name}` has more than {MAX_BYTES:,} bytes, the limit for a result of `fovea trust`.")
    try:
        values: dict[str, Any] = json_object(text, file.name, what="content")
    except BundleError as error:
        raise DataError(str(error)) from error
    return Fields(values, lambda wrong: DataError(f"`{file.name}` is not a result of `fovea trust`: {wrong}."))


def _digest(model: Path) -> str:
    try:
        return checksum_of(model, "sha256").partition(":")[2]
    except OSError as error:
        raise unreadable(model, error) from error
