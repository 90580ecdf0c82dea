"""One work of a page at a time, in a thread: it says how far it is, and a newer one, or its user, stops it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from nicegui import run

from fovea.display import Display

T = TypeVar("T")
INTERVAL_S = 0.2
"""Between two words on how far it is."""


class Stopped(Exception):  # noqa: N818 (not an error)
    """What a work ends with that is not wanted any more."""


class Watched(Display):
    """How far a work is; what tells it so learns that the work is to stop."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.title, self.share, self.stopped = "", 0.0, False

    def advance(self, title: str, done: float, total: float, *, detail: str = "") -> None:
        """Keep that `title` is at `done` of `total`. Raises: Stopped where that is not wanted any more."""
        if self.stopped:
            raise Stopped
        self.title, self.share = title, done / max(total, 1)


class Works:
    """The works of one page; `told` is called with the progress of the one that runs, 0..1, and its title."""

    def __init__(self, told: Callable[[float, str], None]) -> None:
        self.told = told
        self._lock = asyncio.Lock()
        self._newest: Watched | None = None

    def stop(self) -> None:
        """Stop what runs."""
        if self._newest is not None:
            self._newest.stopped = True
        self._newest = None

    async def do(self, work: Callable[[Watched], T]) -> T | None:
        """Return what a work returns, in place of what runs; None where it was stopped."""
        self.stop()
        self._newest = mine = Watched()
        async with self._lock:
            if mine.stopped:
                return None
            task = asyncio.ensure_future(run.io_bound(work, mine))
            while not task.done():
                await asyncio.wait([task], timeout=INTERVAL_S)
                if not task.done() and not mine.stopped:
                    self.told(mine.share, mine.title)
            try:
                found = task.result()
            except Stopped:
                return None
            return None if mine.stopped else found
