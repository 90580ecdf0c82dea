"""The table of what `fovea export --to` can write: each a module here with a function `write`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fovea.card import Card
from fovea.errors import unknown
from fovea.exporting.samples import Samples
from fovea.exporting.settings import ExportSettings
from fovea.model.bundle import Bundle
from fovea.storage import write_atomically


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be written."""

    bundle: Bundle
    name: str
    """What the network is called: its file, or its architecture."""
    out: Path
    """The file, or the folder of a target that writes several."""
    settings: ExportSettings
    samples: Samples
    """What it is proven on."""
    say: Callable[[str], None]
    """Takes lines for the terminal, while it runs."""
    options: Mapping[str, Any]
    """What only some targets take, by name; see `Target.options`."""


class Written(NamedTuple):
    """What was written."""

    files: tuple[Path, ...]
    """The main one first."""
    facts: dict[str, Any]
    """JSON values, `proof` among them."""
    lines: list[str]
    """What a person reads, a line each."""


class Write(Protocol):
    """The function `write` of a target."""

    def __call__(self, request: Request) -> Written:
        """Write what is asked for, and say what became of it."""
        ...


class Target(NamedTuple):
    """One thing that can be written."""

    name: str
    """As after `--to`."""
    suffix: str
    """Of the file; none of a folder."""
    extra: str
    """The extra of this package that installs what it needs."""
    does: str
    """In one line."""
    options: Sequence[str] = ()
    """Further names of `Request.options` that it takes."""

    @property
    def as_page(self) -> "Target":
        """The same as one HTML file."""
        return self._replace(suffix=".html")

    @property
    def write(self) -> Write:
        """The function that writes it."""
        function: Write = import_module(f"fovea.exporting.targets.{self.name}").write
        return function


TARGETS = (
    Target("executorch", ".pte", "executorch", "a program for ExecuTorch on phones and boards, with its card"),
    Target("litert", ".tflite", "litert", "a file for LiteRT on phones and boards, with its card", ("int8",)),
    Target("ncnn", ".param", "ncnn", "a pair of files for ncnn on phones and boards, with their card"),
    Target("onnx", ".onnx", "export", "one ONNX file that includes preprocessing, decoding and card", ("int8",)),
    Target("pt2", ".pt2", "", "a PyTorch exported program that includes preprocessing, decoding and card"),
    Target("triton", "", "export", "a model repository for Triton and KServe", ("int8",)),
    Target("web", "", "export", "a page that predicts in any browser, offline", ("int8", "single_file", "runtime")),
)


def card_file(card: Card) -> bytes:
    """Return the card as the JSON file that lies beside what a target writes."""
    return json.dumps(card.to_dict(), ensure_ascii=False, indent=1).encode()


def write_with_card(path: Path, content: bytes, card: Card) -> tuple[Path, Path]:
    """Write a file, and its card beside it as JSON: their paths.

    Raises: StorageError if they cannot be written.
    """
    beside = path.with_suffix(".json")
    write_atomically(path, content)
    write_atomically(beside, card_file(card))
    return path, beside


def target_named(name: str) -> Target:
    """Return the target called `name`. Raises: UsageError if there is none."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise unknown("target", name, [target.name for target in TARGETS])
