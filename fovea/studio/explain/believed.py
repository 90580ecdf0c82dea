"""The checks of an explanation in the room "Explain", as a page shows them."""

from typing import Any

from fovea.explanation.trust.curves import Areas
from fovea.explanation.trust.result import mean_curve
from fovea.explanation.trust.table import Trust

NOTE = "One image proves little: the command fovea trust judges a method by many."


def believed(trust: Trust) -> dict[str, Any]:
    """Return the checks as JSON values: rows of what is measured, the map, a random map, the centre; and the curves."""
    each = {"this map": trust.areas, "random map": trust.random, "centre": trust.centre}
    rows = [
        ["insertion (high is good)", *(f"{float(areas.insertion[0]):.3f}" for areas in each.values())],
        ["deletion (low is good)", *(f"{float(areas.deletion[0]):.3f}" for areas in each.values())],
        ["insertion less deletion", *(f"{float(areas.gain[0]):.3f}" for areas in each.values())],
    ]
    lines = [_against(trust, "random", "a random map"), _against(trust, "centre", "the centre")]
    if trust.sanity is not None:
        word = "passes" if trust.sanity.passed else "fails"
        lines.append(f"It {word} the sanity check. {trust.sanity.reason}")
    return {
        "heads": ["", *each],
        "rows": rows,
        "lines": [*lines, NOTE],
        "curves": {
            name: {who: _points(areas, way) for who, areas in each.items()}
            for name, way in (("Insertion", "came"), ("Deletion", "went"))
        },
    }


def _against(trust: Trust, name: str, called: str) -> str:
    return f"It is {'no better than' if name in trust.faults else 'better than'} {called}."


def _points(areas: Areas, way: str) -> list[tuple[float, float]]:
    curve = getattr(areas, way)
    return [] if curve is None else mean_curve(curve)
