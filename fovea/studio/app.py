"""The application: the rooms as pages, behind the guard, on this machine alone."""

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from nicegui import app as pages
from nicegui import ui

from fovea.studio.guard import Guard
from fovea.studio.loading import Loading
from fovea.studio.opened import Opened
from fovea.studio.rooms import ROOMS, Room

HOST = "127.0.0.1"
PATIENCE_S = 60.0
"""How long a page may take to be laid out on a busy machine, before it is given up."""
STATIC = Path(__file__).parent / "static"


def create_app(opened: Opened, *, token: str, port: int, loading: Loading | None = None) -> Guard:
    """Return the application of one studio; while it is `loading`, pages say so."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages.add_static_files("/static", STATIC)
    for room in ROOMS:
        _page(room, opened, loading)
    ui.run_with(app, title="fovea studio", show_welcome_message=False, dark=None, tailwind=False, language="en-GB")
    return Guard(app, token=token, port=port)


def serve(opened: Opened, *, token: str, port: int, ready: Callable[[], None]) -> None:
    """Serve the studio at a free `port` until Ctrl-C; `ready` is called once it answers, and then the network loaded.

    Raises: what `Opened.load` raises.
    """
    loading = Loading(opened, [room.whole_module for room in ROOMS])
    config = uvicorn.Config(
        create_app(opened, token=token, port=port, loading=loading),
        host=HOST,
        port=port,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,  # an open page keeps its socket
    )
    server = _Server(config, ready, loading)
    with warnings.catch_warnings():
        # as it starts, it looks at every object there is, PyTorch's deprecated ones too
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


def _page(room: Room, opened: Opened, loading: Loading | None) -> None:
    """Give a room its address."""

    @ui.page(room.path, title=f"{room.name} - fovea studio", response_timeout=PATIENCE_S)
    async def page(request: Request) -> None:
        _frame(room, opened)
        if told := room.told(opened):
            ui.label(told).classes("told")
        if loading is None or (loading.ready(room.whole_module) and loading.fault is None):
            await room.enter(opened, dict(request.query_params)).build()
        else:
            await _wait(loading, room)


async def _wait(loading: Loading, room: Room) -> None:
    """Say that the network is loaded, and make the page anew when it is; or say why it cannot be."""
    with ui.element("main").classes("loading"):
        words = ui.label(f"Loading {loading.opened.name or 'the studio'} ...").props('role="status"')
        bar = ui.element("progress").props('aria-label="Loading"')
    await ui.context.client.connected()
    while not loading.ready(room.whole_module):
        await asyncio.sleep(0.05)
    if loading.fault is None:
        ui.run_javascript("location.reload()")
        return
    bar.set_visibility(False)
    words.set_text(f"The studio ends: {loading.fault}")


def _frame(here: Room, opened: Opened) -> None:
    """Lay out what all rooms have: the style, and the way to the other rooms."""
    # the library puts all into a `main` of its own; a page has one, and the way to the rooms is outside of it
    ui.context.client.page_container.default_slot.children[0].tag = "div"
    ui.add_head_html('<link rel="stylesheet" href="/static/studio.css">')
    with ui.element("header"):
        with ui.element("h1").classes("unseen"):
            ui.label(here.name)
        with ui.element("nav").classes("rooms").props('aria-label="Rooms"'):
            for room in ROOMS:
                link = ui.link(room.name, room.path)
                if room is here:
                    link.props('aria-current="page"')
            ui.label(opened.name or "no network").classes("what")
