"""The application: the rooms as pages."""

from pathlib import Path

from fastapi import FastAPI, Request
from nicegui import app as pages
from nicegui import ui

from fovea.studio.opened import Opened
from fovea.studio.rooms import ROOMS, Room

PATIENCE_S = 60.0
"""How long a page may take to be laid out on a busy machine, before it is given up."""
STATIC = Path(__file__).parent / "static"


def create_app(opened: Opened) -> FastAPI:
    """Return the application of one studio. It is for the guard to say who may ask it."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages.add_static_files("/static", STATIC)
    for room in ROOMS:
        _page(room, opened)
    ui.run_with(
        app,
        title="fovea studio",
        show_welcome_message=False,
        dark=None,
        tailwind=False,
        language="en-GB",
        binding_refresh_interval=None,  # no page binds values
        gzip_middleware_factory=None,  # what does not leave the machine need not be small
    )
    return app


def _page(room: Room, opened: Opened) -> None:
    """Give a room its address."""

    @ui.page(room.path, title=f"{room.name} - fovea studio", response_timeout=PATIENCE_S)
    async def page(request: Request) -> None:
        _frame(room, opened)
        if told := room.told(opened):
            ui.label(told).classes("told")
        await room.enter(opened, dict(request.query_params)).build()


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
