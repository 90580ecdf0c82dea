"""The server: it answers at once, with a page that waits; the rooms stand behind its door when they are made."""

import asyncio
import warnings
from collections.abc import Callable
from importlib import import_module

import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
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


def serve(opened: Opened, *, token: str, port: int, ready: Callable[[], None]) -> None:
    """Serve the studio at a free `port` until Ctrl-C; `ready` is called once it answers, and then the network loaded.

    Raises: what `Opened.load` raises.
    """
    loading = Loading(opened, [room.whole_module for room in ROOMS], first=APPLICATION)
    config = uvicorn.Config(
        Guard(Door(loading), token=token, port=port),
        host=HOST,
        port=port,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,  # an open page keeps its socket
    )
    server = _Server(config, ready, loading)
    with warnings.catch_warnings():
        # as the library of the pages starts, it looks at every object there is, PyTorch's deprecated ones too
        warnings.filterwarnings("ignore", category=FutureWarning, module="nicegui")
        server.run()
    if loading.fault is not None:
        raise loading.fault


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], loading: Loading) -> None:
        super().__init__(config)
        self._ready, self._loading = ready, loading

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets=None)
        if self.started:
            self._ready()
            self._loading.begin(self._end)

    def _end(self) -> None:
        self.should_exit = True


class Door:
    """Answers with a page that waits while a room is not ready; all else goes to the application of the rooms."""

    def __init__(self, loading: Loading) -> None:
        self.loading = loading
        self.app: ASGIApp | None = None
        self._made, self._ends = asyncio.Event(), asyncio.Event()
        self._rooms = {room.path: room for room in ROOMS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it to the rooms when they are made."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and (answer := await self._answer(Request(scope))) is not None:
            await answer(scope, receive, send)
        else:
            await self._made.wait()
            assert self.app is not None  # noqa: S101 (made)
            await self.app(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return what is answered in place of the rooms; None where they answer."""
        if request.url.path == "/loading":
            await self._until(lambda: self._ready(request.query_params.get("path", "/")))
            return JSONResponse({"fault": "" if self.loading.fault is None else str(self.loading.fault)})
        room = self._rooms.get(request.url.path)
        if room is None or (self._ready(room.path) and self.loading.fault is None):
            return None
        return HTMLResponse(waiting_page(room, self.loading.opened.name))

    def open(self, app: ASGIApp) -> None:
        """Let the rooms of an application answer, which runs."""
        self.app = app
        self._made.set()

    def _ready(self, path: str) -> bool:
        """Tell whether the room at a path can be entered, or never will be."""
        room = self._rooms.get(path, self._rooms["/"])
        return self.loading.ready(room.whole_module) and (self._made.is_set() or self.loading.fault is not None)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not (true() or self._ends.is_set()):
            await asyncio.sleep(LOOKS_S)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Live as long as the server, and the rooms within."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        rooms = asyncio.create_task(self._run_rooms())
        await receive()
        self._ends.set()
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
