"""What takes seconds and is done behind the first page: PyTorch's import, the network, the code of the rooms."""

from collections.abc import Callable, Sequence
from importlib import import_module
from threading import Thread

from fovea.studio.opened import Opened


class Loading:
    """The loading of what a studio was opened with, in a thread of its own."""

    def __init__(self, opened: Opened, modules: Sequence[str] = ()) -> None:
        self.opened, self.modules = opened, modules
        self.done = False
        """Whether pages can be made; also after a fault."""
        self.fault: Exception | None = None
        """Why the network cannot be shown."""

    def begin(self, ended: Callable[[], None] = lambda: None) -> None:
        """Start; `ended` is called where it fails."""
        Thread(target=self._load, args=(ended,), name="loading", daemon=True).start()

    def _load(self, ended: Callable[[], None]) -> None:
        try:
            self.opened.load()
            for module in self.modules:
                import_module(module)
        except Exception as fault:  # whatever it is, the command ends with it
            self.fault = fault
        self.done = True
        if self.fault is not None:
            ended()
