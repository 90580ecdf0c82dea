"""`fovea style`."""

from typing import Annotated

import typer

from fovea.cli.options import Device, Json, in_run
from fovea.cli.output import print_json, print_lines
from fovea.cli.settings import assigned


def style(
    content: Annotated[str, typer.Argument(help="The image whose content is kept.", show_default=False)],
    style: Annotated[str, typer.Argument(help="The image whose style is taken.", show_default=False)],
    model: Annotated[
        str,
        typer.Option(
            help="A network trained on photographs: `fovea build vgg16 --weights imagenet` makes its file.",
            show_default=False,
            parser=in_run,
            metavar="MODEL",
        ),
    ],
    size: Annotated[
        int, typer.Option(help="The longer side of the image, in pixels, from 16 to 2048.", metavar="N")
    ] = 384,
    content_layers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,..", help="Layers whose outputs keep the content.", show_default="the last stage but one"
        ),
    ] = None,
    style_layers: Annotated[
        str | None,
        typer.Option(metavar="A,B,..", help="Layers whose outputs carry the style.", show_default="each stage"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting, as steps=300; docs/explain.md lists them."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="The picture to write, a .png.", show_default="from both names")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw the content of one image in the style of another (Gatys et al. 2016)."""
    from fovea.display import Display
    from fovea.jobs.style import style as job

    with Display() as display:
        result = job(
            content,
            style,
            model=model,
            size=size,
            content_layers=_paths(content_layers),
            style_layers=_paths(style_layers),
            settings=assigned(set_ or [], taken=["size", "model", "out", "device"]),
            out=out,
            device=device,
            display=display,
        )
    print_json(result.to_dict()) if as_json else print_lines(result.summary())


def _paths(text: str | None) -> list[str]:
    return [path.strip() for path in text.split(",")] if text else []
