"""`fovea models`: the networks of the zoo, with what their papers say of them."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.errors import UsageError
from fovea.registry import Entry
from fovea.storage import picture_path

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
FOREVER = 10**4


def models(
    pattern: str = "*",
    *,
    year: int | str | None = None,
    max_params: float | str | None = None,
    max_macs: float | str | None = None,
    plot: str | Path | None = None,
) -> list[Entry]:
    """Return the entries of the networks whose names match `pattern`, in which * and ? stand for anything, by year.

    `year` is one, or a span as `2014-2016`, `2017-`; `max_params` and `max_macs` are numbers, or text as `5M`. `plot`
    is the picture to write: accuracy against multiply-adds, and error by year.

    Raises:
        UsageError: a name without * and ? that does not exist, an option that cannot be read, nothing to plot.
        StorageError: the picture cannot be written.
    """
    first, last = _span(year)
    most_params, most_macs = _count("max_params", max_params), _count("max_macs", max_macs)
    entries = [
        entry
        for entry in map(registry.entry, _names(pattern))
        if first <= entry.year <= last and entry.params <= most_params and entry.macs <= most_macs
    ]
    entries.sort(key=lambda entry: (entry.year, entry.name))
    if plot is not None:
        _plot(entries, Path(plot))
    return entries


def _names(pattern: str) -> list[str]:
    if not set(pattern) & set("*?["):
        return [registry.resolve(pattern)]
    return [name for name in registry.names() if fnmatchcase(name, pattern)]


def _span(year: int | str | None) -> tuple[int, int]:
    """Return the first and the last year.

    >>> _span("2014-2016"), _span(2017), _span("2017-")
    ((2014, 2016), (2017, 2017), (2017, 10000))
    """
    match = re.fullmatch(r"(\d{4})?(-)?(\d{4})?", "-" if year is None else str(year).strip())
    if match is None or (match[1] and match[3] and not match[2]) or not any(match.groups()):
        raise UsageError(f"`year` (={year}) must be a year or a span of years: 2015, 2014-2016, 2017- or -2012.")
    first = int(match[1] or 0)
    last = int(match[3] or (FOREVER if match[2] else first))
    if last < first:
        raise UsageError(f"`year` (={year}) ends before it begins; write the earlier year first: {last}-{first}.")
    return first, last


def _count(name: str, value: float | str | None) -> float:
    """Return a number given as such, or as `5M`, `300k`, `1.5G`.

    >>> _count("max_params", "5M")
    5000000.0
    """
    match = re.fullmatch(r"(\d+\.?\d*(?:e\d+)?)\s*([kmgb]?)", "1e99" if value is None else str(value).strip().lower())
    if match is None:
        raise UsageError(f"`{name}` (={value}) must be a number, as 4000000, 5M or 1.5G.")
    return float(match[1]) * UNITS[match[2]]


def _plot(entries: list[Entry], path: Path) -> None:
    from fovea.drawing.complexity import complexity_figure
    from fovea.drawing.saving import save_figure

    picture_path(path, option="plot")
    if not any(entry.top1 is not None for entry in entries):
        raise UsageError(f"None of the {len(entries)} networks has a published accuracy on ImageNet to plot.")
    save_figure(complexity_figure(entries), path)
