"""The parent of a server's processes: starts them, starts again what ends, and ends them without losing a request.

It holds the listening socket and the counters; it loads no model itself.
"""

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from fovea.drift import Reference
from fovea.errors import FoveaError, StorageError, UsageError
from fovea.serving.meters import Meters, size_bytes
from fovea.serving.settings import Settings, origin_of
from fovea.serving.worker import BACKLOG, Order

START_S = 120.0
"""A process that has not loaded its models by then is ended."""
SOON_S = 5.0
"""One that ends again within so long waits before it is started again, each time longer."""
LONGEST_PAUSE_S = 30.0
logger = logging.getLogger("fovea.serving")


class ServingError(FoveaError, RuntimeError):
    """A server that cannot begin."""


@dataclass(kw_only=True)
class Child:
    """A process, and how it is started."""

    what: str
    module: str
    order: str
    """In one line."""
    descriptors: Sequence[int] = ()
    """That it inherits."""
    ended: Callable[[], None] = lambda: None
    drains: bool = True
    """Whether it is to answer what it has; one that does not is needed by the others until they have."""
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    due_at: float = 0.0
    """When it is to be started again."""
    pause_s: float = 0.0

    def start(self) -> None:
        """Start the process; `wait_ready` waits until it works."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=tuple(self.descriptors),
        )
        stdin = self.process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):  # it has ended already
                stdin.write(f"{self.order}\n".encode())
                stdin.flush()

    def wait_ready(self, stopped: Callable[[], bool]) -> None:
        """Wait until it says that it is ready, or it is `stopped`. Raises: ServingError with what it says instead."""
        if self.process is None or self.process.stdout is None:
            raise ServingError(f"The {self.what} has not been started.")
        while time.monotonic() < self.started_at + START_S and not stopped():
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                said = self.process.stdout.readline().decode(errors="replace").strip()
                if said == "ready":
                    return
                raise ServingError(said or f"The {self.what} ended before it was ready; its messages are above.")
        if not stopped():
            raise ServingError(f"The {self.what} was not ready after {START_S:.0f} s.")

    def look(self) -> None:
        """Start it again where it has ended, and its pause is over."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due_at:
                self.due_at = now + LONGEST_PAUSE_S  # where it cannot be started
                self.start()
        elif self.process.poll() is not None:
            how = _how(self.process)
            _close(self.process)
            self.process = None
            self.pause_s = min(max(1.0, 2 * self.pause_s), LONGEST_PAUSE_S) if now - self.started_at < SOON_S else 0.0
            self.due_at = now + self.pause_s
            logger.error("the %s has ended (%s) and is restarted", self.what, how)
            self.ended()

    def end(self, number: signal.Signals) -> None:
        """Send a signal, where it lives."""
        if self.process is not None:
            self.process.send_signal(number)


@dataclass(kw_only=True)
class Supervisor:
    """A server as a whole."""

    settings: Settings
    models: dict[str, Path]
    """Exported networks by name."""
    folder: Path
    """Of this server alone; whoever made it removes it."""
    bundles: dict[str, Path] = field(default_factory=dict)
    """What is explained."""
    references: dict[str, Reference] = field(default_factory=dict)
    further: Sequence[Callable[[], None]] = ()
    """Called about once a second."""
    ready: Callable[[str], None] = lambda origin: None
    """Gets the address when all processes answer."""

    def run(self) -> None:
        """Serve until SIGTERM, or Ctrl-C.

        Raises:
            KeyboardInterrupt: it was Ctrl-C; all is answered and ended.
            ServingError: a model cannot be loaded, or a process not started.
            UsageError, StorageError: the address cannot be used.
        """
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(listening(self.settings))
            counters = stack.enter_context(tempfile.TemporaryFile())
            told = stack.enter_context(_told_to_end())
            children = self._children(listener, counters.fileno())
            stack.callback(_end_all, children)
            for child in children:
                child.start()
            for child in children:
                child.wait_ready(lambda: bool(told))
            host, port = listener.getsockname()[:2]
            if not told:
                self.ready(origin_of(host, port))
            self._watch(children, told)
            workers = [child for child in children if child.drains]
            for child in workers:
                child.end(signal.SIGTERM)
            _wait_all(workers, told, self.settings.timeout_s + 10)
        if signal.SIGINT in told:
            raise KeyboardInterrupt

    def _watch(self, children: Sequence[Child], told: list[int]) -> None:
        next_second = 0.0
        while not told:
            looks = [child.look for child in children]
            if time.monotonic() >= next_second:
                next_second = time.monotonic() + 1
                looks += self.further
            for look in looks:
                try:
                    look()
                except OSError as error:  # no memory for another process, as yet
                    logger.error("a process could not be started: %s", error.strerror or error)
            time.sleep(0.05)

    def _children(self, listener: socket.socket, counters: int) -> list[Child]:
        slots = self.settings.workers
        os.ftruncate(counters, size_bytes(len(self.models), slots))
        meters = Meters(counters, list(self.models), slots=slots)
        address = str(self.folder / "explain")
        descriptors = listener.fileno(), counters
        found = []
        for slot in range(slots):
            order = Order(
                settings=self.settings,
                models=self.models,
                slot=slot,
                listener=descriptors[0],
                meters=descriptors[1],
                references=self.references,
                explainer=address if self.settings.explain else "",
            )
            found.append(
                Child(
                    what=f"worker {slot}",
                    module="fovea.serving.worker",
                    order=order.to_json(),
                    descriptors=descriptors,
                    ended=lambda slot=slot: meters.restarted(slot),  # type: ignore[misc]
                )
            )
        if self.settings.explain:
            named = {name: str(path) for name, path in self.bundles.items()}
            order_of_explainer = json.dumps({"address": address, "models": named})
            explainer = Child(what="explainer", module="fovea.serving.explaining", order=order_of_explainer)
            explainer.ended, explainer.drains = lambda: Path(address).unlink(missing_ok=True), False
            found.append(explainer)
        return found


def listening(settings: Settings) -> socket.socket:
    """Return the socket that all workers accept from.

    Raises:
        UsageError: there is no such address here.
        StorageError: the port is taken, or not for this user.
    """
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind, protocol)  # with a protocol, as asyncio asks it before TCP_NODELAY
    except (OSError, UnicodeError) as error:
        raise UsageError(f"`host` (={settings.host}) is not an address of this machine: {error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise StorageError(
            f"`{origin_of(settings.host, settings.port)}` cannot be used ({reason}); choose another --port, or 0 "
            "for any free port."
        ) from error
    return listener


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the body as any exception does, so that nothing is left behind; in the main thread only."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    with _handled({signal.SIGTERM: end}):
        yield


@contextlib.contextmanager
def _handled(handlers: Mapping[int, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """Handle signals meanwhile; in other threads than the main one there are none to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """Yield the signals to end that have come; there are handlers for them meanwhile."""
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    with _handled({signal.SIGTERM: note, signal.SIGINT: note}):
        yield told


def _wait_all(children: Sequence[Child], told: list[int], seconds: float) -> None:
    """Wait until all have ended; not longer than `seconds`, nor after a second signal."""
    until, already = time.monotonic() + seconds, len(told)
    while any(child.process is not None and child.process.poll() is None for child in children):
        if time.monotonic() > until or len(told) > already:
            logger.error("shutting down before all requests were answered")
            return
        time.sleep(0.02)


def _end_all(children: Sequence[Child]) -> None:
    for child in children:
        if child.process is not None:
            if child.process.poll() is None:
                child.process.kill()
            child.process.wait()
            _close(child.process)


def _close(process: "subprocess.Popen[bytes]") -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _how(process: "subprocess.Popen[bytes]") -> str:
    """Return how a process ended, and what it said of that."""
    if process.returncode < 0:
        return signal.Signals(-process.returncode).name
    said = process.stdout.read().decode(errors="replace").strip() if process.stdout is not None else ""
    return said.rpartition("\n")[2] or f"exit code {process.returncode}"
