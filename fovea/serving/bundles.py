"""Bundles as a server has them: exported into a private folder, again whenever they are replaced."""

import logging
import subprocess
from pathlib import Path

from fovea.errors import BundleError
from fovea.serving.preparing import Preparation
from fovea.serving.replacing import Watched

logger = logging.getLogger("fovea.serving")


class WatchedBundle:
    """A bundle that is exported anew when it is replaced; workers take over the exported file as any other."""

    def __init__(self, name: str, bundle: Path, exported: Path) -> None:
        self._name = name
        self._watched = Watched(bundle)
        self._order = Preparation(model=bundle, out=exported)
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Begin or end an export, where it is time to; about once a second."""
        if self._process is None:
            if self._watched.is_replaced:
                self._process = self._order.start()
        elif self._process.poll() is not None:
            try:
                self._order.result(self._process)
            except BundleError as error:
                logger.error("%s: the new file is refused and the previous model stays in use: %s", self._name, error)
            self._process = None

    def close(self) -> None:
        """End an export that is in progress."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
