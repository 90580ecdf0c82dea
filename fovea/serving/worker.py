"""One process of a server. It is started by `supervisor`, which writes its order to standard input and listens to it.

    {"settings": {...}, "models": {NAME: PATH}, "references": {...}, "slot": 0, "listener": 5, "meters": 6, ...}

It says `ready`, or in one line why it cannot begin, on standard output. It ends when told to (SIGTERM), or when
standard input ends, as its parent has; not before it has answered all that was asked.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from fovea.drift import Reference
from fovea.errors import FoveaError, first_line
from fovea.serving.app import create_app
from fovea.serving.connections import HEAD_BYTES, KEEP_ALIVE_S, Connection, close_overdue
from fovea.serving.explaining import ExplainerClient
from fovea.serving.guard import Guard
from fovea.serving.meters import Meters
from fovea.serving.models import Models
from fovea.serving.replacing import take_over_replaced
from fovea.serving.settings import Settings
from fovea.serving.site import Site

ACCEPTED_AT_ONCE = 2
"""Connections that a process takes before it looks at those that it has; the others leave more to each other."""
BACKLOG = 1024
"""Connections that the system keeps until a process takes them."""
FAREWELL_S = 0.3
"""A process that is to end still takes what is on its way, and says on each answer that the connection ends."""


@dataclass(kw_only=True)
class Order:
    """What a worker is to do."""

    settings: Settings
    models: dict[str, Path]
    slot: int
    listener: int
    """The descriptor of the socket that all workers accept from."""
    meters: int
    """The descriptor of the file of counters."""
    references: dict[str, Reference] = field(default_factory=dict)
    explainer: str = ""
    """The address of the process that explains; empty if none does."""

    def to_json(self) -> str:
        """Return it in one line."""
        named = {name: reference.to_dict() for name, reference in self.references.items()}
        paths = {name: str(path) for name, path in self.models.items()}
        return json.dumps({**vars(self), "settings": self.settings.to_dict(), "models": paths, "references": named})

    @classmethod
    def from_json(cls, line: str) -> "Order":
        """Return what `to_json` gave."""
        given = json.loads(line)
        found = {name: Reference.from_card({"validation": said}) for name, said in given["references"].items()}
        return cls(
            **{
                **given,
                "settings": Settings.from_dict(given["settings"]),
                "models": {name: Path(path) for name, path in given["models"].items()},
                "references": {name: reference for name, reference in found.items() if reference is not None},
            }
        )


class Server(uvicorn.Server):
    """uvicorn's server on a socket that several processes share, which ends without losing what was asked."""

    def __init__(self, config: uvicorn.Config, site: Site, guard: Guard) -> None:
        super().__init__(config)
        self._site, self._guard = site, guard

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the worker."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)  # uvicorn's own number is how many are taken at once

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is on its way, then end."""
        self._site.ready, self._guard.draining = False, True
        await asyncio.sleep(FAREWELL_S)
        await super().shutdown(sockets)


def server_for(site: Site) -> Server:
    """Return the server of a site, yet to be run.

    Libraries are silenced: what they say of a bad request quotes it, and the client gets an error anyway.
    """
    for name in ("uvicorn.error", "python_multipart", "python_multipart.multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    guard = create_app(site)
    config = uvicorn.Config(
        guard,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(site.settings.timeout_s) + 5,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    return Server(config, site, guard)


@contextlib.asynccontextmanager
async def site_of(order: Order, meters: Meters) -> AsyncIterator[Site]:
    """Yield a site whose models are loaded.

    Raises: FoveaError for one that is not.
    """
    models = Models(order.models, order.settings, meters, order.references)
    try:
        for name in models:
            await models.load(name)
        explainer = ExplainerClient(order.explainer) if order.explainer else None
        yield Site(settings=order.settings, models=models, meters=meters, explainer=explainer)
    finally:
        models.close()


async def run(order: Order) -> None:
    """Serve until told to end."""
    names = list(order.models)
    meters = Meters(order.meters, names, slots=order.settings.workers, slot=order.slot)
    async with site_of(order, meters) as site:
        server = server_for(site)
        _end_when_told(server)
        further: list[Any] = [close_overdue(server.server_state.connections)]
        if order.settings.watch:
            further.append(take_over_replaced(site.models, meters, speaks=order.slot == 0))
        tasks = [asyncio.ensure_future(each) for each in further]
        tasks.append(asyncio.ensure_future(_announce(server)))
        await server.serve(sockets=[socket.socket(fileno=order.listener)])
        for task in tasks:
            task.cancel()


async def _announce(server: Server) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    print("ready", flush=True)


def _end_when_told(server: Server) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    def orphaned() -> None:
        if not os.read(0, 1024):
            loop.remove_reader(0)
            end()

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches all; the supervisor passes it on
    loop.add_reader(0, orphaned)


def main() -> None:
    """Do what the first line of standard input says."""
    logging.basicConfig(level=logging.ERROR, format="fovea serve: %(message)s")
    line = b""
    while not line.endswith(b"\n"):  # no byte more: the rest tells whether the parent lives
        line += os.read(0, 1)
    try:
        asyncio.run(run(Order.from_json(line.decode())))
    except (FoveaError, OSError) as error:
        print(str(error) if isinstance(error, FoveaError) else first_line(error), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
