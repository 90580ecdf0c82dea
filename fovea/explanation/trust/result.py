"""What `fovea trust` found: a row for each method, as a table and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fovea.explanation.attribution.registry import Method
from fovea.explanation.trust.badge import FORMAT, Badge
from fovea.explanation.trust.curves import Areas, Curves
from fovea.explanation.trust.planted import Found
from fovea.explanation.trust.sanity import Sanity
from fovea.explanation.trust.table import Located, Trust
from fovea.texts import percent

RIVALS = {"random": "random map", "centre": "centre Gaussian"}
"""Maps that do not depend on the network, and their names."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method: its figures, or why it does not go with the network."""

    method: Method
    trust: Trust | None = None
    cue: Found | None = None
    """None if it was not planted."""
    reason: str = ""
    """Why there are no figures."""

    @property
    def badge(self) -> Badge:
        """Which checks it passed."""
        if self.trust is None:
            return Badge()
        mine, rivals = self.trust.areas.insertion.mean(), (self.trust.random, self.trust.centre)
        return Badge(
            sanity=None if self.trust.sanity is None else self.trust.sanity.passed,
            insertion=all(bool(mine > rival.insertion.mean()) for rival in rivals),
            cue=None if self.cue is None else self.cue.found,
        )

    @property
    def verdict(self) -> str:
        """Return `pass`, what it fails, or that it does not apply."""
        if self.trust is None:
            return "does not apply"
        missed = ["cue"] if self.cue is not None and not self.cue.found else []
        faults = ", ".join([*self.trust.faults, *missed])
        return f"fails {faults}" if faults else "pass"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        if self.trust is None:
            return {"reason": self.reason}
        trust, sanity, cue = self.trust, self.trust.sanity, self.cue
        return {
            **_rival(trust.areas, trust.located),
            "better_than": {name: trust.better_than(getattr(trust, name)) for name in RIVALS},
            **({} if sanity is None else {"sanity": _sanity_values(sanity)}),
            **({} if cue is None else {"cue": asdict(cue) | {"found": cue.found}}),
            "seconds": trust.seconds,
            "verdict": self.verdict,
            "checks": self.badge.checks,
        }


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """Rows of methods that explained the same images, and what these are compared with."""

    model: str
    """The name of the model file."""
    sha256: str
    """Of the model file; empty if the network came from none."""
    data: str
    split: str
    images: Sequence[str]
    """Their names."""
    answers: Sequence[str]
    """What is explained of each: what the network says."""
    followed: str
    """What insertion and deletion follow."""
    layer: str
    """Whose map is weighed."""
    rows: Sequence[Row]
    rivals: Mapping[str, tuple[Areas, Located | None]]
    """By the names of `RIVALS`."""
    accuracy: float | None
    """Of the network that learned the planted cue; None if none was planted."""
    notes: Sequence[str]

    @property
    def boxed(self) -> int:
        """How many of the images have a box."""
        return next((located.images for _, located in self.rivals.values() if located is not None), 0)

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The columns that apply, and the rows, as a person reads them."""
        each = [*(_rival_cells(RIVALS[name], *found) for name, found in self.rivals.items()), *map(_cells, self.rows)]
        columns = [column for column in COLUMNS if any(column in cells for cells in each)]
        return columns, [[cells.get(column, "") for column in columns] for cells in each]

    @property
    def reasons(self) -> Iterator[str]:
        """Why methods do not apply, a line each."""
        yield from (f"{row.method.name} does not apply: {row.reason}" for row in self.rows if row.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        given = {name: getattr(self, name) for name in ("data", "split", "followed", "layer")}
        accuracy = {} if self.accuracy is None else {"planted_accuracy": self.accuracy}
        return {
            "format": FORMAT,
            "model": {"file": self.model, "sha256": self.sha256},
            **given,
            "images": [
                {"image": name, "answer": answer} for name, answer in zip(self.images, self.answers, strict=True)
            ],
            **accuracy,
            "rivals": {name: _rival(*found) for name, found in self.rivals.items()},
            "methods": {row.method.name: row.to_dict() for row in self.rows},
            "notes": list(self.notes),
        }


COLUMNS = (
    *("method", "insertion", "deletion", "above random", "above centre", "sanity"),
    *("pointing", "energy", "cue lift", "cue pointing", "s/image", "verdict"),
)


def _cells(row: Row) -> dict[str, str]:
    if row.trust is None:
        return {"method": row.method.name, "verdict": row.verdict}
    trust, cue = row.trust, row.cue
    images = len(trust.areas.gain)
    above = {f"above {name}": trust.better_than(getattr(trust, name)) for name in RIVALS}
    return {
        **_rival_cells(row.method.name, trust.areas, trust.located),
        **{column: f"{round(share * images)} of {images}" for column, share in above.items()},
        **({} if trust.sanity is None else {"sanity": _sanity_text(trust.sanity)}),
        **({} if cue is None else {"cue lift": f"{cue.lift:.1f}", "cue pointing": percent(cue.pointing, 0)}),
        "s/image": f"{trust.seconds:.2g}",
        "verdict": row.verdict,
    }


def _rival_cells(name: str, areas: Areas, located: Located | None) -> dict[str, str]:
    where = {} if located is None else {name: percent(getattr(located, name), 0) for name in ("pointing", "energy")}
    return {
        "method": name,
        "insertion": f"{float(areas.insertion.mean()):.3f}",
        "deletion": f"{float(areas.deletion.mean()):.3f}",
        **where,
    }


def _sanity_text(sanity: Sanity) -> str:
    last = sanity.steps[-1]
    return f"{'pass' if sanity.passed else 'FAIL'} ({last.correlation:.2f}, {last.similarity:.2f})"


def _areas(areas: Areas) -> dict[str, Any]:
    curves = {"insertion": areas.came, "deletion": areas.went}
    return {
        "insertion": float(areas.insertion.mean()),
        "deletion": float(areas.deletion.mean()),
        "curves": {name: mean_curve(curve) for name, curve in curves.items() if curve is not None},
    }


def _rival(areas: Areas, located: Located | None) -> dict[str, Any]:
    return _areas(areas) | ({} if located is None else {"boxes": asdict(located)})


def mean_curve(curve: Curves) -> list[tuple[float, float]]:
    """Return the points of the mean of curves, (N, S + 1) float32: the share of the pixels, and the objective."""
    return [*zip(curve.shares.tolist(), curve.values.mean(0).tolist(), strict=True)]


def _sanity_values(sanity: Sanity) -> dict[str, Any]:
    return {"passed": sanity.passed, "reason": sanity.reason, "steps": [asdict(step) for step in sanity.steps]}
