"""What an evaluation has found: the figures of one network on one part of one data set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fovea import tasks
from fovea.data.dataset import BadFile
from fovea.evaluation.instances import InstanceScores
from fovea.evaluation.persons import PersonScores
from fovea.evaluation.robustness import Robustness
from fovea.evaluation.slices import Slices
from fovea.inputs.views import PLAIN, Protocol
from fovea.notebook import Cells, Tabular
from fovea.tasks.figures import Figures
from fovea.tasks.score import Metric

SHARES = ("precision", "recall", "f1", "ap", "ap50", "auc", "iou", "dice", "boundary_f1", "error", "pck")
"""Figures of a class, label or point that lie from 0 to 1."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Tabular):
    """The figures of one network on one part of one data set.

    Those of the task are attributes too: of classes `accuracy`, `interval`, `top5`, `nll`, `ece`, `per_class`,
    `confusion`, ... (`ClassFigures`), of numbers `mae`, `rmse` and `r2`, of several labels `map`, `f1_micro`, ...
    (`LabelFigures`), of grades also `mae` and `kappa` (`GradeFigures`). Those of another task are None.
    """

    data: str
    split: str
    """`train`, `val`, `test`, or `whole` for all parts together."""
    images: int
    """How many samples, whatever their kind."""
    figures: Figures
    """What the task finds."""
    protocol: Protocol = PLAIN
    """Which views of each image were averaged."""
    slices: Slices | None = None
    """The score per value of a column of the manifest, where asked for."""
    robustness: Robustness | None = None
    """The score on disturbed images, where asked for."""
    instances: InstanceScores | None = None
    """How well single objects of masks are found, where the data has them or it was asked for."""
    persons: PersonScores | None = None
    """How well objects are found by their points, where the data knows how large they are."""
    min_accuracy: float | None = None
    """What was asked for."""
    min_scores: Mapping[str, float] = field(default_factory=dict)
    """What was asked of other scores: of errors the most, of the others the least."""
    scores: tuple[Metric, ...] = ()
    """Those of the task, of which that may be asked."""
    notes: tuple[str, ...] = ()
    bad_files: tuple[BadFile, ...] = ()
    nouns: str = "images"
    """What the samples are called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "figures":
            raise AttributeError(name)
        if hasattr(self.figures, name):
            return getattr(self.figures, name)
        if any(name in tasks.kind(kind).figure_names for kind in tasks.names()):
            return None
        raise AttributeError(f"an evaluation has no `{name}`")

    @property
    def passed(self) -> bool:
        """Whether all scores are as good as what was asked for."""
        return not self.shortfalls

    @property
    def shortfalls(self) -> list[str]:
        """A line for each score that is worse than what was asked for, or not defined."""
        found = []
        if self.min_accuracy is not None and self.accuracy < self.min_accuracy:
            found.append(f"accuracy {self.accuracy:.4f} is below --min-accuracy {self.min_accuracy}")
        metrics = {metric.name: metric for metric in self.scores}
        for name, least in self.min_scores.items():
            value, asked = getattr(self, name), f"--min-score {name}={least:.12g}"
            if value is None:
                found.append(f"{name} is undefined for these {self.nouns}, so {asked} fails")
            elif not metrics[name].reaches(value, least):
                found.append(f"{name} {_short_of(value, metrics[name], least)} is worse than {asked}")
        return found

    def summary(self) -> list[str]:
        """Return lines for the terminal: the result and its part, what the task says of it, slices and robustness."""
        counted = f"{self.split} of {self.data}, {self.images:,} {self.nouns}"
        where = ", ".join(filter(None, (counted, self.protocol.text)))
        return [
            *self.figures.lines(where),
            *(self.instances.summary() if self.instances else ()),
            *(self.persons.summary() if self.persons else ()),
            *(self.slices.summary() if self.slices else ()),
            *(self.robustness.summary() if self.robustness else ()),
        ]

    @property
    def headline(self) -> str:
        """The most important figure, its interval, and what it was measured on."""
        title, value, _ = self.figures.tiles[0]
        interval = f", {self.figures.interval_text}" if self.figures.interval_text else ""
        return f"{title} {value}{interval}, {self.split} of {self.data}, {self.images:,} {self.nouns}"

    def cells(self) -> Cells:
        """Return the figures of each class, label or point; of a task without these the figures of all samples."""
        found = self.figures.to_dict()
        single = found.get("per_class") or found.get("per_label") or found.get("per_point")
        if single is None:
            return Cells(columns=("figure", "value", "remark"), rows=self.figures.tiles, notes=self.notes)
        records = [{"name": name, **scores} for name, scores in single.items()]
        others = [f"{title} {value}{remark and f' ({remark})'}" for title, value, remark in self.figures.tiles[1:]]
        return Cells.of(records, shares=SHARES, notes=(*others, *self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures that apply as JSON values."""
        further: Mapping[str, Slices | Robustness | InstanceScores | PersonScores | None] = {
            **{
                "instances": self.instances,
                "persons": self.persons,
                "slices": self.slices,
                "robustness": self.robustness,
            }
        }
        return {
            **{"data": self.data, "split": self.split, "images": self.images},
            **self.figures.to_dict(),
            "protocol": {**asdict(self.protocol), "views": self.protocol.views, "text": self.protocol.text},
            **{name: found.to_dict() for name, found in further.items() if found is not None},
            **({} if self.min_accuracy is None else {"min_accuracy": self.min_accuracy}),
            **({"min_scores": dict(self.min_scores)} if self.min_scores else {}),
            "notes": self.notes,
            "bad_files": [bad._asdict() for bad in self.bad_files],
            "passed": self.passed,
        }


def _short_of(value: float, metric: Metric, least: float) -> str:
    """Return a value that is worse than `least` with four decimals, or all where that would look as good."""
    rounded = f"{value:.4f}"
    return repr(value) if metric.reaches(float(rounded), least) else rounded
