"""Runs as separate processes: they continue when the process that started them ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from fovea.errors import StorageError, UsageError
from fovea.runs.folder import Run
from fovea.runs.steering import STOPPED, ask
from fovea.storage import make_folder

MOST_AT_ONCE = 8
"""Trainings that one process has started and that still run."""
LOG = "train.log"
"""In the run folder: what the training says."""
MOST_SAID = 16_384
"""Bytes of the end of a log that are read."""


@dataclass(eq=False)
class Launcher:
    """Starts trainings, and knows how those that it has started ended."""

    folder: Path
    """The working folder of the trainings."""
    _processes: dict[Path, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def start(self, data: str, options: Sequence[str], *, name: str, environment: Mapping[str, str] = {}) -> Run:  # noqa: B006 (only read)
        """Start `fovea train data --out runs/NAME options`, and return its run; a number is added to a name in use.

        Raises:
            UsageError: too many run already.
            StorageError: the folder cannot be made.
        """
        with self._lock:
            self._check_room()
            run = self._new_run(name)
            self._launch(run, ["--out", str(run.folder), *options, "--", data], environment)
        return run

    def resume(self, run: Run, options: Sequence[str] = ()) -> None:
        """Go on with a run. Raises: UsageError where it runs already, or too many do."""
        with self._lock:
            if self.is_alive(run) or run.is_held:
                raise UsageError(f"`{run.folder.name}` is being trained already.")
            self._check_room()
            self._launch(run, ["--resume", str(run.folder), *options], {})

    def stop(self, run: Run) -> None:
        """Ask a training to stop after its step, or end one that has not begun yet.

        Raises: StorageError where it cannot be asked.
        """
        if run.is_held:
            ask(run, state=STOPPED)
        elif self.is_alive(run):
            self._processes[_key(run)].send_signal(signal.SIGINT)

    def is_alive(self, run: Run) -> bool:
        """Return whether a process that was started here for a run is still there."""
        process = self._processes.get(_key(run))
        return process is not None and process.poll() is None

    def code(self, run: Run) -> int | None:
        """Return how the process that was started here ended: 0 done, 130 stopped, below 0 a signal; else None."""
        process = self._processes.get(_key(run))
        return None if process is None else process.poll()

    def _check_room(self) -> None:
        alive = sum(process.poll() is None for process in self._processes.values())
        if alive >= MOST_AT_ONCE:
            raise UsageError(f"{alive} runs are in progress, which is the limit; stop one first.")

    def _new_run(self, name: str) -> Run:
        make_folder(self.folder / "runs")
        for number in range(1, 1001):
            folder = self.folder / "runs" / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise StorageError(f"Cannot make the folder `{folder.name}`: {error.strerror}.") from error
            return Run(folder)
        raise StorageError(f"`runs` already holds a thousand runs called `{name}`; give another name.")

    def _launch(self, run: Run, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        with (run.folder / LOG).open("ab") as log:
            self._processes[_key(run)] = subprocess.Popen(
                [sys.executable, "-m", "fovea", "train", *arguments],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # neither Ctrl-C nor the end of this process reaches it
            )


def said(run: Run) -> str:
    """Return the end of what a training that was launched says."""
    try:
        with (run.folder / LOG).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - MOST_SAID))
            return log.read(MOST_SAID).decode(errors="replace")
    except OSError:
        return ""


def _key(run: Run) -> Path:
    return run.folder.resolve()
