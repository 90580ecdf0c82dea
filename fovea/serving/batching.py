"""Batches from what is waiting: whatever is there when the engine is idle is computed at once."""

import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Outcome = NDArray[np.float64] | Exception
"""What came of an image: its decoded row (K,), or why there is none."""


@dataclass(slots=True, eq=False)
class Job:
    """One image on its way: decoded, or as its bytes where it is decoded while it is computed."""

    deadline: float
    """In seconds of `time.monotonic`."""
    future: "Future[Outcome]"
    source: bytes | None = None
    """The bytes of a file; None once it is decoded. Of several tiles they wait, not the pixels."""
    sample: NDArray[Any] | None = None
    """As it is stored: (H, W, C) uint8 of an image."""
    ready_at: float = 0.0
    """When it was decoded."""
    dropped: bool = False
    """Whether no client waits for it any more."""

    @property
    def is_wanted(self) -> bool:
        """Whether its answer would come in time."""
        return not self.dropped and time.monotonic() < self.deadline


class Batcher:
    """Computes what is put into it, in batches, in one thread of its own.

    An image that finds the engine idle is computed at once. Those that come while it is busy are the next batch, as
    soon as it is idle; only where further images are being decoded just then, and the batch has room, does it wait for
    these: until the first image of the batch has waited for `wait_s`.
    """

    def __init__(
        self,
        compute: Callable[[NDArray[Any]], Rows],
        *,
        batch: int,
        wait_s: float,
        loop: AbstractEventLoop,
        noted: Callable[[NDArray[Any], Rows], None] = lambda samples, rows: None,
        look_at: Callable[[bytes, Callable[[], bool]], Rows] | None = None,
    ) -> None:
        self._compute, self._noted, self._look_at = compute, noted, look_at
        self._batch, self._wait_s, self._loop = batch, wait_s, loop
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._coming = 0
        self._closed = False
        self._idle_since = 0.0
        self.seconds_each = 0.0
        """What an image takes, as a moving mean."""
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """How many decoded images are waiting."""
        return len(self._waiting)

    def announce(self, count: int) -> None:
        """Say that so many images are being decoded: each will be `put`, or `withdrawn`."""
        with self._changed:
            self._coming += count

    def withdraw(self) -> None:
        """Say that an image that was announced does not come."""
        with self._changed:
            self._coming -= 1
            self._changed.notify()

    def put(self, job: Job) -> None:
        """Add a decoded image that was announced."""
        job.ready_at = time.monotonic()
        with self._changed:
            self._coming -= 1
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Compute what is waiting or announced, then end the thread; waits for neither."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> None:
        """Hand outcomes to those who wait for them, in the thread of the event loop."""
        self._loop.call_soon_threadsafe(_deliver, outcomes)

    def _run(self) -> None:
        while jobs := self._next():
            wanted = [job for job in jobs if job.is_wanted]
            if ready := [job for job in wanted if job.sample is not None]:
                self.settle(self._computed(ready))
            for job in wanted:
                if job.sample is None and job.is_wanted:
                    self.settle([(job, self._looked_at(job))])

    def _next(self) -> list[Job]:
        """Return the images of the next batch; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or (self._closed and not self._coming))
            if self._waiting and self._waiting[0].ready_at < self._idle_since:
                left = self._waiting[0].ready_at + self._wait_s - time.monotonic()
                self._changed.wait_for(lambda: not self._coming or len(self._waiting) >= self._batch, max(0.0, left))
            return [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]

    def _computed(self, jobs: Sequence[Job]) -> list[tuple[Job, Outcome]]:
        began = time.monotonic()
        samples = np.stack([job.sample for job in jobs if job.sample is not None])
        try:
            rows = self._compute(samples)
        except Exception as error:
            if len(jobs) == 1:
                return [(jobs[0], error)]
            return [pair for job in jobs for pair in self._computed([job])]  # the fault of one is not that of all
        self._idle_since = time.monotonic()
        each = (self._idle_since - began) / len(jobs)
        self.seconds_each = each if self.seconds_each == 0 else 0.9 * self.seconds_each + 0.1 * each
        self._noted(samples, rows)
        return list(zip(jobs, rows, strict=True))

    def _looked_at(self, job: Job) -> Outcome:
        """Return what came of an image that is decoded and computed at once, alone."""
        if self._look_at is None or job.source is None:
            return ValueError("This image was not decoded.")
        try:
            (row,) = self._look_at(job.source, lambda: job.is_wanted)
            return cast(Rows, row)
        except Exception as error:
            return error
        finally:
            self._idle_since = time.monotonic()


def _deliver(outcomes: Sequence[tuple[Job, Outcome]]) -> None:
    for job, outcome in outcomes:
        if not job.future.done():
            job.future.set_result(outcome)
