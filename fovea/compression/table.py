"""What each step of a chain has made of a network: the rows of the table, as JSON in a card and as text for a person.

Works without PyTorch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fovea import tasks
from fovea.errors import UsageError
from fovea.fields import is_number, is_whole
from fovea.tasks.score import Metric

SECTION = "shrunk"
"""Of a card: where the table stands."""
BATCHES = (1, 16)
"""Inputs of a pass that are timed."""
UNKNOWN = "-"
AS_GIVEN = "as given"
"""Stands for a step in the row of the network before the first."""
OWN, OTHER = "PyTorch", "onnxruntime"
"""What is timed: the network in the model file, or one that was written beside it."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one pass takes."""

    median_s: float
    p10_s: float
    """A tenth of the passes took at most this."""
    p90_s: float
    """Nine tenths took at most this."""
    passes: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """A network after one step."""

    step: str
    """As it was asked for, `prune=0.5`."""
    split: str
    """The part of the data that the score is of: `val`."""
    images: int
    """How many samples of it."""
    metric: str
    """The name of the task's score."""
    score: float
    interval: tuple[float, float] | None
    """Where the true score lies with 95 % confidence."""
    drop: float
    """What is lost against the first row: points of a share, of an error percent by which it grows."""
    parameters: int
    nonzero: int
    """Of the parameters."""
    macs: int | None
    """Multiply-adds of one input; None if not all are counted."""
    file_bytes: int
    """Of the whole file."""
    tensor_bytes: int
    """Of it, those of tensors."""
    latency: Mapping[int, Timing]
    """By the inputs of a pass."""
    runs: str
    """What was timed: `OWN` or `OTHER`."""
    threads: int
    seconds: float
    """What the step took."""
    notes: tuple[str, ...] = ()
    test: Mapping[str, Any] | None = None
    """`metric`, `interval` and `images` on the test split; the first and the last row have it."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        interval = {"interval": list(self.interval)} if self.interval else {}
        latency = {str(batch): asdict(timing) for batch, timing in self.latency.items()}
        return {**values, **interval, "latency": latency, "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Row":
        """Return the row that `to_dict` wrote. Raises: KeyError, TypeError, ValueError for something else."""
        latency = {int(batch): Timing(**timing) for batch, timing in values["latency"].items()}
        interval = tuple(values["interval"]) if values.get("interval") else None
        for name in ("score", "drop", "seconds"):
            _check(name, is_number(values[name]))
        for name in ("images", "parameters", "nonzero", "file_bytes", "tensor_bytes", "threads"):
            _check(name, is_whole(values[name]) and values[name] >= 0)
        _check("macs", values.get("macs") is None or is_whole(values["macs"]))
        for name in ("step", "split", "metric", "runs"):
            _check(name, isinstance(values[name], str))
        further = {"latency": latency, "interval": interval, "notes": tuple(values.get("notes", ()))}
        return cls(**{"macs": None, **values, **further})


def _check(name: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"`{name}` is of the wrong type")


class Table(NamedTuple):
    """Rows as text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]
    """What stands below."""


def table_of(rows: Sequence[Mapping[str, Any]], *, task: str) -> Table:
    """Return the rows of a card, perhaps written by strangers, as a person reads them; what is not known is a dash."""
    metric = tasks.kind(task).metric if task in tasks.names() else Metric("score", "score")
    rows = [row for row in rows if isinstance(row, Mapping)]
    splits = sorted({str(row.get("split")) for row in rows})
    score = f"{metric.title}, {' and '.join(splits)}"
    timed = tuple(f"ms for {batch}" for batch in BATCHES)
    columns = ("step", score, "drop", "parameters", "non-zero", "MACs", "file", *timed)
    return Table(columns, tuple(_cells(row, metric) for row in rows), tuple(_lines(rows, metric)))


def _cells(row: Mapping[str, Any], metric: Metric) -> tuple[str, ...]:
    latency = row.get("latency")
    timings = [latency.get(str(batch)) if isinstance(latency, Mapping) else None for batch in BATCHES]
    drop = row.get("drop")
    return (
        str(row.get("step", UNKNOWN)),
        _score(row, metric),
        f"{drop:+.2f}" if is_number(drop) else UNKNOWN,
        *(f"{row[key]:,}" if is_number(row.get(key)) else UNKNOWN for key in ("parameters", "nonzero")),
        scaled(row.get("macs")),
        f"{scaled(row.get('file_bytes'))}B" if is_number(row.get("file_bytes")) else UNKNOWN,
        *(_timing(timing) for timing in timings),
    )


def _score(row: Mapping[str, Any], metric: Metric) -> str:
    score, interval = row.get("score", row.get(metric.name)), row.get("interval")
    if not is_number(score):
        return UNKNOWN
    if not (isinstance(interval, Sequence) and len(interval) == 2 and all(map(is_number, interval))):
        return metric.text(score)
    low, high = (f"{metric.scale * end:.4g}" for end in interval)
    return f"{metric.text(score)} ({low} to {high})"


def _timing(timing: Any) -> str:
    keys = ("median_s", "p10_s", "p90_s")
    if not isinstance(timing, Mapping) or not all(is_number(timing.get(key)) for key in keys):
        return UNKNOWN
    median, low, high = (f"{1e3 * timing[key]:.3g}" for key in keys)
    return f"{median} ({low} to {high})"


def scaled(value: Any) -> str:
    """Return a count with three digits and its unit.

    >>> scaled(431_080), scaled(2_293_000), scaled(950), scaled(None)
    ('431 k', '2.29 M', '950 ', '-')
    """
    if not is_number(value):
        return UNKNOWN
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if value / size < 999.5 else f"{value / size:.0f} {unit}"
    return f"{value:.3g} "


def _lines(rows: Iterable[Mapping[str, Any]], metric: Metric) -> Iterable[str]:
    """Yield what stands below the table: scores on the test split, and the remarks of each step."""
    for row in rows:
        test = row.get("test")
        if isinstance(test, Mapping) and is_number(test.get("score")):
            images = f", {test['images']:,} samples" if is_number(test.get("images")) else ""
            yield f"test: {row.get('step')}: {metric.title} {_score(test, metric)}{images}"
    for row in rows:
        if row.get("runs") == OTHER:
            yield f"{row.get('step')}: timed in {OTHER}; the rows above in {OWN}"
        notes = row.get("notes")
        for note in notes if isinstance(notes, Sequence) and not isinstance(notes, str) else ():
            yield f"{row.get('step')}: {note}"


def rows_in(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows that a card holds, as JSON; none where it has none, or something else in their place."""
    section = card.get(SECTION)
    rows = section.get("rows") if isinstance(section, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def check_max_drop(max_drop: float | None) -> None:
    """Raise UsageError for a loss that cannot be allowed."""
    if max_drop is not None and not (is_number(max_drop) and 0 <= max_drop <= 100):
        raise UsageError(f"`--max-drop` (={max_drop}) must be points from 0 to 100.")
