"""The server: it answers at once, with a page that waits; the rooms stand behind its door when they are made."""

import asyncio
import logging
import warnings
from collections.abc import Callable
from importlib import import_module

import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fovea.studio.guard import Guard
from fovea.studio.loading import Loading
from fovea.studio.opened import Opened
from fovea.studio.rooms import ROOMS
from fovea.studio.waiting import waiting_page

HOST = "127.0.0.1"
APPLICATION = "fovea.studio.app"
"""The module that makes the application; the library of the pages, which it imports, takes most of a second."""
LOOKS_S = 0.05
"""Between two looks at how far the loading is."""
ENDED = PlainTextResponse("The studio ends.", 503)


def serve(opened: Opened, *, token: str, port: int, ready: Callable[[], None]) -> None:
    """Serve the studio at a free `port` until Ctrl-C; `ready` is called once it answers, and then the network loaded.

    Raises: what `Opened.load` raises.
    """
    loading = Loading(opened, [room.whole_module for room in ROOMS], first=APPLICATION)
    door = Door(loading)
    config = uvicorn.Config(
        Guard(door, token=token, port=port),
        host=HOST,
        port=port,
        log_level="error",
        access_log=False,
        server_header=False,
        ws_per_message_deflate=False,  # what does not leave the machine need not be small
        timeout_graceful_shutdown=1,  # an open page keeps its socket
    )
    server = _Server(config, ready, door)
    with warnings.catch_warnings():
        # as the library of the pages starts, it looks at every object there is, PyTorch's deprecated ones too
        warnings.filterwarnings("ignore", category=FutureWarning, module="nicegui")
        server.run()
    if loading.fault is not None:
        raise loading.fault


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], door: "Door") -> None:
        super().__init__(config)
        self._ready, self._door = ready, door

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets=None)
        if self.started:
            self._ready()
            self._door.loading.begin(self._end)

    async def shutdown(self, sockets: object = None) -> None:
        self._door.close()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what pages do not get any more is no fault
        await super().shutdown(sockets=None)

    def _end(self) -> None:
        self.should_exit = True


class Door:
    """Answers with a page that waits while a room is not ready; all else goes to the application of the rooms."""

    def __init__(self, loading: Loading) -> None:
        self.loading = loading
        self.app: ASGIApp | None = None
        self._ends = asyncio.Event()
        self._rooms = {room.path: room for room in ROOMS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it to the rooms when they are made."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and (answer := await self._answer(Request(scope))) is not None:
            await answer(scope, receive, send)
        else:
            await self._until(lambda: self.app is not None)
            await (self.app or ENDED)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return what is answered in place of the rooms; None where they answer."""
        if request.url.path == "/loading":
            await self._until(lambda: self._ready(request.query_params.get("path", "/")))
            fault = self.loading.fault or ("it was stopped." if self._ends.is_set() else "")
            return JSONResponse({"fault": str(fault)})
        room = self._rooms.get(request.url.path)
        if room is None or (self._ready(room.path) and self.loading.fault is None):
            return None
        return HTMLResponse(waiting_page(room, self.loading.opened.name))

    def open(self, app: ASGIApp) -> None:
        """Let the rooms of an application answer, which runs."""
        self.app = app

    def close(self) -> None:
        """End all waiting: the studio ends."""
        self._ends.set()

    def _ready(self, path: str) -> bool:
        """Tell whether the room at a path can be entered, or never will be."""
        room = self._rooms.get(path, self._rooms["/"])
        return self.loading.ready(room.whole_module) and (self.app is not None or self.loading.fault is not None)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not (true() or self._ends.is_set()):
            await asyncio.sleep(LOOKS_S)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Live as long as the server, and the rooms within."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        rooms = asyncio.create_task(self._run_rooms())
        await receive()
        self.close()
        await rooms
        await send({"type": "lifespan.shutdown.complete"})

    async def _run_rooms(self) -> None:
        """Make the application when its module is imported, and let it run until the server ends."""
        await self._until(lambda: self.loading.ready(APPLICATION))
        if self._ends.is_set() or self.loading.fault is not None:
            return
        app = import_module(APPLICATION).create_app(self.loading.opened)
        async with app.router.lifespan_context(app):
            self.open(app)
            await self._ends.wait()
