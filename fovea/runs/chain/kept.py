"""What a chain keeps on disk, so that a kill at any moment leaves the last good network and the last finished step."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from fovea.card import Card
from fovea.compression.table import OWN, SECTION, Row, rows_in
from fovea.errors import BundleError, UsageError
from fovea.files import open_regular
from fovea.model.bundle import save_bundle
from fovea.model.container import read_card
from fovea.storage import alone, remove_temporary, write_atomically

ATTEMPTS = 6
"""At finding the size of a file whose card names it."""
SUFFIX = ".safetensors"
BLOCK = 1 << 20
"""Bytes that are read at a time."""


@dataclass(frozen=True)
class Kept:
    """The files of a chain: its result, and the network after the last finished step, for `--resume`."""

    out: Path

    @property
    def unfinished(self) -> Path:
        """A model file too; removed when the chain has ended."""
        return self.out.with_name(f"{self.out.stem}.unfinished{SUFFIX}")

    @property
    def lock(self) -> Path:
        """Held by the process that shrinks; empty."""
        return self.out.with_name(f"{self.out.stem}.lock")

    @property
    def scratch(self) -> Path:
        """A file that is being made."""
        return self.out.with_name(f".{self.out.stem}.scratch{SUFFIX}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out while the body runs; the lock stays only where there is something to resume.

        Raises: UsageError where one is at work.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(alone(self.lock))
            except BlockingIOError as error:
                raise UsageError(
                    f"`{self.out}` is being written by another process; wait until that ends, or stop it first."
                ) from error
            for path in (self.scratch, self.scratch.with_suffix(".onnx")):
                path.unlink(missing_ok=True)
            for path in (self.out, self.unfinished, self.scratch):
                remove_temporary(path.parent, of=path.name)
            try:
                yield
            finally:
                if not self.unfinished.exists():  # nothing to resume
                    with suppress(OSError):
                        self.lock.unlink(missing_ok=True)

    def write(
        self, path: Path, model: nn.Module, card: Card, chain: Mapping[str, Any], rows: Sequence[Row]
    ) -> tuple[Row, ...]:
        """Write the network with the table in its card to `path`, and return the rows.

        The last step of which this is the file gets its size.
        """
        place = max(index for index, row in enumerate(rows) if row.runs == OWN)
        row = rows[place]
        for _ in range(ATTEMPTS):
            sized = (*rows[:place], row, *rows[place + 1 :])
            table = {**chain, "rows": [entry.to_dict() for entry in sized]}
            save_bundle(self.scratch, model, replace(card, other={**card.other, SECTION: table}), coded=True)
            size = self.scratch.stat().st_size
            tensors = tensor_bytes(self.scratch)
            if (row.file_bytes, row.tensor_bytes) == (size, tensors) or not place:
                break  # the first row is of the file that was given
            row = replace(row, file_bytes=size, tensor_bytes=tensors)
        os.replace(self.scratch, path)
        return sized

    def promote(self) -> None:
        """Make the network after the last finished step the result."""
        write_atomically(self.out, self.unfinished.read_bytes())

    def rows_kept(self, rows: Sequence[Row]) -> int:
        """Return how many of these rows the result has; 0 where there is none, or one of another chain."""
        if not self.out.is_file():
            return 0
        found = [(row.get("step"), row.get("score"), row.get("seconds")) for row in rows_in(read_card(self.out))]
        same = found == [(row.step, row.score, row.seconds) for row in rows[: len(found)]]
        return len(found) if same else 0

    def remove_unfinished(self) -> None:
        """Remove what only a chain in progress needs."""
        for path in (self.unfinished, self.scratch, self.lock):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def read(self) -> tuple[dict[str, Any], list[Row]]:
        """Return the chain and the rows of the last finished step. Raises: UsageError where there is none to go on."""
        if not self.unfinished.is_file():
            there = f"`{self.out}` is finished" if self.out.exists() else f"there is no `{self.unfinished}`"
            raise UsageError(f"Nothing to resume: {there}. Leave out `--resume` to start again.")
        section = read_card(self.unfinished).get(SECTION)
        try:
            rows = [Row.from_dict(row) for row in section["rows"]]  # type: ignore[index]
            chain = {name: value for name, value in section.items() if name != "rows"}  # type: ignore[union-attr]
            if len(rows) < 2:
                raise ValueError("no step")
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BundleError(
                f"`{self.unfinished}` does not say which steps are done; start again without `--resume`."
            ) from error
        return chain, rows


def tensor_bytes(path: Path) -> int:
    """Return how many bytes of a model file are those of tensors."""
    with open_regular(path) as file:
        return path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def named(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Return files by name and content, as a card may name them."""
    return [{"file": path.name, "sha256": digest(path)} for path in paths]
