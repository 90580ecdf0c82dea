"""`fovea build`."""

import os
import re
from collections.abc import Mapping
from inspect import signature
from itertools import count
from typing import Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_lines
from fovea.cli.settings import assigned, numbers
from fovea.errors import UsageError


def build(
    name: Annotated[
        str, typer.Argument(help="A network (see `fovea models`), or letters as 'CRCRP CRCRP F'.", show_default=False)
    ],
    out: Annotated[
        str | None,
        typer.Option(
            help="The model file to write, or its Python code: net.py. Nothing is overwritten.",
            show_default="NAME.safetensors",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="A weights file, or imagenet for the published weights.", show_default="random weights"),
    ] = None,
    classes_from: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the class names in the order of the outputs.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the input, in pixels.")] = None,
    resize: Annotated[
        int | None, typer.Option(help="The shorter side of the image before its centre is cut out, in pixels.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="M,..", help="Mean that is subtracted from pixels (0 to 1): one number, or one per channel."
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="S,..", help="Standard deviation that they are divided by.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights, for the model file.")] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", show_default="the paper's")] = None,
    c_in: Annotated[int | None, typer.Option(help="Channels of the images.", show_default="the paper's")] = None,
    widths: Annotated[
        str | None,
        typer.Option(metavar="N,..", help="With letters: channels of each stage and units of hidden layers."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other argument of the network; may be repeated."),
    ] = None,
    coded: Annotated[
        bool, typer.Option("--coded", help="Store repeated values and zeros in fewer bytes, without loss.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a model file of a network, with published or random weights; or its Python code."""
    from fovea.display import Display
    from fovea.jobs.build import build_file, require_free

    counts = {"classes": classes, "c_in": c_in, "widths": widths}
    arguments: dict[str, object] = {key: value for key, value in counts.items() if value is not None}
    out = _place(name) if out is None else out
    require_free(out)
    if out.endswith(".py"):
        if any((weights, classes_from, resize, mean, std, licence, coded, as_json)):
            raise UsageError(
                f"`--out {out}` holds no weights, classes or preprocessing; leave out what is about these."
            )
        arguments |= assigned(assignments or (), taken={*arguments, *signature(build).parameters})
        arguments.pop("c_in", None)
        _write_python(name, out, (c_in, size), arguments)
        return
    with Display() as display:
        built = build_file(
            name,
            out=out,
            weights=weights,
            classes_from=classes_from,
            size=size,
            resize=resize,
            mean=numbers("--mean", mean),
            std=numbers("--std", std),
            licence=licence,
            coded=coded,
            display=display,
            **assigned(assignments or (), taken={*arguments, *signature(build).parameters}),
            **arguments,
        )
    print_json(built.to_dict()) if as_json else print_lines(built.summary())


def _place(name: str) -> str:
    """Return where a network is written that has no `--out`: after its name, with a number where that is taken."""
    stem = name if re.fullmatch(r"[\w.-]+", name) else "pattern"
    places = (f"{stem}{'' if number == 1 else f'-{number}'}.safetensors" for number in count(1))
    return next(place for place in places if not os.path.lexists(place))


def _write_python(name: str, out: str, counts: tuple[int | None, int | None], arguments: Mapping[str, object]) -> None:
    """Write the network as Python for inputs of so many channels and pixels, or those of its paper."""
    from fovea import registry
    from fovea.jobs.rewrite import write_python
    from fovea.zoo.letters import resembles

    C, *sizes = registry.entry("pattern" if resembles(name) else name).input
    channels, size = counts
    shape = (channels or C, *(size or side for side in sizes))
    print_lines([f"Python   {write_python(name, out, shape, arguments=arguments)}"])
