"""One picture of the room "Explain": what a network says of an image, and where it sees that."""

from typing import Any, NamedTuple

from fovea.explanation.explained import Explanation, Place
from fovea.explanation.trust.badge import Badges
from fovea.inputs.interface import Stored
from fovea.jobs.explain import explain_sample
from fovea.model.bundle import Bundle
from fovea.report.page import picture
from fovea.report.rasters import in_colour, overlay
from fovea.studio.explain.form import Form
from fovea.studio.image import bars
from fovea.studio.works import Watched


class Shown(NamedTuple):
    """What one picture is of."""

    bundle: Bundle
    sample: Stored
    """(H, W, C) uint8"""
    form: Form
    """What is asked of it."""
    badges: Badges = {}
    """What `fovea trust` has found of the methods on it."""


def next_answer(bundle: Bundle, sample: Stored) -> str:
    """Return the name of the second likeliest answer to one stored sample; empty where there is none."""
    target = bundle.target
    ranked = target.prediction(target.decode(bundle.outputs(sample[None]))[0]).scores
    return ranked[1][0] if len(ranked) > 1 else ""


def panel(shown: Shown, work: Watched) -> dict[str, Any]:
    """Return the picture as a page shows it.

    Raises:
        UsageError: what cannot be asked of this network.
        Stopped: it is not wanted any more.
    """
    request = shown.form.request(work)._replace(badges=shown.badges)
    return _drawn(explain_sample(shown.bundle, shown.sample, request))


def _drawn(explanation: Explanation) -> dict[str, Any]:
    place = explanation.places[0]
    heat = overlay(explanation.laid(place.found), signed=place.method.signed)
    pixels = in_colour(explanation.pixels)
    H, W = pixels.shape[:2]
    figures = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in place.figures.items()]
    layer = [f"at {place.found.layer}"] if place.found.layer else []
    return {
        "image": picture(pixels, side=max(H, W)),
        "heat": picture(heat, side=max(H, W)),
        "size": [W, H],
        "title": place.question,
        "words": ", ".join([place.method.title, *layer, f"{place.seconds:.2f} s", *figures]),
        "colours": _meaning(place),
        "checks": place.badge.said,
        "bars": bars(explanation.prediction),
    }


def _meaning(place: Place) -> str:
    if not place.found.values.any():
        return "The map is empty: no pixel supports this answer."
    return "orange supports the answer, blue opposes it" if place.method.signed else "bright supports the answer"
