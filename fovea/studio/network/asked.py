"""What a page asks to see: a network by its name, in letters, in a file of the folder, or the one that is open."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import urlencode

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.errors import UsageError
from fovea.jobs.measure import Measurable, measure
from fovea.jobs.rewrite import as_letters, as_python
from fovea.measurement.result import Measurement
from fovea.studio.opened import Opened
from fovea.texts import command
from fovea.zoo.letters import resembles

FIRST = "CRCRP CRCRP F"
"""Letters to begin with where no network is open."""
SUFFIX = ".safetensors"
OF_THE_INPUT = ("c_in", "size", "frames")
"""Arguments that follow from the shape of the input."""
MOST_SIDE, MOST_COUNT, MOST_LETTERS = 4096, 10_000, 200
"""Bounds of what is typed: the sides of an input, other numbers, and characters of a value."""
SET = "set."


class Field(NamedTuple):
    """An argument of a network, to be changed."""

    key: str
    value: str
    kind: str
    """`checkbox` or `text`; empty for numbers."""
    step: str = "1"
    low: str = "0"
    high: str = str(MOST_COUNT)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One network; empty texts stand for what is open, and for the input that the network says."""

    text: str = ""
    shape: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def letters(self) -> str:
        """The pattern, where it is one."""
        return self.text if resembles(self.text) else ""

    def with_argument(self, key: str, value: str, opened: Opened) -> "Asked":
        """Return it with another value; of what is open, the network by its name with the same others."""
        if self.text or opened.bundle is None:
            return replace(self, arguments={**self.arguments, key: value})
        card = opened.bundle.card
        kept = {key: value for key, value in card.arguments.items() if key not in OF_THE_INPUT}
        letters = kept.pop("pattern", "") if card.architecture == "pattern" else ""
        shape = self.shape or "x".join(map(str, opened.bundle.preprocess.shape))
        given = {key: _text(value) for key, value in kept.items()} | {key: value}
        return Asked(text=str(letters) or card.architecture, shape=shape, arguments=given)

    def query(self) -> dict[str, str]:
        """Return it as the parameters of an address."""
        given = {"model": self.text, "input": self.shape, **{SET + key: text for key, text in self.arguments.items()}}
        return {key: text for key, text in given.items() if text}


def asked_by(state: Mapping[str, str], opened: Opened) -> Asked:
    """Return what an address asks for; where it asks for nothing, what is open or a first pattern."""
    arguments = {key.removeprefix(SET): text for key, text in state.items() if key.startswith(SET)}
    arguments = {key: text for key, text in arguments.items() if key not in OF_THE_INPUT}
    text = state.get("model", "")
    if text == "pattern" and "pattern" in arguments:
        text = arguments.pop("pattern")
    return Asked(
        text=text or ("" if opened.bundle is not None else FIRST), shape=state.get("input", ""), arguments=arguments
    )


def measured(asked: Asked, opened: Opened) -> Measurement:
    """Return what the network costs and sees.

    Raises:
        FoveaError: what `measure` says of it, or a value out of bounds.
    """
    found = measure(model_of(asked, opened), shape_of(asked.shape), arguments=_checked(asked))
    return replace(found, name=called(asked, opened))


def called(asked: Asked, opened: Opened) -> str:
    """Return how a network is called on the page."""
    given = ", ".join(f"{key}={value}" for key, value in asked.arguments.items())
    return (asked.text or opened.name) + (f" ({given})" if given else "")


def model_of(asked: Asked, opened: Opened) -> Measurable:
    """Return what `measure` takes: no path but in the folder of the studio, and no code.

    Raises:
        UsageError: there is no such network or file.
    """
    if not asked.text:
        return opened.own_bundle()
    if asked.text.endswith(SUFFIX):
        return opened.inside(asked.text)
    return asked.letters or registry.resolve(asked.text)


def shape_of(text: str) -> tuple[int, ...] | None:
    """Return `3x224x224` as numbers, None where nothing is written.

    Raises:
        UsageError: it is no shape, or too large to be looked at.
    """
    sizes = text.lower().replace(" ", "").split("x")
    if sizes == [""]:
        return None
    if not all(size.isdecimal() and len(size) < 6 and 0 < int(size) <= MOST_SIDE for size in sizes) or len(sizes) > 4:
        raise UsageError(f"`{text[:40]}` must be the shape of one input, as 3x224x224, each at most {MOST_SIDE}.")
    return tuple(map(int, sizes))


def fields_of(asked: Asked, opened: Opened) -> list[Field]:
    """Return the arguments that a network may be given, with the values that they have."""
    if asked.text.endswith(SUFFIX):
        return []
    if not asked.text:
        name = "" if opened.bundle is None else opened.bundle.card.architecture
        if name not in registry.names() or opened.bundle is None:
            return []
        own = {key: _text(value) for key, value in opened.bundle.card.arguments.items()}
    else:
        name, own = ("pattern" if asked.letters else registry.resolve(asked.text)), dict(asked.arguments)
    hidden = (*OF_THE_INPUT, *(["pattern", "widths"] if name == "pattern" else []))
    return [
        _field(key, own.get(key, _text(default)), default)
        for key, default in registry.arguments_of(name).items()
        if key not in hidden
    ]


def python_of(asked: Asked, opened: Opened) -> str:
    """Return the network as Python; errors as `measured`, and where it cannot be written."""
    return as_python(model_of(asked, opened), shape_of(asked.shape), arguments=_checked(asked))


def letters_of(asked: Asked, opened: Opened, shape: tuple[int, ...]) -> Asked:
    """Return the network in letters, for inputs of `shape`; errors as `measured`, and where a layer has no letter."""
    text = as_letters(model_of(asked, opened), shape_of(asked.shape), arguments=_checked(asked))
    given = {field.key: field.value for field in fields_of(asked, opened) if field.key == "classes"}
    return Asked(text=text, shape="x".join(map(str, shape)), arguments=given)


def commands_of(asked: Asked, shape: tuple[int, ...]) -> list[str]:
    """Return how the command line makes a model file of the network, and trains it; none for files."""
    if not asked.text or asked.text.endswith(SUFFIX):
        return []
    known = registry.entry(_name(asked)).input
    counts = {"--size": (shape[-1], known[-1]), "--c-in": (shape[0], known[0])}
    size = [part for key, (own, usual) in counts.items() if own != usual for part in (key, str(own))]
    options = [part for key, value in asked.arguments.items() for part in _option(key, value)]
    built = command("fovea", "build", asked.text, *size, *options)
    sets = [part for key, value in _named(asked).items() for part in ("--set", f"{key}={value}") if key != "classes"]
    return [built, command("fovea", "train", "DATA", "--model", _name(asked), *sets)]


def train_address(asked: Asked, shape: tuple[int, ...]) -> str:
    """Return the address at which the room "Train" trains the network; empty for files."""
    if not asked.text or asked.text.endswith(SUFFIX):
        return ""
    more = shlex.join(f"{key}={value}" for key, value in _named(asked).items() if key != "classes")
    size = {"size": str(shape[-1])} if len(shape) == 3 and shape[-1] == shape[-2] else {}
    return "/train?" + urlencode({"model": _name(asked), **size, **({"more": more} if more else {})})


def _name(asked: Asked) -> str:
    return "pattern" if asked.letters else asked.text


def _named(asked: Asked) -> dict[str, str]:
    """Return all arguments of the network by its name, the letters among them."""
    return {**({"pattern": asked.letters} if asked.letters else {}), **asked.arguments}


def _option(key: str, value: str) -> list[str]:
    return [f"--{key}", value] if key in ("classes", "widths") else ["--set", f"{key}={value}"]


def _checked(asked: Asked) -> dict[str, object]:
    """Return the arguments; UsageError for those that are too large to be looked at."""
    for key, text in asked.arguments.items():
        numbers = text.replace("[", "").replace("]", "").split(",")
        if len(text) > MOST_LETTERS or any(_size(number) > MOST_COUNT for number in numbers):
            raise UsageError(f"`{key}` (={text[:40]}) must be at most {MOST_COUNT:,} here.")
    return dict(asked.arguments)


def _size(text: str) -> float:
    try:
        return abs(float(text))
    except ValueError:
        return 0.0


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _field(key: str, value: str, default: object) -> Field:
    if isinstance(default, bool):
        return Field(key, value, "checkbox")
    if isinstance(default, int):
        return Field(key, value, "", low="0" if default == 0 else "1")
    if isinstance(default, float):
        share = key in ("dropout", "stochastic_depth")
        return Field(key, value, "", step="0.05", high="0.95" if share else "4")
    return Field(key, value, "text")
