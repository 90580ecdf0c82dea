"""One model at work: bytes are decoded in threads, computed in batches, and answered in time."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from fovea.card import Card
from fovea.errors import FoveaError
from fovea.inputs.interface import Preprocessing
from fovea.serving.batching import Batcher, Job, Outcome, Rows
from fovea.serving.tiles import Tiles
from fovea.tasks.task import Task


class Scorer(Protocol):
    """What is served: the part of a `Predictor` that a server needs."""

    @property
    def card(self) -> Card:
        """What the model file says of itself."""
        ...

    @property
    def target(self) -> Task:
        """What the outputs mean."""
        ...

    @property
    def preprocess(self) -> Preprocessing:
        """How a sample becomes the input."""
        ...

    def scores(self, samples: NDArray[Any], *, batch: int = 256) -> Rows:
        """Return decoded rows (N, K) float64 for stored samples (N, ...): probabilities, or a number."""
        ...


class TooLateError(FoveaError):
    """A request whose time was over before its answer was there."""


class GoneError(FoveaError):
    """A request whose client has disconnected."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """How long somebody waits for answers."""

    seconds: float
    """That were asked for."""
    deadline: float
    """When they are over, in seconds of `time.monotonic`."""
    when_gone: list[Callable[[], None]] = field(default_factory=list)
    """What is called if no client waits any more."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How batches are made."""

    batch: int
    wait_s: float


class Engine:
    """Answers for the images that one loaded model file is asked about."""

    def __init__(
        self,
        scorer: Scorer,
        pace: Pace,
        *,
        pool: ThreadPoolExecutor,
        noted: Callable[[NDArray[Any], Rows], None] = lambda samples, rows: None,
        fingerprint: str = "",
    ) -> None:
        self.scorer, self.fingerprint, self.tiles = scorer, fingerprint, Tiles(scorer)
        self.loaded_at = time.time()
        self._pool = pool
        loop = asyncio.get_running_loop()
        self._batcher = Batcher(
            self._compute, batch=pace.batch, wait_s=pace.wait_s, loop=loop, noted=noted, look_at=self.tiles.rows
        )
        self._batch = pace.batch

    @property
    def depth(self) -> int:
        """How many decoded images wait to be computed."""
        return self._batcher.depth

    @property
    def seconds_each(self) -> float:
        """What an image takes to compute, as a moving mean; 0 before the first."""
        return self._batcher.seconds_each

    async def answers(self, given: Sequence[bytes | NDArray[Any]], wait: Wait) -> list[Outcome]:
        """Return a row (K,) float64 for each image, encoded or a stored sample, or the error that there is instead.

        Raises:
            TooLateError: the deadline passes before.
            GoneError: no client waits any more.
        """
        loop = asyncio.get_running_loop()
        jobs = [_job(each, loop.create_future(), wait.deadline) for each in given]
        wait.when_gone.append(lambda: _abandon(jobs))
        self._batcher.announce(len(jobs))
        for job in jobs:
            if job.source is None:
                self._batcher.put(job)
            else:
                self._pool.submit(self._prepare, job)
        try:
            async with asyncio.timeout_at(wait.deadline):
                outcomes = [await job.future for job in jobs]
        except TimeoutError:
            raise TooLateError("The request has timed out.") from None
        finally:
            for job in jobs:
                job.dropped = True
        if outcomes and isinstance(outcomes[0], GoneError):
            raise outcomes[0]
        return outcomes

    def close(self) -> None:
        """End the thread when all that was begun is computed; does not wait for that."""
        self._batcher.close()

    def _prepare(self, job: Job) -> None:
        """Decode an image in a thread of the pool."""
        if not job.is_wanted or job.source is None:
            self._batcher.withdraw()
            return
        try:
            if self.tiles.several(job.source):
                self._batcher.put(job)
                return
            job.sample = self.scorer.preprocess.read(job.source)
        except Exception as error:  # also what should not happen: who waits must hear of it
            self._batcher.withdraw()
            self._batcher.settle([(job, error)])
            return
        job.source = None
        self._batcher.put(job)

    def _compute(self, samples: NDArray[Any]) -> Rows:
        return self.scorer.scores(samples, batch=self._batch)


def _job(given: bytes | NDArray[Any], future: "asyncio.Future[Outcome]", deadline: float) -> Job:
    if isinstance(given, bytes):
        return Job(deadline, future, source=given)
    return Job(deadline, future, sample=given)


def _abandon(jobs: Sequence[Job]) -> None:
    """Let nothing be computed for jobs that is not begun, and end the wait for them; in the loop's thread."""
    for job in jobs:
        job.dropped = True
        if not job.future.done():
            job.future.set_result(GoneError("The client has disconnected."))


def fingerprint_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
