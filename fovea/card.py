"""What a model file says of itself, whatever the container: typed, checked in one place, JSON outside.

docs/bundle.md describes the JSON. A card reads as the object that it is written as: `card["results"]`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from fovea import inputs, tasks
from fovea.errors import BundleError, first_line
from fovea.inputs.interface import Preprocessing
from fovea.tasks.task import Task

FORMAT = 4
"""The newest card format this version reads. Each kind of target writes the oldest that can hold it."""
CHANGED_FORMAT = 3
"""The oldest format that can hold a network whose structure was changed."""
CODED_FORMAT = 3
"""The oldest format that can hold coded tensors."""
CUSTOM = "custom"
"""Stands for the architecture of a network of one's own, whose code no file holds."""

MAX_CARD_LENGTH = 1_000_000
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-6, 1e6
MAX_CHANGES = 200
"""Changes of the structure of one network."""
MAX_DEPTH = 32
"""Nesting of the card: no genuine card comes near, and deep JSON exhausts the stack of whoever walks it."""

_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "architecture": str,
    "arguments": dict,
    "task": str,
    "outputs": int,
    "loss": str,
    "preprocess": dict,
    "classes": list,
    "temperature": (int, float),
}
"""What every card has."""

_SECTIONS: dict[str, type] = {
    **{"calibration": dict, "training": dict, "origin": dict, "licences": dict, "results": list},
    "coding": dict,
}
"""What a card may have, for people and for comparing; what stands in them need not be what this version writes."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a card that nothing needs in order to load: what is missing is None, what is foreign is kept."""

    kinds: ClassVar[Mapping[str, type | tuple[type, ...]]]
    """The type of each field in JSON."""

    other: Mapping[str, Any] = field(default_factory=dict)
    """What this version does not know, or not in this type."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the section that JSON holds."""
        known = {name: values[name] for name, kind in cls.kinds.items() if isinstance(values.get(name), kind)}
        return cls(**known, other={name: value for name, value in values.items() if name not in known})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name in self.kinds}
        return {**{name: value for name, value in named.items() if value is not None}, **self.other}


@dataclass(frozen=True, kw_only=True)
class DataRecord(Section):
    """The data that a network was trained on."""

    kinds: ClassVar[Mapping[str, type | tuple[type, ...]]] = {
        **{"name": str, "fingerprint": str, "images": dict, "val_fraction": (int, float), "notes": list}
    }

    name: str | None = None
    fingerprint: str | None = None
    """As `Dataset.fingerprint`."""
    images: Mapping[str, int] | None = None
    """How many, by part."""
    val_fraction: float | None = None
    """Share of the train part that was set aside for validation."""
    notes: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(Section):
    """How a network was trained."""

    kinds: ClassVar[Mapping[str, type | tuple[type, ...]]] = {
        **{"recipe": dict, "seed": int, "threads": int, "processes": int, "device": str, "versions": dict},
        **{"epochs": int, "seconds": (int, float), "pflop": (int, float), "changes": list},
    }

    data: DataRecord | None = None
    """None if nothing is said of it."""
    recipe: Mapping[str, Any] | None = None
    """All fields, as `Recipe.to_dict` gives them."""
    seed: int | None = None
    threads: int | None = None
    processes: int | None = None
    """How many trained together; None for one."""
    device: str | None = None
    versions: Mapping[str, str] | None = None
    """Of `python`, `torch` and `fovea`."""
    epochs: int | None = None
    seconds: float | None = None
    pflop: float | None = None
    """1e15 operations of the training: two per multiply-add, of earlier versions 6 x MACs x images seen."""
    changes: list[Mapping[str, Any]] | None = None
    """What was changed by hand while it ran: `step`, and the new values of fields of `recipe`."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the section that JSON holds."""
        known = {name: values[name] for name, kind in cls.kinds.items() if isinstance(values.get(name), kind)}
        other = {name: value for name, value in values.items() if name not in known and name != "data"}
        data = DataRecord.from_dict(values["data"]) if "data" in values else None
        return cls(data=data, **known, other=other)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, the data first."""
        data = {"data": self.data.to_dict()} if self.data is not None else {}
        return {**data, **super().to_dict()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Card(dict[str, Any]):
    """What a model file says of itself; as a dictionary, the JSON object that it is written as."""

    architecture: str
    """A name of the zoo, or `CUSTOM`."""
    arguments: Mapping[str, Any]
    """Those of its builder, as JSON values."""
    target: Task
    """What its outputs mean."""
    preprocess: Preprocessing
    """How a sample becomes its input."""
    changes: tuple[Mapping[str, Any], ...] = ()
    """What was done to the structure of its network after it was built, in order; see `fovea.compression.changes`."""
    training: TrainingRecord | None = None
    """None if it was not trained."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Where the weights that it began with are from."""
    licences: Mapping[str, Any] | None = None
    """Of `data` and `weights`."""
    results: tuple[Mapping[str, Any], ...] | None = None
    """What it is worth, an entry per part, each with its `split`."""
    coding: Mapping[str, Any] = field(default_factory=dict)
    """How tensors of the file are coded, see `fovea.compression.coding.description`; empty if none is."""
    fovea: str | None = None
    """The version that wrote it."""
    format: int = 0
    """0 stands for that of the kind of target."""
    other: Mapping[str, Any] = field(default_factory=dict)
    """What this version does not know."""

    def __post_init__(self) -> None:
        oldest = max(CHANGED_FORMAT if self.changes else 1, CODED_FORMAT if self.coding else 1)
        object.__setattr__(self, "format", max(self.format or self.target.card_format, oldest))
        self.update(self.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str) -> "Card":
        """Return the card that JSON holds; `source` names its file in messages.

        Raises:
            BundleError: something that loading needs is missing, of the wrong type, or contradicts the rest.
        """
        check_card(values, source)
        training = values.get("training")
        results = values.get("results")
        version = values.get("fovea")
        preprocess = _preprocess(values["preprocess"], source)
        card = cls(
            architecture=values["architecture"],
            arguments=values["arguments"],
            target=tasks.kind(values["task"]).from_card(values).for_input(preprocess.shape[1:]),
            preprocess=preprocess,
            changes=tuple(values.get("changes", ())),
            training=None if training is None else TrainingRecord.from_dict(training),
            origin=values.get("origin", {}),
            licences=values.get("licences"),
            results=None if results is None else tuple(results),
            coding=values.get("coding", {}),
            fovea=version if isinstance(version, str) else None,
            format=values["format"],
        )
        written = card.to_dict()
        return Card(**{**vars(card), "other": {k: v for k, v in values.items() if k not in written}})

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        return {
            "format": self.format,
            **({"fovea": self.fovea} if self.fovea is not None else {}),
            "architecture": self.architecture,
            "arguments": dict(self.arguments),
            **({"changes": [dict(change) for change in self.changes]} if self.changes else {}),
            "task": self.target.name,
            "outputs": self.target.outputs,
            "loss": self.target.loss,
            "preprocess": self.preprocess.to_dict(),
            **self.target.card_fields(),
            **({"training": self.training.to_dict()} if self.training is not None else {}),
            **({"origin": dict(self.origin)} if self.origin else {}),
            **({"licences": dict(self.licences)} if self.licences is not None else {}),
            **({"results": [dict(result) for result in self.results]} if self.results is not None else {}),
            **({"coding": dict(self.coding)} if self.coding else {}),
            **self.other,
        }

    @property
    def trained_on(self) -> DataRecord:
        """The data it was trained on; nothing is known of it where the card says nothing."""
        return (self.training and self.training.data) or DataRecord()

    def uncoded(self) -> "Card":
        """Return the card of the same network in a file whose tensors are as they are."""
        return replace(self, coding={}, format=0) if self.coding else self

    def text(self, source: str) -> str:
        """Return the card as the JSON that `parse` accepts.

        Raises:
            BundleError: it would not be accepted.
        """
        check_card(self, source)
        try:
            text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BundleError(f"The card of `{source}` may contain only JSON values: {first_line(error)}.") from error
        if len(text) > MAX_CARD_LENGTH:
            raise BundleError(f"The card of `{source}` has {len(text)} characters; the limit is {MAX_CARD_LENGTH}.")
        return text

    @classmethod
    def parse(cls, text: str, source: str) -> "Card":
        """Return the card that JSON text holds; errors as `from_dict`."""
        return cls.from_dict(card_values(text, source), source=source)


def card_values(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object of a card, checked; errors as `check_card`."""
    if len(text) > MAX_CARD_LENGTH:
        raise BundleError(f"`{source}`: its card has {len(text)} characters; the limit is {MAX_CARD_LENGTH}.")
    values = json_object(text, source, what="card")
    check_card(values, source)
    return values


def check_card(card: Mapping[str, Any], source: str) -> None:
    """Raise BundleError unless `card` has all that loading needs, each of its type."""
    number = card.get("format")
    if type(number) is int and number > FORMAT:
        raise BundleError(
            f"`{source}` has format {number}, and this version of Fovea reads up to format {FORMAT}; upgrade Fovea."
        )
    for key, kind in _REQUIRED.items():
        if not isinstance(card.get(key), kind) or isinstance(card[key], bool):
            raise BundleError(f"`{source}`: the card's `{key}` is missing or of the wrong type.")
    _check_sections(card, source)
    _check_changes(card, source)
    task, loss, classes, outputs = card["task"], card["loss"], card["classes"], card["outputs"]
    expected = tasks.kind(task).outputs_for(loss, len(classes)) if task in tasks.names() else None
    oldest = tasks.kind(task).card_format if task in tasks.names() else 1
    if card["format"] < oldest:
        raise BundleError(f"`{source}` has format {card['format']}, and task `{task}` needs format {oldest} or later.")
    if outputs != expected or outputs != card["arguments"].get("classes", outputs):
        raise BundleError(
            f"`{source}`: task `{task}`, loss `{loss}`, {outputs} outputs and {len(classes)} classes contradict "
            "each other."
        )
    if fault := tasks.kind(task).fault(card):
        raise BundleError(f"`{source}`: {fault}")
    if card.get("coding") and card["format"] < CODED_FORMAT:
        raise BundleError(f"`{source}` has format {card['format']}, and `coding` needs format {CODED_FORMAT} or later.")
    if not MIN_TEMPERATURE <= card["temperature"] <= MAX_TEMPERATURE:
        raise BundleError(
            f"`{source}`: `temperature` (={card['temperature']}) must be from {MIN_TEMPERATURE:g} to "
            f"{MAX_TEMPERATURE:g}."
        )


def json_object(text: str | bytes, source: str, *, what: str) -> dict[str, Any]:
    """Return the JSON object in the `text` of a file; its depth is bounded, and its numbers are finite.

    Raises:
        BundleError: it is something else.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"`{source}`: its {what} is not valid JSON ({first_line(error)}).") from error
    if not isinstance(value, dict):
        raise BundleError(f"`{source}`: its {what} must be a JSON object.")
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
    if level:
        raise BundleError(f"`{source}`: its {what} is nested deeper than {MAX_DEPTH} levels.")
    return value


def licences_of(card: Mapping[str, Any]) -> dict[str, str]:
    """Return the licences of data and weights that a card gives; weights of one's own training are `yours`."""
    given = card.get("licences")
    found = {name: str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}
    if found.get("weights") == "unknown" and card.get("training") and not card.get("origin"):
        found["weights"] = "yours"
    return found


def _check_sections(card: Mapping[str, Any], source: str) -> None:
    wrong = [key for key, kind in _SECTIONS.items() if not isinstance(card.get(key, kind()), kind)]
    if not wrong and not isinstance(card.get("training", {}).get("data", {}), dict):
        wrong = ["training.data"]
    if not wrong and not all(isinstance(result, dict) for result in card.get("results", [])):
        wrong = ["results"]
    if wrong:
        raise BundleError(f"`{source}`: the card's `{wrong[0]}` is of the wrong type.")


def _check_changes(card: Mapping[str, Any], source: str) -> None:
    changes = card.get("changes", [])
    if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
        raise BundleError(f"`{source}`: the card's `changes` is of the wrong type.")
    if len(changes) > MAX_CHANGES:
        raise BundleError(f"`{source}`: the card lists {len(changes)} changes; the limit is {MAX_CHANGES}.")
    if changes and card["format"] < CHANGED_FORMAT:
        raise BundleError(
            f"`{source}` has format {card['format']}, and `changes` needs format {CHANGED_FORMAT} or later."
        )


def _preprocess(given: Mapping[str, Any], source: str) -> Preprocessing:
    try:
        return inputs.from_dict(given)
    except (TypeError, ValueError, OverflowError) as error:  # UsageError is a ValueError
        raise BundleError(f"`{source}`: its preprocessing cannot be used. {first_line(error)}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
