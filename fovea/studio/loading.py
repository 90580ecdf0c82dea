"""What takes seconds and is done behind the first page: PyTorch's import, the network, the code of the rooms."""

from collections.abc import Callable, Sequence
from importlib import import_module
from threading import Lock, Thread

from fovea.studio.opened import Opened


class Loading:
    """The loading of what a studio was opened with, in a thread of its own: the network, then the rooms' modules.

    The module `first` comes before the network.
    """

    def __init__(self, opened: Opened, modules: Sequence[str] = (), *, first: str = "") -> None:
        self.opened = opened
        self.done = False
        """Whether there is no more to wait for; also after a fault."""
        self.fault: Exception | None = None
        """Why the network cannot be shown."""
        self._first, self._waiting, self._there = first, list(modules), set[str]()
        self._lock = Lock()

    def begin(self, ended: Callable[[], None] = lambda: None) -> None:
        """Start; `ended` is called where it fails."""
        Thread(target=self._load, args=(ended,), name="loading", daemon=True).start()

    def ready(self, module: str) -> bool:
        """Tell whether pages of a room's module can be made, or never will; until then it is the next one."""
        with self._lock:
            if module in self._waiting:
                self._waiting.remove(module)
                self._waiting.insert(0, module)
            return self.done or module in self._there

    def _load(self, ended: Callable[[], None]) -> None:
        try:
            if self._first:
                self._import(self._first)
            self.opened.load()
            while (module := self._next()) is not None:
                self._import(module)
        except Exception as fault:  # whatever it is, the command ends with it
            self.fault = fault
        self.done = True
        if self.fault is not None:
            ended()

    def _import(self, module: str) -> None:
        import_module(module)
        self._there.add(module)

    def _next(self) -> str | None:
        with self._lock:
            return self._waiting.pop(0) if self._waiting else None
