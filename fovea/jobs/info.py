"""`fovea info`: the contents of a model file's card."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fovea.compression.coding.description import Coding
from fovea.model.container import is_exported, model_file, read_values
from fovea.report.brief import brief
from fovea.report.facts import uncalibrated_note


@dataclass(frozen=True, kw_only=True)
class Info:
    """The card of a model file and the size of what it describes."""

    card: dict[str, Any]
    """As docs/bundle.md describes it."""
    values: int
    """Numbers stored in its tensors: parameters and buffers."""
    bytes: int
    """The size of the file."""

    @property
    def caution(self) -> str:
        """What to know before believing its probabilities; empty if there is nothing."""
        return uncalibrated_note(self.card)

    @property
    def coded(self) -> str:
        """How much coding saves; empty if no tensor is coded."""
        if not self.card.get("coding"):
            return ""
        coding = Coding.from_dict(self.card["coding"])
        return f"{len(coding.tensors)} tensors of {coding.decoded_bytes:,} bytes in {coding.bytes:,}"

    def summary(self) -> list[str]:
        """Return lines for a person: the result, then what the network is and what it was trained on."""
        lines = [f"{name:10} {value}" for name, value in brief(self.card, values=self.values, size=self.bytes)]
        note = [f"{'Caution':10} {self.caution}"] if self.caution else []
        shrunk = [f"{'Coded':10} {self.coded}"] if self.coded else []
        return [*lines, *shrunk, *note]

    def to_dict(self) -> dict[str, Any]:
        """Return all as JSON values."""
        return asdict(self)


def info(model: str | Path) -> Info:
    """Return the card of the model file `model`, or of that in the run folder `model`, without loading the network.

    Raises:
        BundleError: the file is truncated, in another format, hostile, or of a newer format version.
        StorageError: the file cannot be read.
    """
    model = model_file(model)
    if is_exported(model):
        from fovea.runtime.contents import card_in
        from fovea.runtime.exported import read_file

        file = read_file(Path(model))
        card, values = dict(card_in(file)), file.values
    else:
        card, shapes = read_values(model)
        values = sum(map(math.prod, shapes.values()))
    return Info(card=card, values=values, bytes=Path(model).stat().st_size)
