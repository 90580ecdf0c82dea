"""`fovea explain`: where a network sees its answers, and with `--show` what it holds and wants to see."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, BatchSize, Bundle, Device, Json, Seed, Threads
from fovea.cli.output import print_json, print_lines, remark
from fovea.cli.settings import assigned
from fovea.errors import UsageError
from fovea.signatures import spelled_out

if TYPE_CHECKING:
    from fovea.display import Display

SHOWN_ONLY = ("channel", "data", "concepts")
"""Options of `--show`."""
MAPPED_ONLY = ("method", "mistakes", "trust", "at", "object")
"""Options of maps, which `--show` does not take."""


Methods = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,..", help="Methods that draw the maps; docs/explain.md lists them.", show_default="gradcam"
    ),
]
Show = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Instead of maps, show: filters, maps (of a layer), strongest, maximise, occlusion-grid, concepts, parts, "
        "embedding, nearest, influence.",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ANSWER", help="Explain this class, label or grade instead of the prediction; may be repeated."
    ),
]
At = Annotated[
    str | None,
    typer.Option(metavar="X,Y", help="For masks, boxes and points: explain what is at this pixel.", show_default=False),
]
Object = Annotated[
    int | None,
    typer.Option(metavar="N", help="Explain this box or point; 1 has the highest score.", show_default=False),
]
Layer = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="The layer to look at.", show_default="the last spatial activation"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of a method or picture; docs/explain.md lists them."),
]
Trust = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A result of `fovea trust`: methods get its badges.", show_default=False),
]


@spelled_out(READING, before="allow_bad")
def explain(
    model: Bundle,
    images: Annotated[list[str] | None, typer.Argument(help="Files, folders or patterns.", show_default=False)] = None,
    method: Methods = None,
    show: Show = None,
    target: Target = None,
    against: Annotated[
        str | None, typer.Option(metavar="ANSWER", help="Explain why the prediction is not this class.")
    ] = None,
    at: At = None,
    object: Object = None,
    layer: Layer = None,
    channel: Annotated[
        str | None, typer.Option(metavar="3,17,..", help="With --show: only these channels of the layer.")
    ] = None,
    mistakes: Annotated[
        str | None, typer.Option(metavar="DATA", help="Explain the worst mistakes on this data.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="With --show: the data to search for images.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="The split: train, val, test or whole (all images). Without a test split: val, then whole."),
    ] = "test",
    concepts: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="With --show concepts: a folder of images for each concept.")
    ] = None,
    set_: Settings = None,
    trust: Trust = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The page to write; with several images, the folder."),
    ] = None,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: BatchSize = 32,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Show which pixels decide a prediction; with --show, what the network has learned."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading", "set_")}
    given |= {"images": images or (), "target": target or (), "settings": assigned(set_ or [], taken=given)}
    _check(given, shown=show is not None)
    from fovea.display import Display

    with Display() as display:
        result = _maps(given, reading, display) if show is None else _pictures(given, reading, display)
    print_json(result.to_dict()) if as_json else print_lines(result.summary())
    if failed := getattr(result, "failed", 0):
        remark(f"{failed} of the inputs cannot be read")
        raise typer.Exit(1)


def _check(given: dict[str, Any], *, shown: bool) -> None:
    for name in MAPPED_ONLY if shown else SHOWN_ONLY:
        if given[name] is not None:
            other = "does not go with `--show`" if shown else "is for `--show KIND`"
            raise UsageError(f"`--{name}` {other}; leave one of them out.")


def _maps(given: dict[str, Any], reading: dict[str, Any], display: "Display") -> Any:
    from fovea.jobs.explain import explain as job

    options = {name: value for name, value in given.items() if name not in (*SHOWN_ONLY, "show")}
    return job(**options | ({} if given["method"] is not None else {"method": "gradcam"}), **reading, display=display)


def _pictures(given: dict[str, Any], reading: dict[str, Any], display: "Display") -> Any:
    from fovea.jobs.picture import picture as job

    options = {name: value for name, value in given.items() if name not in MAPPED_ONLY}
    return job(**options | {"channel": _numbers(given["channel"])}, **reading, display=display)


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise UsageError(f"`--channel {text}` must be whole numbers between commas, as 3,17.") from None
