"""The order of uncertainty as it is computed: its progress is shown, and it ends when it is no longer needed."""

from dataclasses import dataclass

from nicegui import run

from fovea.display import Display
from fovea.jobs.label_order import label_order
from fovea.model.bundle import Bundle
from fovea.studio.label.labelling import Labelling
from fovea.studio.opened import shared


class Unwanted(Exception):
    """Nobody waits for it."""


@dataclass(eq=False)
class Ordering:
    """One order, asked for by one page."""

    told: str = ""
    """How far it is."""
    stopped: bool = False

    def stop(self) -> None:
        """End it soon."""
        self.stopped = True

    async def names(self, bundle: Bundle, labelling: Labelling, by: str) -> list[str] | None:
        """Return the names of the images without a label, the first to label first; None where it was stopped.

        Raises: what `label_order` raises.
        """
        # a network of its own: another thread asks the page's for proposals, and what is captured must not mix
        own = shared(bundle)
        labelled, display = labelling.labelled, _Told(self)
        try:
            found = await run.io_bound(label_order, own, labelling.pool, by=by, labelled=labelled, display=display)
        except Unwanted:
            return None
        return None if self.stopped or found is None else [name for name, _ in found]


class _Told(Display):
    """Keeps the progress; ends the work when it is no longer needed."""

    def __init__(self, ordering: Ordering) -> None:
        super().__init__(quiet=True)
        self._ordering = ordering

    def advance(self, title: str, done: float, total: float, *, detail: str = "") -> None:
        """Keep how far it is. Raises: Unwanted."""
        if self._ordering.stopped:
            raise Unwanted
        self._ordering.told = f"{title}: {done:,.0f} of {total:,.0f}"
