"""What a page of the room "Explain" asks for, as it comes from the browser or its address, and what it may ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fovea.display import Display
from fovea.errors import UsageError
from fovea.explanation.attribution.methods import METHODS, Method, method_named
from fovea.jobs.explain import Request
from fovea.jobs.explain_spot import Spot

BATCH, SEED = 16, 0
MOST_TEXT = 300
"""Characters of a field."""
BESIDE = {"": "nothing", "answer": "another answer", "network": "another network"}
FIRST = "gradcam"


@dataclass(frozen=True, kw_only=True)
class Form:
    """The fields of the page; all are text, and nothing is believed."""

    method: str = FIRST
    settings: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    """Empty for what the network says."""
    rather: str = ""
    """The answer whose evidence is subtracted."""
    layer: str = ""
    beside: str = ""
    """One of `BESIDE`: what the second picture is of."""
    other: str = ""
    """The answer of the second picture; empty for the second likeliest, or what the second network says."""
    second: str = ""
    """The file of the second network, in the folder of the studio."""
    at: tuple[float, float] | None = None
    """A pixel of the input."""
    object: str = ""
    """The number of one."""

    @classmethod
    def of(cls, given: Any) -> "Form":
        """Return the form that a page sends; what is no field or no text is left out."""
        values = given if isinstance(given, Mapping) else {}
        texts = {name: str(values[name])[:MOST_TEXT].strip() for name in TEXTS if isinstance(values.get(name), str)}
        if texts.get("beside", "") not in BESIDE:
            del texts["beside"]
        settings = values.get("settings")
        own = settings if isinstance(settings, Mapping) else {}
        return cls(
            **texts,
            settings={str(name): str(value)[:MOST_TEXT] for name, value in own.items() if str(value).strip()},
            at=_pixel(values.get("at")),
        )

    @classmethod
    def of_address(cls, state: Mapping[str, str]) -> "Form":
        """Return the form that an address asks for, as `?method=occlusion&patch=20&answer=cat`."""
        named = state.get("method", FIRST)
        own = METHODS[named].settings if named in METHODS else {}
        beside = state.get("beside", "network" if "second" in state else "answer" if "other" in state else "")
        given = {**state, "beside": beside, "settings": {name: state[name] for name in own if name in state}}
        at = state.get("at", "").split(",")
        return cls.of({**given, "at": at if len(at) == 2 else None})

    def request(self, display: Display) -> Request:
        """Return what is asked of a network.

        Raises: UsageError for an unknown method or a setting that is none.
        """
        method = method_named(self.method)
        if self.object and not self.object.isdecimal():
            raise UsageError(f"`object` (={self.object}) must be the number of an object.")
        spot = Spot(self.at, int(self.object) if self.object and self.at is None else None, of_input=True)
        own = method.settings
        return Request(
            methods=[method],
            settings={name: text for name, text in self.settings.items() if name in own},
            targets=[self.answer] if self.answer and not spot else [],
            against=self.rather or None if not spot else None,
            layer=self.layer or None if method.layered else None,
            spot=spot,
            batch=BATCH,
            seed=SEED,
            display=display,
            most=1,
        )


TEXTS = ("method", "answer", "rather", "layer", "beside", "other", "second", "object")


def _pixel(given: Any) -> tuple[float, float] | None:
    try:
        x, y = given
        return float(x), float(y)
    except (TypeError, ValueError):
        return None


def controls(method: Method, side: int) -> list[dict[str, Any]]:
    """Return the fields of a method's settings, as JSON values; `side` is that of the input in pixels."""
    return [_control(name, default, method.bounds.get(name), side) for name, default in method.settings.items()]


def _control(name: str, default: Any, bounds: range | Sequence[str] | None, side: int) -> dict[str, Any]:
    """Return one: kind, value, and between what a slider runs; the field beside it takes all that is allowed."""
    if isinstance(default, bool):
        return {"name": name, "kind": "switch", "value": default}
    if isinstance(default, str):
        words = list(bounds) if bounds is not None and not isinstance(bounds, range) else [default]
        return {"name": name, "kind": "word", "value": default, "words": words}
    least, most = (bounds[0], bounds[-1]) if isinstance(bounds, range) else (0, 1_000_000)
    whole = default is None or isinstance(default, int)
    usual = min(most, side if default is None else max(4 * default, 10 if whole else 0.1))
    return {
        "name": name,
        "kind": "slider",
        "value": "" if default is None else default,
        "least": least,
        "most": most,
        "usual": usual,
        "step": 1 if whole else usual / 200,
        "whole": whole,
    }


def listed(shape: Sequence[int]) -> list[dict[str, Any]]:
    """Return the methods that take inputs of this shape (C, ...), as JSON values."""
    side = min(shape[1:], default=1)
    return [
        {
            "name": method.name,
            "title": method.title,
            "source": method.source,
            "layered": method.layered,
            "settings": controls(method, side),
        }
        for method in METHODS.values()
        if len(shape) - 1 in method.axes
    ]
