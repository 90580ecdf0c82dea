"""The page of an evaluation: what a network says of one part, and what its card says of the network.

Filters are (F, C, k, k) float32, in the scale of the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.evaluation.instances import InstanceScores
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.persons import PersonScores
from fovea.evaluation.robustness import Robustness
from fovea.evaluation.slices import Slices
from fovea.report.facts import card_facts, temperature_note
from fovea.report.further import further_values
from fovea.report.instances import instance_values
from fovea.report.page import picture, render
from fovea.report.persons import person_values
from fovea.report.rasters import MOST_FILTERS, filter_grid
from fovea.report.results import result_values

FILTERS_WIDTH = 640


def evaluation_page(
    outcome: Outcome,
    card: Mapping[str, Any],
    *,
    filters: NDArray[np.float32] | None = None,
    notes: Sequence[str] = (),
    slices: Slices | None = None,
    robustness: Robustness | None = None,
    instances: InstanceScores | None = None,
    persons: PersonScores | None = None,
) -> str:
    """Return the page as HTML, with the first layer's `filters` (F, C, k, k) and `notes` that the reader must know."""
    return render(
        "evaluation.html",
        result=result_values(outcome),
        notes=notes,
        instances=instance_values(outcome, instances),
        persons=person_values(persons),
        further=further_values(outcome.target, slices=slices, robustness=robustness),
        **card_values(card, filters),
    )


def card_values(card: Mapping[str, Any], filters: NDArray[np.float32] | None) -> dict[str, Any]:
    """Return what every page says of the network: the facts of its card, its temperature, its first filters."""
    return {"facts": card_facts(card), "fitted": temperature_note(card), "filters": _filters(filters)}


def _filters(filters: NDArray[np.float32] | None) -> dict[str, Any] | None:
    if filters is None or filters.shape[1] not in (1, 3):
        return None
    grid = filter_grid(filters)
    F, _, h, w = filters.shape
    shown = f"{F} filters" if F <= MOST_FILTERS else f"the first {MOST_FILTERS} of {F} filters"
    zoom = max(1, min(16, FILTERS_WIDTH // grid.shape[1]))
    return {
        "source": picture(grid, side=max(grid.shape)),
        "width": zoom * grid.shape[1],
        "note": f"{shown} of {h} x {w} pixels; grey is 0, and all share one scale.".capitalize(),
    }
