"""`fovea models`: the networks of the zoo, with what their papers say of them."""

from fnmatch import fnmatchcase
from pathlib import Path

from fovea import registry
from fovea.errors import UsageError, unknown
from fovea.registry import Entry
from fovea.storage import picture_path
from fovea.texts import parse_count, parse_years
from fovea.zoo import families


def models(
    pattern: str = "*",
    *,
    year: int | str | None = None,
    max_params: float | str | None = None,
    max_macs: float | str | None = None,
    answers: str | None = None,
    plot: str | Path | None = None,
    tree: bool = False,
) -> list[Entry]:
    """Return the entries of the networks that match `pattern`, by year.

    `pattern` is the name of a network, also its name in torchvision or timm, a substring such as `resnet` in any case,
    or a pattern for whole names with the wildcards * and ?. `year` is a year or a span such as `2014-2016` or `2017-`.
    `max_params` and `max_macs` are numbers, or text such as `5M`. `answers` is the kind of output: `classes`, `masks`,
    `boxes` or `points`. `plot` is a picture to write: accuracy against multiply-adds, and error by year; with `tree`
    it is the family tree of these networks, by year, as in `fovea.zoo.families.tree`.

    Raises:
        UsageError: a pattern that matches nothing, an option that cannot be read, or nothing to plot.
        StorageError: the picture cannot be written.
    """
    first, last = parse_years(year)
    most_params, most_macs = parse_count("max_params", max_params), parse_count("max_macs", max_macs)
    if answers is not None and answers not in registry.ANSWERS:
        raise unknown("answer", answers, registry.ANSWERS)
    entries = [
        entry
        for entry in map(registry.entry, _names(pattern))
        if first <= entry.year <= last
        and entry.params <= most_params
        and entry.macs <= most_macs
        and answers in (None, entry.answers)
    ]
    entries.sort(key=lambda entry: (entry.year, families.name_key(entry.name)))
    if plot is not None:
        _plot(entries, Path(plot), as_tree=tree)
    return entries


def _names(pattern: str) -> list[str]:
    if set(pattern) & set("*?["):
        return [name for name in registry.names() if fnmatchcase(name, pattern)]
    try:
        return [registry.resolve(pattern)]
    except UsageError:
        if found := [name for name in registry.names() if pattern.casefold() in name]:
            return found
        raise


def _plot(entries: list[Entry], path: Path, *, as_tree: bool) -> None:
    from fovea.drawing.complexity import complexity_figure
    from fovea.drawing.lineage import lineage_figure
    from fovea.drawing.saving import save_figure

    picture_path(path, option="plot")
    if as_tree:
        if not entries:
            raise UsageError("No network matches; use a broader pattern or wider limits.")
        save_figure(lineage_figure(families.tree(entries)), path)
        return
    if not any(entry.top1 is not None for entry in entries):
        raise UsageError(f"None of the {len(entries)} networks has a published ImageNet accuracy to plot.")
    save_figure(complexity_figure(entries), path)
