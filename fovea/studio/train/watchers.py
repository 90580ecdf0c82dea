"""Who looks at which training: several pages may look at one, each at a layer of its own."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from fovea.runs.folder import Run
from fovea.runs.live import FRESH_S, MOST_LAYERS, Looked, watch_run

MOST_PAGES = 100


@dataclass
class Watchers:
    """The pages that look, by run and page."""

    _looks: dict[tuple[Path, str], tuple[float, Looked]] = field(default_factory=dict)

    def look(self, run: Run, page: str, looked: Looked) -> None:
        """Let a training know at what all pages look that have looked at it lately, this one now."""
        now = time.monotonic()
        self._looks = {key: look for key, look in self._looks.items() if now - look[0] < FRESH_S}
        if len(self._looks) < MOST_PAGES:
            self._looks[run.folder, page] = (now, looked)
        latest = sorted(
            (look for (folder, _), look in self._looks.items() if folder == run.folder), reverse=True, key=_at
        )
        layers = dict.fromkeys(layer for _, each in latest for layer in each.layers if layer)
        watch_run(run, Looked(layers=tuple(layers)[:MOST_LAYERS], sample=looked.sample))


def _at(look: tuple[float, Looked]) -> float:
    return look[0]


WATCHERS = Watchers()
