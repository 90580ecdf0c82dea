"""The models of a server by their names, each with the engine that answers for it now."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fovea.drift import Reference
from fovea.errors import shortened
from fovea.serving.admission import Places
from fovea.serving.batching import Outcome
from fovea.serving.engine import Engine, GoneError, Pace, TooLateError, Wait, fingerprint_of
from fovea.serving.meters import Meters
from fovea.serving.opening import opened
from fovea.serving.refusal import Refusal, full, gone, late
from fovea.serving.settings import Settings
from fovea.serving.watching import DriftWatch


class ServedModel:
    """One model under its name. Its engine may be exchanged: whoever is on his way is answered by the one he met."""

    engine: Engine
    drift: DriftWatch

    def __init__(self, name: str, path: Path, settings: Settings, meters: Meters) -> None:
        self.name, self.path = name, path
        self._settings, self._meters = settings, meters
        self.places = Places(settings.queue, self._full)

    def take_over(self, engine: Engine, drift: DriftWatch) -> None:
        """Answer by another engine from now on; the one before ends when it has answered for all it was asked."""
        before = getattr(self, "engine", None)
        self.engine, self.drift = engine, drift
        if before is not None:
            before.close()

    def place(self, wait: Wait) -> AbstractContextManager[Callable[[int], None]]:
        """Hold a place for an image while the body runs; yields what takes further ones.

        Raises: Refusal where there is none, or what is before it would take longer than the request waits.
        """
        if self.places.taken * self.engine.seconds_each > wait.seconds:
            raise self._full()
        return self.places.held(1)

    async def answers(self, given: Sequence[bytes | NDArray[Any]], wait: Wait) -> list[Outcome]:
        """Return the row (K,) float64 of each image, or the error that there is instead.

        Raises: Refusal where the time is over first, or the client has disconnected.
        """
        try:
            outcomes = await self.engine.answers(given, wait)
        except TooLateError:
            self._meters.count(self.name, "expired_total")
            raise late(wait.seconds) from None
        except GoneError:
            raise gone() from None
        refused = sum(isinstance(outcome, Exception) for outcome in outcomes)
        self._meters.count(self.name, "refused_images_total", refused)
        self._meters.count(self.name, "images_total", len(outcomes) - refused)
        return outcomes

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        self._meters.set(self.name, "queue_depth", self.engine.depth)
        self._meters.set(self.name, "in_flight_images", self.places.taken)

    def _full(self) -> Refusal:
        self._meters.count(self.name, "shed_total")
        return full(self._settings.busy_status, self.places.taken * self.engine.seconds_each)


class Models(Mapping[str, ServedModel]):
    """The models of one process, the first of which is meant where none is named."""

    def __init__(
        self,
        paths: Mapping[str, Path],
        settings: Settings,
        meters: Meters,
        references: Mapping[str, Reference],
    ) -> None:
        self._settings, self._meters, self._references = settings, meters, references
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="decoding")
        self._models = {name: ServedModel(name, path, settings, meters) for name, path in paths.items()}

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Any:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def named(self, name: str | None) -> ServedModel:
        """Return the model of a name; of None, the first.

        Raises: Refusal (404).
        """
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise Refusal(404, f"There is no model `{shortened(name)}`; available are {', '.join(self._models)}.")
        return self._models[name]

    async def load(self, name: str) -> None:
        """Load the file of a model, try it, and answer by it from now on.

        Raises: FoveaError if it cannot be loaded; the model that was loaded before stays.
        """
        model, settings = self._models[name], self._settings
        fingerprint = await asyncio.to_thread(fingerprint_of, model.path)
        scorer = await asyncio.to_thread(opened, model.path, threads=settings.threads)
        reference = self._references.get(name) or Reference.from_card(scorer.card)
        tiles = bool(getattr(scorer.preprocess, "tiles", False))
        drift = DriftWatch(name, reference, self._meters, tiles=tiles)

        def noted(samples: NDArray[Any], rows: NDArray[Any]) -> None:
            self._meters.observe(name, "batch_size", len(rows))
            drift.note(samples, scorer.target.watched(rows))

        pace = Pace(batch=settings.batch, wait_s=settings.wait_ms / 1000)
        model.take_over(Engine(scorer, pace, pool=self._pool, noted=noted, fingerprint=fingerprint), drift)

    def close(self) -> None:
        """End all threads when what was begun is done."""
        for model in self._models.values():
            if hasattr(model, "engine"):
                model.engine.close()
        self._pool.shutdown(wait=False)


def wait_asked(text: str | None, settings: Settings, when_gone: list[Callable[[], None]]) -> Wait:
    """Return how long a request waits that asks for an answer within so many seconds.

    Raises: Refusal (400) for what is no number above 0.
    """
    try:
        seconds = settings.timeout_s if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise Refusal(400, f"`X-Timeout-S` (={shortened(text)}) must be a number of seconds above 0.")
    seconds = min(seconds, settings.timeout_s)
    return Wait(seconds=seconds, deadline=time.monotonic() + seconds, when_gone=when_gone)
