"""Ctrl-C and termination, turned into a clean stop."""

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

from fovea.display import Display


class Interruption(AbstractContextManager["Interruption"]):
    """Within it the first Ctrl-C or termination asks for a stop, and the second Ctrl-C stops at once.

    Signals reach the main thread only; in another nothing changes.
    """

    def __init__(self, display: Display) -> None:
        self.display = display
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if number == signal.SIGINT:
            self.display.note("Stopping after this step; press Ctrl-C again to stop at once.")
