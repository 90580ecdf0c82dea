"""Whether an exported graph computes what the network computes, on samples, before its file gets a name.

Logits are (N, K) float32, decoded rows (N, K') float64, stored samples (N, H, W, C) uint8 of images.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.exporting.assembly import input_name
from fovea.exporting.core import INPUT, LOGITS
from fovea.exporting.reference import ProofError, Reference
from fovea.exporting.session import Session
from fovea.exporting.settings import ExportSettings
from fovea.tasks.task import Task

TOLERANCE = {"float32": 1e-4, "float16": 0.1}
"""Largest difference of logits that is not a fault, as a share of how much logits vary from sample to sample."""
TIES = {"float32": 2e-4, "float16": 0.02}
"""A decision may change where it hangs on a difference of logits below this share."""
DECODING = 1e-5
"""Largest difference of decoded rows from those of the same logits, as a share of the largest row."""
ROUNDING = 4.0
"""A float32 graph may be so many times as far from the float64 result as the float32 network is."""
DIGITS = 4 * float(np.finfo(np.float32).eps)
"""Or off by so much of the largest logit: a few times the last digit of float32."""
MOST_ROUNDING = 0.05
"""But never further than this share of how much logits vary: then rounding decides, and nothing is proven."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How well an exported graph agrees with its network."""

    images: int
    """Samples, of whatever kind."""
    source: str
    """Where they are from."""
    largest_difference: float
    """Of logits."""
    scale: float
    """How much logits vary from sample to sample: the root of their mean squared deviation."""
    tolerance: float
    """The largest difference that is allowed."""
    changed_decisions: int
    """Of those that hang on next to nothing, as `TIES` says; any other would be a failure."""
    decisions: int
    """All that were compared; 0 where the task decides nothing."""
    rounding: dict[str, float] = field(default_factory=dict)
    """Distances of graph and network from float64, where float32 itself is further off than the usual tolerance."""
    sizes: list[list[int]] = field(default_factory=list)
    """Further (H, W) at which the same was found."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value not in ({}, [])}

    @property
    def line(self) -> str:
        """The proof as a person reads it."""
        share = self.largest_difference / self.scale
        decided = f", {self.changed_decisions} of {self.decisions:,} decisions changed" if self.decisions else ""
        sizes = "".join(f", also at {H} x {W}" for H, W in self.sizes)
        rounded = ""
        if self.rounding:
            rounded = " (rounding: from float64 the graph is {graph:.1g} off, the network {network:.1g})".format(
                **self.rounding
            )
        return (
            f"{self.images} {self.source}{sizes}: logits differ by at most {self.largest_difference:.2g}, "
            f"{share:.1e} of their scale{rounded}{decided}"
        )


def prove(content: bytes, reference: Reference, settings: ExportSettings) -> Proof:
    """Return how well the exported graph `content` agrees with the network in ONNX Runtime.

    Raises:
        ProofError: it does not, or it does not run.
    """
    stored, preprocess = reference.samples.stored, reference.bundle.preprocess
    name, values = (INPUT, preprocess.normalise(stored)) if settings.raw else (input_name(preprocess), stored)
    return agreement(Session(content).run(name, values), reference, precision=settings.precision)


def agreement(outputs: Mapping[str, NDArray[Any]], reference: Reference, *, precision: str = "float32") -> Proof:
    """Return how well outputs by name, `logits` and perhaps decoded rows, agree with the network.

    Raises:
        ProofError: they do not.
    """
    logits = torch.from_numpy(outputs[LOGITS])
    allowed = TOLERANCE[precision] * reference.scale
    difference = _largest(logits - reference.logits)
    rounding: dict[str, float] = {}
    if not difference <= allowed and precision == "float32":
        rounding, allowed = _rounding(logits, reference, allowed)
    if not rounding.get("graph", difference) <= allowed:  # so that what is no number fails, too
        raise ProofError(
            f"The exported graph differs from the network by {difference:.2g} on {len(logits)} "
            f"{reference.samples.source}; the limit is {allowed:.2g}, for logits that vary by "
            f"{reference.scale:.2g}. No file is written."
        )
    target = reference.bundle.target
    if target.row_name in outputs:
        check_rows(outputs[target.row_name], logits, target)
    ties = max(TIES[precision] * reference.scale, 2 * rounding.get("graph", 0.0))
    changed, decided = _changed(target, logits, reference.logits, within=ties)
    return Proof(
        images=len(logits),
        source=reference.samples.source,
        largest_difference=difference,
        scale=reference.scale,
        tolerance=allowed,
        changed_decisions=changed,
        decisions=decided,
        rounding=rounding,
    )


def _rounding(logits: Tensor, reference: Reference, allowed: float) -> tuple[dict[str, float], float]:
    """Return how far from the float64 result graph and network are, and how far the graph may be."""
    graph, network = (_largest(values - reference.exact) for values in (logits, reference.logits))
    rounded = max(ROUNDING * network, DIGITS * _largest(reference.exact))
    return {"graph": graph, "network": network}, max(allowed, min(rounded, MOST_ROUNDING * reference.scale))


def check_rows(rows: NDArray[Any], logits: Tensor, target: Task) -> None:
    """Raise ProofError if decoded rows are not those of the graph's own logits."""
    expected = target.decode(target.condensed(logits))
    difference, size = np.abs(rows.astype(np.float64) - expected).max(), np.abs(expected).max()
    same = np.array_equal(target.decisions(rows), target.decisions(expected)) or not target.row_step
    if not (same and difference <= max(DECODING * size, target.row_step)):
        raise ProofError(
            f"The decoded {target.row_name} of the exported graph differ by {difference:.2g}; no file is written."
        )


def _changed(target: Task, logits: Tensor, own: Tensor, *, within: float) -> tuple[int, int]:
    """Return how many decisions are others, and of how many. Raises: ProofError for one that hangs on more."""
    before, after = (target.decisions(target.decode(target.condensed(outputs))) for outputs in (own, logits))
    changed = before != after
    if firm := int((changed & (target.margins(own) > within)).sum()):
        raise ProofError(
            f"{firm} of {changed.size:,} decisions of the exported graph differ from those of the network; no file "
            "is written."
        )
    return int(changed.sum()), changed.size


def _largest(differences: Tensor) -> float:
    return differences.double().abs().max().item()
