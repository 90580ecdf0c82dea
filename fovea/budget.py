"""How much memory strangers' files may ask for: one budget, in one place. docs/security.md lists what it bounds."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fovea.errors import UsageError

MEGABYTE = 1_000_000
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
ASSUMED_BYTES = 4_000 * MEGABYTE
"""Stands for the machine's memory where the system does not say."""


@cache
def machine_bytes() -> int:
    """Return the memory of the machine, or of the container where that is less."""
    found = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in CONTAINER_LIMITS:
        try:
            found.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # no container, or `max`
            continue
    return min(found, default=ASSUMED_BYTES)


def most_threads() -> int:
    """Return how many threads a training may ask for: more than there are processors, so that a run goes on elsewhere.

    Thousands are refused by the operating system, which ends the process.
    """
    return max(256, 4 * (os.cpu_count() or 1))


class Budget(NamedTuple):
    """A bound in bytes, and the environment variable that changes it."""

    setting: str
    default: Callable[[], int]

    @property
    def bytes(self) -> int:
        """How much it allows at this moment.

        Raises: UsageError if the setting is no whole number of megabytes.
        """
        text = os.environ.get(self.setting, "")
        if not text:
            return self.default()
        if not (text.isascii() and text.isdigit() and int(text)):
            raise UsageError(
                f"`{self.setting}` (={text}) must be a whole number of megabytes, at least 1, for example 1000."
            )
        return int(text) * MEGABYTE

    def excess(self, needed: int) -> str:
        """Return what to say of something that needs more than is allowed; nothing where it fits."""
        if needed <= (allowed := self.bytes):
            return ""
        wanted = -(-needed // MEGABYTE)
        return (
            f"{wanted:,} MB, more than the {allowed // MEGABYTE:,} MB allowed; set `{self.setting}={wanted}` to "
            "allow it"
        )


IMAGE = Budget("FOVEA_IMAGE_MB", lambda: 400 * MEGABYTE)
"""For decoding one image, its conversion and its resizing included."""
INPUT = Budget("FOVEA_INPUT_MB", lambda: 2_000 * MEGABYTE)
"""For what a network of a model file holds at a time for one input."""
WEIGHTS = Budget("FOVEA_WEIGHTS_MB", lambda: 2_000 * MEGABYTE)
"""For the tensors of a model file that are coded, when they are decoded."""
TABLE = Budget("FOVEA_TABLE_MB", lambda: machine_bytes() // 2)
"""For the arrays of one `.npz`, or a column of Parquet as it is read."""


def batch_bytes() -> int:
    """Return what a batch may hold: four times what one input may take, if half of the machine is that."""
    return max(INPUT.bytes, min(4 * INPUT.bytes, machine_bytes() // 2))


def batch_within(batch: int, each_bytes: int) -> int:
    """Return how many of a batch may be held at once, within `batch_bytes`."""
    return max(1, min(batch, batch_bytes() // max(1, each_bytes)))


class Shared:
    """Memory that threads share: whoever wants more than is left waits until others have given theirs back."""

    def __init__(self, total: Callable[[], int]) -> None:
        self._total = total
        self._changed = threading.Condition()
        self._taken = 0

    @property
    def taken(self) -> int:
        """Bytes in use at this moment."""
        return self._taken

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Return what takes a number of bytes, once; they are given back at the end of the body."""
        mine = 0

        def take(needed: int) -> None:
            nonlocal mine
            if mine:
                raise ValueError("memory is reserved once: reserving more while holding some could wait for ever")
            total = self._total()
            with self._changed:
                # alone even the largest goes on: its own bound has been checked
                self._changed.wait_for(lambda: not self._taken or self._taken + needed <= total)
                self._taken, mine = self._taken + needed, needed

        try:
            yield take
        finally:
            with self._changed:
                self._taken -= mine
                self._changed.notify_all()


DECODING = Shared(lambda: max(IMAGE.bytes, machine_bytes() // 4))
"""What all threads that decode hold together: a quarter of the machine, or one image where that is more."""
