"""The section of a page on objects that are found by their points."""

from typing import Any

import numpy as np

from fovea.evaluation.persons import PersonScores
from fovea.tasks.figures import Tile
from fovea.texts import percent


def person_values(found: PersonScores | None) -> dict[str, Any] | None:
    """Return the tiles of the section; None where the data does not know how large objects are."""
    if found is None:
        return None
    said, (low, high) = found.scores, found.interval
    tiles: list[Tile] = [
        ("OKS-AP", _text(said.ap), f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"),
        ("AP50", _text(said.ap50), f"AP75 {_text(said.ap75)}"),
        ("AP, large", _text(said.ap_large), f"medium {_text(said.ap_medium)}"),
        ("AR", _text(said.ar), f"{found.persons:,} objects in {found.images:,} images"),
    ]
    return {"found": found, "tiles": tiles}


def _text(value: float) -> str:
    return "–" if np.isnan(value) else percent(value)
