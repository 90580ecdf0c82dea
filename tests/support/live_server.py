"""A server in a thread of the test's process, at a free port of this machine, and in processes of its own."""

import asyncio
import contextlib
import io
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from fovea.serving.connections import close_overdue
from fovea.serving.meters import Meters, size_bytes
from fovea.serving.settings import Settings
from fovea.serving.site import Site
from fovea.serving.worker import Order, Server, server_for, site_of

PATIENCE_S = 240


@dataclass
class Live:
    """A server that answers."""

    site: Site
    server: Server
    loop: asyncio.AbstractEventLoop
    port: int

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options):
        return httpx.Client(base_url=self.origin, timeout=PATIENCE_S, **options)

    def exchange(self, content: bytes, *, timeout=PATIENCE_S) -> bytes:
        """Send bytes as they are, and return all that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(content)
            found = b""
            with contextlib.suppress(OSError):
                while piece := connection.recv(65536):
                    found += piece
            return found


@contextlib.contextmanager
def live(models: dict[str, Path], *, head_s=None, **settings):
    """Yield a server of exported networks by name."""
    begun, state = threading.Event(), {}
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(models, Settings(**settings), state, begun, head_s)), daemon=True
    )
    thread.start()
    assert begun.wait(PATIENCE_S)
    if "error" in state:
        thread.join(PATIENCE_S)
        raise state["error"]
    try:
        yield state["live"]
    finally:
        state["live"].server.should_exit = True
        thread.join(PATIENCE_S / 2)
        assert not thread.is_alive(), _waiting(state["live"])


def _waiting(server: Live) -> str:
    """Return what a server that does not end waits for."""
    text = io.StringIO()
    for task in asyncio.all_tasks(server.loop):
        task.print_stack(file=text)
    return f"{server.server.server_state.connections}\n{text.getvalue()}"


async def _serve(models, settings, state, begun, head_s):
    with tempfile.TemporaryFile() as counters, socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        os.ftruncate(counters.fileno(), size_bytes(len(models), settings.workers))
        order = Order(settings=settings, models=models, slot=0, listener=-1, meters=counters.fileno())
        meters = Meters(counters.fileno(), list(models), slots=settings.workers)
        try:
            async with site_of(order, meters) as site:
                server = server_for(site)
                state["live"] = Live(site, server, asyncio.get_running_loop(), port)
                sweeping = asyncio.ensure_future(
                    close_overdue(
                        server.server_state.connections, **({"every_s": 0.05, "head_s": head_s} if head_s else {})
                    )
                )
                asyncio.ensure_future(_say(server, begun))
                await server.serve(sockets=[listener])
                sweeping.cancel()
        except Exception as error:
            state["error"] = error
            begun.set()


async def _say(server, begun):
    while not server.started:
        await asyncio.sleep(0.01)
    begun.set()


class Process:
    """`fovea serve` as its user starts it."""

    def __init__(self, *arguments, **environment):
        command = [sys.executable, "-m", "fovea", "serve", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment}
        )
        os.set_blocking(self.process.stderr.fileno(), False)
        self.words = ""

    def said(self, pattern, *, patience_s=PATIENCE_S):
        """Wait until it says what matches, on standard error, and return the match."""
        until = time.monotonic() + patience_s
        while not (found := re.search(pattern, self.words)):
            assert time.monotonic() < until, self.words
            ended = self.process.poll() is not None
            if select.select([self.process.stderr], [], [], 0.1)[0]:
                self.words += (self.process.stderr.read() or b"").decode()
            assert not ended or re.search(pattern, self.words), self.words
        return found

    def origin(self):
        return self.said(r"http://\S+")[0]

    def workers(self):
        """Return the process numbers of its children that work."""
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                if re.search(rf"^PPid:\s+{self.process.pid}$", status.read_text(), re.M):
                    line = (status.parent / "cmdline").read_bytes()
                    if b"fovea.serving.worker" in line:
                        found.append(int(status.parent.name))
        return sorted(found)

    def end(self, number=signal.SIGTERM, *, patience_s=PATIENCE_S):
        """Send a signal, wait, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(patience_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.words += (self.process.stderr.read() or b"").decode()
            self.process.stdout.close()
            self.process.stderr.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.end()
