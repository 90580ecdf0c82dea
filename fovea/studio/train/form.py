"""What the form of the room asks for, as the options of `fovea train`."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fovea import registry, tasks
from fovea.custom import custom_name
from fovea.data.sources.source import FILE_SUFFIXES, NAMES
from fovea.errors import UsageError, unknown
from fovea.plans.named import PLANS
from fovea.runs.request import seconds
from fovea.studio.opened import Opened

FIELDS = ("data", "model", "recipe", "task", "epochs", "budget", "size", "batch", "lr", "seed", "count", "name", "more")
"""What the form has; an address may give any of them, as `/train?data=digits&model=lenet5`."""
MOST_TEXT = 500
"""Characters of a field."""
MOST_COUNT = 8
"""Trainings begun at once."""
MOST_OFFERED = 200
OPTIONS = ("val_fraction", "fit", "device")
"""What `--set` does not take, and the form has no field for."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A training that is asked for, or several that differ in their seed."""

    data: str
    """As `fovea train` takes it, from the folder of the studio."""
    options: tuple[str, ...]
    seeds: tuple[int | None, ...]
    """One for each training; None leaves it open."""
    name: str
    """Of the run folder."""

    def with_seed(self, seed: int | None) -> list[str]:
        """Return the options of one of the trainings."""
        return [*self.options, *(["--seed", str(seed)] if seed is not None else [])]


def asked(values: Mapping[str, str], opened: Opened) -> Asked:
    """Return what a filled form asks for.

    Raises:
        UsageError: a field that cannot be, a path that leads out of the folder.
    """
    given = {name: str(values.get(name, "")).strip() for name in FIELDS}
    for name, text in given.items():
        if len(text) > MOST_TEXT or "\0" in text:
            raise UsageError(f"`{name}` must have at most {MOST_TEXT} characters.")
    if given["epochs"] and given["budget"]:
        raise UsageError("Epochs and budget cannot be used together; leave one of them empty.")
    options: list[str] = []
    for name, check in CHECKS.items():
        if given[name]:
            check(name, given[name])
            options.append(f"--{name}={given[name]}")
    if given["model"]:
        options.append(f"--model={_model(given['model'], opened)}")
    count = _whole("count", given["count"], most=MOST_COUNT) if given["count"] else 1
    first = _whole("seed", given["seed"], least=0) if given["seed"] else None
    seeds = [first] if count == 1 else [(first or 0) + number for number in range(count)]
    data = _data(given["data"], opened)
    return Asked(
        data=data,
        options=(*options, *_further(given["more"])),
        seeds=tuple(seeds),
        name=_name(given["name"], data, given["model"]),
    )


def offered(opened: Opened) -> dict[str, list[str]]:
    """Return what may be chosen in the form, by field: names of data, networks, recipes and tasks."""
    data = [opened.data] if opened.data else []
    try:
        inside = sorted(opened.folder.iterdir())
    except OSError:
        inside = []
    there = [
        path.name
        for path in inside
        if not path.name.startswith(".") and (path.is_dir() or path.name.lower().endswith(FILE_SUFFIXES))
    ]
    return {
        "data": [*dict.fromkeys([*data, *NAMES, *there[:MOST_OFFERED]])],
        "model": list(registry.names()),
        "recipe": list(PLANS),
        "task": list(tasks.names()),
    }


def _data(text: str, opened: Opened) -> str:
    if not text:
        raise UsageError("Name the data to train on: a folder, a manifest, an archive or a name such as `digits`.")
    if text in NAMES or text == opened.data:
        return text
    return str(opened.inside(text))


def _model(text: str, opened: Opened) -> str:
    """Return the network as it is named; one's own only from a file of the folder."""
    custom = custom_name(text)
    if custom is None:
        return registry.resolve(text)
    return f"{opened.inside(str(custom[0]))}:{custom[1]}"


def _name(text: str, data: str, model: str) -> str:
    if text and not NAME.fullmatch(text):
        raise UsageError(f"`name` (={text[:40]}) must be letters, digits, dots, dashes and underscores.")
    pieces = (Path(data).stem, model.rpartition("/")[2].replace(":", "-"))
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(filter(None, pieces))).strip("-.")[:64]
    return text or found or "run"


def _further(text: str) -> list[str]:
    """Return `key=value` texts as options: those of the command, or fields of recipe and network."""
    try:
        pieces = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"`more` (={text[:40]}) cannot be read: {error}.") from error
    for piece in pieces:
        if "=" not in piece:
            raise UsageError(f"`more`: `{piece[:40]}` must be key=value, as momentum=0.8.")
    return [
        f"--{piece.replace('_', '-', 1)}" if piece.partition("=")[0] in OPTIONS else f"--set={piece}"
        for piece in pieces
    ]


def _whole(name: str, text: str, *, least: int = 1, most: int = 2**62) -> int:
    if not (text.isascii() and text.isdecimal()) or not least <= int(text[:30]) <= most:
        bounds = f"from {least} to {most}" if most < 2**62 else f"of {least} or more"
        raise UsageError(f"`{name}` (={text[:40]}) must be a whole number {bounds}.")
    return int(text)


def _rate(name: str, text: str) -> None:
    try:
        right = 0 < float(text) < float("inf")
    except ValueError:
        right = False
    if not right:
        raise UsageError(f"`{name}` (={text[:40]}) must be a number above 0.")


def _one_of(allowed: Callable[[], tuple[str, ...]]) -> Callable[[str, str], None]:
    def check(name: str, text: str) -> None:
        if text not in allowed():
            raise unknown(name, text, allowed())

    return check


CHECKS: dict[str, Callable[[str, str], object]] = {
    "recipe": _one_of(lambda: tuple(PLANS)),
    "task": _one_of(tasks.names),
    "epochs": _whole,
    "budget": lambda _, text: seconds(text),
    "size": _whole,
    "batch": _whole,
    "lr": _rate,
}
