"""The report of a run, and the comparison of several, as pages of their own: they may hold script, and no cookie."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import Query
from nicegui import app as pages
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from fovea.errors import FoveaError, UsageError
from fovea.studio.opened import Opened

ALONE = {
    "content-security-policy": "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:"
}
"""A page of no origin: a report that somebody else wrote reaches nothing of the studio."""
MOST_BYTES = 64 << 20
MOST_COMPARED = 50
REPORT, COMPARISON = "/train/report", "/train/compare"

_added: set[int] = set()


def add_pages(opened: Opened) -> None:
    """Give the pages their addresses, once for each application."""
    if id(opened) in _added:
        return
    _added.add(id(opened))

    def report(run: str = "") -> Response:
        try:
            return HTMLResponse(_report(opened.inside(f"{run}/report.html")), headers=ALONE)
        except FoveaError as error:
            return PlainTextResponse(str(error), 404)

    def compare(run: Annotated[list[str] | None, Query()] = None) -> Response:
        try:
            return HTMLResponse(_comparison([opened.inside(each) for each in run or []]), headers=ALONE)
        except FoveaError as error:
            return PlainTextResponse(str(error), 404)

    pages.add_api_route(REPORT, report, methods=["GET"])
    pages.add_api_route(COMPARISON, compare, methods=["GET"])


def _report(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise UsageError("There is no report that can be shown.")
    return path.read_text(errors="replace")


def _comparison(folders: list[Path]) -> str:
    from fovea.jobs.compare import compare

    if len(folders) > MOST_COMPARED:
        raise UsageError(f"At most {MOST_COMPARED} runs are compared.")
    with TemporaryDirectory() as place:
        page = Path(place, "compare.html")
        compare(folders, html=page)
        return page.read_text()
