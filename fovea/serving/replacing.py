"""`--watch`: a model file that is replaced on disk is loaded beside the one that answers, and takes over if it can."""

import asyncio
import logging
import os
from pathlib import Path

from fovea.errors import FoveaError
from fovea.serving.meters import Meters
from fovea.serving.models import Models

EVERY_S = 1.0
State = tuple[int, int, int] | None
logger = logging.getLogger("fovea.serving")


def state_of(path: Path) -> State:
    """Return what changes when a file is replaced or written; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class Watched:
    """A file, and whether it has changed and rests again: one that is being written is left alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._seen = state_of(path)

    @property
    def is_replaced(self) -> bool:
        """Whether the file is another than before, and was the same at the last look; true once per change."""
        now = state_of(self._path)
        rests, self._seen = now == self._seen, now
        if now is None or now == self._known or not rests:
            return False
        self._known = now
        return True


async def take_over_replaced(models: Models, meters: Meters, *, speaks: bool, every_s: float = EVERY_S) -> None:
    """Load model files that are replaced, for as long as this runs; only a process that `speaks` logs it."""
    watched = {name: Watched(model.path) for name, model in models.items()}
    while True:
        await asyncio.sleep(every_s)
        for name, file in watched.items():
            if file.is_replaced:
                await _take_over(models, meters, name, speaks=speaks)


async def _take_over(models: Models, meters: Meters, name: str, *, speaks: bool) -> None:
    try:
        await models.load(name)
    except (FoveaError, OSError) as error:
        if speaks:
            meters.count(name, "refused_reloads_total")
            logger.error("%s: the new file is refused and the previous model stays in use: %s", name, error)
        return
    if speaks:
        meters.count(name, "reloads_total")
        logger.error("%s: the new file is now in use (sha256 %.12s)", name, models[name].engine.fingerprint)
