"""Whether an exported graph computes what the network computes, on samples, before its file gets a name.

Logits are (N, K) float32, decoded rows (N, K') float64, stored samples (N, H, W, C) uint8 of images.
"""

import copy
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea import inputs
from fovea.errors import BundleError, FoveaError, first_line
from fovea.exporting.assembly import input_name
from fovea.exporting.core import INPUT, LOGITS
from fovea.exporting.library import library
from fovea.exporting.samples import Samples
from fovea.exporting.settings import ExportSettings
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle
from fovea.tasks.task import Task
from fovea.training.losses import main_head

TOLERANCE = {"float32": 1e-4, "float16": 2e-2}
"""Largest difference of logits that is no fault, as a share of how much logits vary from sample to sample."""
DECODING = 1e-5
"""Largest difference of decoded rows from those of the same logits, as a share of the largest row."""
INDIFFERENT = 1e-3
"""A network whose logits vary by less than this share of their size shows nothing that could be compared."""
ROUNDING = 4.0
"""A float32 graph may be so many times as far from the float64 result as the float32 network is."""
MOST_ROUNDING = 0.05
"""But never further than this share of how much logits vary: then rounding decides, and nothing is proven."""
BATCH = 16


class ProofError(FoveaError, ValueError):
    """An exported graph that does not compute what its network does, or of which that cannot be shown."""


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
        rounded = " (rounding: as far from float64 as the network itself)" if self.rounding else ""
        return (
            f"{self.images} {self.source}{sizes}: logits differ by at most {self.largest_difference:.2g}, "
            f"{share:.1e} of their scale{rounded}{decided}"
        )


class Session:
    """An exported graph in ONNX Runtime."""

    def __init__(self, content: bytes) -> None:
        runtime = library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of a kind of its own for each fault
            raise ProofError(f"ONNX Runtime does not take the exported graph: {first_line(error)}") from error
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return each output (N, ...) by name, float32 or bool, for the input called `name`."""
        parts = [
            self.session.run(self.outputs, {name: values[first : first + BATCH]})
            for first in range(0, len(values), BATCH)
        ]
        return {
            name: np.concatenate(column) for name, column in zip(self.outputs, zip(*parts, strict=True), strict=True)
        }


def prove(content: bytes, bundle: Bundle, samples: Samples, settings: ExportSettings) -> Proof:
    """Return how well the exported graph `content` agrees with the network on samples.

    Raises:
        ProofError: it does not, or the network's outputs hardly depend on its input.
    """
    found = _run(content, bundle, samples.stored, settings)
    logits = torch.from_numpy(found[LOGITS])
    own = network_logits(bundle, samples.stored)
    scale = _scale(own, bundle)
    allowed = TOLERANCE[settings.precision] * scale
    difference = _largest(logits - own)
    rounding: dict[str, float] = {}
    if not difference <= allowed and settings.precision == "float32":
        rounding = _rounding(bundle, samples.stored, logits, own)
        allowed = max(allowed, min(ROUNDING * rounding["network"], MOST_ROUNDING * scale))
        difference = rounding["graph"]
    if not difference <= allowed:  # so that what is no number fails, too
        raise ProofError(
            f"The exported graph differs from the network by {difference:.2g} on {len(own)} {samples.source}, and "
            f"{allowed:.2g} is allowed, logits varying by {scale:.2g}; no file is written."
        )
    if not settings.raw:
        _check_rows(found, logits, bundle.target)
    changed, decided = _changed(bundle.target, logits, own, within=2 * allowed)
    return Proof(
        images=len(own),
        source=samples.source,
        largest_difference=difference,
        scale=scale,
        tolerance=allowed,
        changed_decisions=changed,
        decisions=decided,
        rounding=rounding,
    )


@torch.inference_mode()
def network_logits(bundle: Bundle, stored: Stored, *, double: bool = False) -> Tensor:
    """Return the network's own outputs (N, K) for stored samples of any size: float32, or float64 with `double`."""
    prepare = inputs.kind_of(bundle.preprocess).network_input(bundle.preprocess, bundle.device)
    model = copy.deepcopy(bundle.model).double() if double else bundle.model
    outputs = []
    for first in range(0, len(stored), BATCH):
        x = prepare(prepare.arranged(stored[first : first + BATCH]))
        outputs.append(main_head(model(x.double() if double else x)).cpu())
    return torch.cat(outputs)


def _run(content: bytes, bundle: Bundle, stored: Stored, settings: ExportSettings) -> dict[str, NDArray[Any]]:
    session = Session(content)
    if settings.raw:
        return session.run(INPUT, bundle.preprocess.normalise(stored))
    return session.run(input_name(bundle.preprocess), stored)


def _scale(logits: Tensor, bundle: Bundle) -> float:
    """Return how much logits (N, K) vary from sample to sample. Raises: ProofError where that is next to nothing."""
    if not logits.isfinite().all():
        raise BundleError("The network's outputs are not finite: its weights, or its mean and std, are spoilt.")
    values = logits.double()
    scale = (values - values.mean(0)).square().mean().sqrt().item()
    size = values.abs().max().item()
    if scale <= INDIFFERENT * size:
        noun = inputs.kind_of(bundle.preprocess).noun
        raise ProofError(
            f"The network says the same of every {noun}: its logits of up to {size:.2g} vary by {scale:.1g}. So nothing "
            "can be proven of an exported graph, and no file is written. Train the network first."
        )
    return scale


def _rounding(bundle: Bundle, stored: Stored, logits: Tensor, own: Tensor) -> dict[str, float]:
    """Return how far from the float64 result graph and network are."""
    exact = network_logits(bundle, stored, double=True)
    return {"graph": _largest(logits - exact), "network": _largest(own - exact)}


def _check_rows(found: dict[str, NDArray[Any]], logits: Tensor, target: Task) -> None:
    """Raise ProofError where the decoded rows are not those of the graph's own logits."""
    rows, expected = found[target.row_name], target.decode(logits)
    difference, size = np.abs(rows - expected).max(), np.abs(expected).max()
    if not difference <= DECODING * size:
        raise ProofError(
            f"The decoded {target.row_name} of the exported graph are off by {difference:.2g}; no file is written."
        )


def _changed(target: Task, logits: Tensor, own: Tensor, *, within: float) -> tuple[int, int]:
    """Return how many decisions are others, and of how many; those count that hang on more than `within`."""
    before, after = target.decisions(target.decode(own)), target.decisions(target.decode(logits))
    firm = target.margins(own) > within
    changed = (before != after) & firm
    if changed.any():
        raise ProofError(
            f"{int(changed.sum())} of {changed.size:,} decisions of the exported graph are others than the network's; "
            "no file is written."
        )
    return int((before != after).sum()), before.size


def _largest(differences: Tensor) -> float:
    return differences.double().abs().max().item()
