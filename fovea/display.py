"""What a person sees while a job runs: bars on a terminal, one line in a notebook, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from fovea.notebook import cell_output
from fovea.texts import shown

PLAIN_INTERVAL_S = 10.0
"""Off a terminal, a counter is printed no more often than this."""
CELL_INTERVAL_S = 0.3
"""In a notebook a counter is shown no more often than this."""


class _Bars(Progress):
    """Bars of what is not done yet, and below each a line with the rest of what there is to say of it."""

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in (task for task in self.tasks if not task.finished):
            yield self.make_tasks_table([task])
            if detail := task.fields["detail"]:
                yield Text(f"  {shown(detail)}", style="dim", no_wrap=True, overflow="ellipsis")


class Display(AbstractContextManager["Display"]):
    """Notes, counters and bars on standard error.

    `began_at` is the moment, by `time.monotonic`, at which the person began to wait: now, where it is None.
    """

    def __init__(self, *, quiet: bool = False, began_at: float | None = None) -> None:
        self.began_at = time.monotonic() if began_at is None else began_at
        self.console = Console(stderr=True, quiet=quiet, highlight=False, markup=False, emoji=False)
        self.cell = None if quiet else cell_output()
        self.live = self.console.is_terminal and not quiet and self.cell is None
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    @property
    def waited_s(self) -> float:
        """Seconds that the person has waited so far."""
        return time.monotonic() - self.began_at

    def note(self, text: str) -> None:
        """Print one line; in a notebook it takes the place of the one before."""
        if self.cell is not None:
            self.cell.note(text)
            return
        self.console.print(shown(text), soft_wrap=True)

    def counter(self, title: str) -> Callable[[int, int], None]:
        """Return a function of (done, total) that shows how far `title` is."""
        return lambda done, total: self.advance(title, done, total)

    def fetched(self, title: str, done: int, total: int | None) -> None:
        """Show that a download or an archive is at `done` bytes of `total`, where that is known."""
        if total:
            self.advance(title, done, total)

    def advance(self, title: str, done: float, total: float, *, detail: str = "") -> None:
        """Show that `title` is at `done` of `total`."""
        if self.live:
            self._advance_bar(title, done, total, detail)
            return
        now = time.monotonic()
        last = self._printed.setdefault(title, now)
        interval = PLAIN_INTERVAL_S if self.cell is None else CELL_INTERVAL_S
        if now - last >= interval and done < total:
            self._printed[title] = now
            say = self.note if self.cell is None else self.cell.line
            say(f"{title}: {100 * done / total:.0f} %  {detail}".rstrip())

    def _advance_bar(self, title: str, done: float, total: float, detail: str) -> None:
        if self._progress is None:
            named = TextColumn("{task.description}", markup=False)
            columns = (named, BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
            self._progress = _Bars(*columns, TimeRemainingColumn(), console=self.console, transient=True)
            self._progress.start()
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(shown(title), total=total, detail=detail)
        self._progress.update(self._tasks[title], completed=done, total=total, detail=detail)

    def finish(self) -> None:
        """Remove the bars; in a notebook the last note stays."""
        if self.cell is not None and self.cell.notes:
            self.cell.line(self.cell.notes[-1])
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}
        if sys.stderr is not None:
            sys.stderr.flush()
