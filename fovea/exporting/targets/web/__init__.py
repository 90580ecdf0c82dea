"""`--to web`: a page that classifies images, the camera or a drawing in any browser, without any other host."""

from pathlib import Path

from fovea.errors import UsageError
from fovea.exporting.folders import check_replaceable, write_folder
from fovea.exporting.targets import Request, Written
from fovea.exporting.targets.onnx import content_of
from fovea.exporting.targets.web.page import Page
from fovea.exporting.targets.web.runtime_files import runtime_files
from fovea.preprocess import Preprocess
from fovea.storage import write_atomically

MOST_INSIDE = 200_000_000
"""Bytes of a network inside one page: browsers hold texts of some hundred million characters."""


def write(request: Request) -> Written:
    """Write the folder, or the one page.

    Raises:
        UsageError: a network of other inputs than images, a setting that a page cannot take, or one that is too large.
    """
    _check(request)
    runtime = request.options.get("runtime")
    files = runtime_files(None if runtime is None else Path(runtime), say=request.say)
    made = content_of(request)
    page = Page(card=made.card, model=made.content, runtime=files, title=_title(request))
    if request.options.get("single_file"):
        if len(made.content) > MOST_INSIDE:
            raise UsageError(
                f"The network has {len(made.content) / 1e6:.0f} MB; a single page may have at most 200 MB. Write a "
                "folder instead."
            )
        whole = page.single_file()
        write_atomically(request.out, whole)
        size, written = len(whole), [request.out]
        way = f"Open it in a browser: {request.out}"
    else:
        parts = page.folder()
        write_folder(request.out, parts)
        size, written = sum(map(len, parts.values())), [request.out / name for name in parts]
        way = f"Serve it from any web server: python -m http.server --bind 127.0.0.1 --directory {request.out} 8080"
    facts = {"bytes": size, "onnxruntime_web": files.version, **made.facts}
    lines = [*made.lines, f"Size     {size / 1e6:.2f} MB, onnxruntime-web {files.version} in it"]
    return Written(tuple(written), facts, [*lines, f"Next     {way}"])


def _check(request: Request) -> None:
    if not isinstance(request.bundle.preprocess, Preprocess):
        raise UsageError(
            f"`--to web` works only for networks that take images; this one takes {request.bundle.preprocess.input}."
        )
    if request.bundle.preprocess.tiles:
        raise UsageError("`--to web` works only for whole images, and this network takes tiles; use `--to onnx`.")
    for name in ("raw", "dynamic_size"):
        if getattr(request.settings, name):
            raise UsageError(f"`--{name.replace('_', '-')}` cannot be combined with `--to web`; leave it out.")
    if not request.options.get("single_file"):
        check_replaceable(request.out)


def _title(request: Request) -> str:
    """Return what the page calls the network: its architecture, and the data that it learned from if known."""
    data = request.bundle.card.trained_on.name
    return f"{request.bundle.card.architecture}, trained on {data}" if data else request.bundle.card.architecture
