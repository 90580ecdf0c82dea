"""Trainings side by side; runs that differ in nothing but their seed are one group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from fovea.metrics import paired_interval
from fovea.notebook import Cells, Tabular
from fovea.report.compare import Table
from fovea.runs.summary import RunSummary
from fovea.tasks.score import Metric
from fovea.tasks.task import Task

SPLITS = ("test", "val")
"""Parts by which groups are compared: the first that both have a result on."""
LIMITS = {"training.epochs": "by budget", "training.budget_s": "none"}
"""What 0 means in fields of a recipe that say how long a run is."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over the runs of a group."""

    mean: float
    deviation: float | None
    """Standard deviation with n - 1; None for one run."""
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return mean and standard deviation of one value or more."""
        return cls(mean=fmean(values), deviation=stdev(values) if len(values) > 1 else None, runs=len(values))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ in nothing but their seed, and where and how fast they ran."""

    name: str
    """The folder of the first run."""
    runs: tuple[RunSummary, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run."""
        return tuple(run.seed for run in self.runs)

    def figures(self, split: str) -> dict[int, float]:
        """Return the metric on a split by seed, of the runs that have one."""
        found = ((run.seed, run.results.get(split)) for run in self.runs)
        return {seed: float(result[self.metric.name]) for seed, result in found if result}

    @property
    def kind(self) -> type[Task]:
        """The kind of target."""
        return self.runs[0].kind

    @property
    def metric(self) -> Metric:
        """What the runs are measured by."""
        return self.kind.metric

    def spread(self, name: str) -> Spread:
        """Return mean and deviation of `seconds`, `pflop` or `epochs`."""
        return Spread.of([getattr(run, name) for run in self.runs])

    def to_dict(self) -> dict[str, Any]:
        """Return the group as JSON values."""
        results = {split: figures for split in SPLITS if (figures := self.figures(split))}
        return {
            "name": self.name,
            "network": self.runs[0].network,
            "data": self.runs[0].data,
            "parameters": self.runs[0].parameters,
            "metric": self.metric.name,
            "results": {split: asdict(Spread.of(list(figures.values()))) for split, figures in results.items()},
            **{name: asdict(self.spread(name)) for name in ("epochs", "seconds", "pflop")},
            "runs": [run.to_dict() for run in self.runs],
        }


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better or worse a group is than the first one."""

    group: str
    baseline: str
    split: str
    metric: Metric
    difference: float
    """Of the means, or of the pairs that the interval is over: `group` minus `baseline`."""
    interval: tuple[float, float] | None
    """Where the true difference lies with 95 % confidence."""
    method: str
    """What the interval is over, or why there is none."""

    @property
    def text(self) -> str:
        """The difference as a sentence."""
        ends = () if self.interval is None else (f"{self.metric.scale * end:+.3g}" for end in self.interval)
        interval = f"95 % interval {' to '.join(ends)}, " if self.interval else ""
        return (
            f"{self.group} against {self.baseline}: {self.metric.title} on {self.split} "
            f"{self.metric.difference(self.difference)} ({interval}{self.method})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "metric": self.metric.name, "text": self.text}


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Tabular):
    """Groups of runs, how they differ in what was done and in what came of it."""

    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    """Each later group against the first."""
    settings: Mapping[str, tuple[Any, ...]]
    """What differs in the recipes: the value in each group, None where it has none."""
    notes: tuple[str, ...]

    @property
    def table(self) -> Table:
        """The groups with their figures, as text."""
        splits = [split for split in SPLITS if any(group.figures(split) for group in self.groups)]
        metrics = [f"{self.groups[0].metric.title} on {split}" for split in splits]
        columns = ("run", "network", "seeds", *metrics, "parameters", "epochs", "seconds", "PFLOP")
        return Table(columns, [_row(group, splits) for group in self.groups])

    @property
    def headline(self) -> str:
        """How many runs there are, in how many groups."""
        runs = sum(len(group.runs) for group in self.groups)
        names = ", ".join(group.name for group in self.groups)
        return f"{runs} run{'s' * (runs != 1)} in {len(self.groups)} group{'s' * (len(self.groups) != 1)}: {names}"

    def cells(self) -> Cells:
        """Return the groups with their figures, and their differences below."""
        columns, rows = self.table
        return Cells(columns=columns, rows=rows, notes=(*(found.text for found in self.differences), *self.notes))

    def records(self) -> list[dict[str, Any]]:
        """Return a row per run, numbers as they are."""
        return [
            {
                "group": group.name,
                "run": run.folder.name,
                "network": run.network,
                "seed": run.seed,
                **{f"{group.metric.name}_{split}": group.figures(split).get(run.seed) for split in SPLITS},
                **{name: getattr(run, name) for name in ("parameters", "epochs", "seconds", "pflop")},
            }
            for group in self.groups
            for run in group.runs
        ]

    @property
    def settings_table(self) -> Table:
        """What differs in the recipes, as text, a column per group."""
        rows = [(name, *(_setting(name, value) for value in values)) for name, values in self.settings.items()]
        return Table(("setting", *(group.name for group in self.groups)), rows)

    @property
    def page_values(self) -> dict[str, Any]:
        """What a page shows of it beside its JSON values."""
        return {
            "tables": [self.table, self.settings_table],
            "sentences": [difference.text for difference in self.differences],
            "histories": [[run.history for run in group.runs] for group in self.groups],
            "kind": self.groups[0].kind,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all as JSON values."""
        return {
            "groups": [group.to_dict() for group in self.groups],
            "differences": [found.to_dict() for found in self.differences],
            "settings": {name: list(values) for name, values in self.settings.items()},
            "notes": list(self.notes),
        }


def compared(runs: Sequence[RunSummary]) -> Comparison:
    """Return these trainings grouped by recipe, each group compared with that of the first."""
    groups = _grouped(runs)
    return Comparison(
        groups=groups,
        differences=tuple(found for other in groups[1:] if (found := _difference(groups[0], other)) is not None),
        settings=_settings(groups),
        notes=tuple(_notes(groups)),
    )


def _grouped(runs: Sequence[RunSummary]) -> tuple[Group, ...]:
    """Return the groups in the order of their first runs, the runs of each by seed."""
    found: list[list[RunSummary]] = []
    for run in runs:
        group = next((group for group in found if group[0].alike == run.alike), None)
        if group is None:
            found.append(group := [])
        group.append(run)
    names = _short_names([group[0].folder for group in found])
    return tuple(
        Group(name=name, runs=tuple(sorted(group, key=lambda run: run.seed)))
        for name, group in zip(names, found, strict=True)
    )


def _short_names(folders: Sequence[Path]) -> list[str]:
    """Return the last parts of each path, as many as it takes to tell them apart: a page names no place on a disk."""
    paths = [folder.resolve() for folder in folders]
    for parts in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [path.as_posix() for path in paths]


def _difference(baseline: Group, other: Group) -> Difference | None:
    """Return the difference on the first split that both have a result on; None where there is none to speak of."""
    first, second = baseline.runs[0], other.runs[0]
    if first.fingerprint != second.fingerprint or baseline.metric != other.metric:
        return None
    for split in SPLITS:
        same_images = split == "test" or first.val_fraction == second.val_fraction
        ours, theirs = baseline.figures(split), other.figures(split)
        if ours and theirs and same_images:
            difference, interval, method = _judged(baseline, other, split=split)
            return Difference(
                group=other.name,
                baseline=baseline.name,
                split=split,
                metric=other.metric,
                difference=difference,
                interval=interval,
                method=method,
            )
    return None


def _judged(baseline: Group, other: Group, *, split: str) -> tuple[float, tuple[float, float] | None, str]:
    """Return a difference, its interval, and what that is over."""
    ours, theirs = baseline.figures(split), other.figures(split)
    common = sorted(ours.keys() & theirs.keys())
    if len(common) > 1:
        pairs = [theirs[seed] - ours[seed] for seed in common]
        listed = ", ".join(map(str, common))
        return fmean(pairs), paired_interval(pairs), f"paired over {len(common)} common seeds: {listed}"
    difference = fmean(theirs.values()) - fmean(ours.values())
    interval = other.kind.difference_interval(_only_result(baseline, split), _only_result(other, split))
    if len(ours) > 1 or len(theirs) > 1 or interval is None:
        return difference, None, "no interval: that needs two seeds in common"
    method = "over the images, unpaired as predictions are not kept; one seed each does not show the spread over seeds"
    return difference, interval, method


def _only_result(group: Group, split: str) -> Mapping[str, Any]:
    """Return the first result that a run of the group has on a part."""
    return next(run.results[split] for run in group.runs if split in run.results)


def _settings(groups: Sequence[Group]) -> dict[str, tuple[Any, ...]]:
    """Return the settings in which groups differ, in the order of the recipes."""
    recipes = [group.runs[0].alike for group in groups]
    names = dict.fromkeys(name for recipe in recipes for name in recipe)
    values = {name: tuple(recipe.get(name) for recipe in recipes) for name in names}
    values = {name: row for name, row in values.items() if name != "data.fingerprint"}
    if not any(values.get("training.budget_s", ())):  # what was asked for stands in `budget_s`
        values.pop("training.budget_s", None)
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def _notes(groups: Sequence[Group]) -> Iterator[str]:
    """Yield what keeps figures from being comparable."""
    runs = [run for group in groups for run in group.runs]
    for name, group in ((group.name, group) for group in groups[1:]):
        if group.runs[0].fingerprint != groups[0].runs[0].fingerprint:
            yield f"{name} was trained on different data than {groups[0].name}: they are not compared"
    for group in groups:
        if len(set(group.seeds)) < len(group.runs):
            yield f"{group.name}: of several runs with the same seed, the last one counts"
    yield from (f"{run.folder.name} has no result: its training has not ended" for run in runs if not run.results)
    if len({result.get("flip", False) for run in runs for result in run.results.values()}) > 1:
        yield "some results are averages over each image and its mirror image (`test_flip`), others are not"
    places = sorted({f"{run.device}, {run.threads} threads" for run in runs})
    if len(places) > 1:
        yield f"times were taken under different conditions: {'; '.join(places)}"


def _row(group: Group, splits: Sequence[str]) -> tuple[str, ...]:
    scale, unit = group.metric.scale, group.metric.unit
    results = [_spread(list(group.figures(split).values()), scale=scale, unit=unit) for split in splits]
    costs = [_spread([getattr(run, name) for run in group.runs]) for name in ("epochs", "seconds", "pflop")]
    first = group.runs[0]
    return (group.name, first.network, ", ".join(map(str, group.seeds)), *results, f"{first.parameters:,}", *costs)


def _spread(values: Sequence[float], *, scale: float = 1, unit: str = "") -> str:
    """Return mean and standard deviation as text, the mean to as many digits as make sense."""
    if not values:
        return "-"
    found = Spread.of([scale * value for value in values])
    mean = f"{found.mean:.2f}" if unit else f"{found.mean:.4g}"
    return f"{mean}{unit}" + (f" ± {found.deviation:.2g}" if found.deviation else "")


def _setting(name: str, value: Any) -> str:
    if name in LIMITS and value == 0:
        return LIMITS[name]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "-" if value is None else str(value)
