"""`fovea train`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, TASKS, AllowBad, Device, Json, NoImages
from fovea.cli.output import print_json, print_lines, speaks
from fovea.cli.settings import assigned, numbers
from fovea.signatures import spelled_out

OWN_OPTIONS = (
    *(
        "data",
        "device",
        "model",
        "recipe",
        "start",
        "budget",
        "size",
        "fit",
        "mean",
        "std",
        "val_fraction",
        "task",
        "allow_bad",
    ),
    *("out", "resume", "tensorboard", "watch", "images", "display", *READING),
)
"""What `--set` does not take; a recipe's field that has an option may be set either way."""

Start = Annotated[
    str | None,
    typer.Option("--from", metavar="FILE|imagenet|none", help="Weights to begin with.", show_default="those at hand"),
]
Grow = Annotated[
    str | None,
    typer.Option(metavar="identity|vgg", help="Grow the network of --from into --model, a deeper one of its family."),
]
Freeze = Annotated[
    str | None, typer.Option(metavar="PART", help="none, all (but the head), or the last that stays: stage2.")
]


def _count(text: str) -> int:
    """Return a number, or 0 for `auto`."""
    try:
        return 0 if text == "auto" else int(text)
    except ValueError:
        raise typer.BadParameter(f"{text} must be a whole number or auto.") from None


@spelled_out({name: (option, None) for name, (option, _) in READING.items()}, before="task")
def train(
    data: Annotated[str | None, typer.Argument(help="A folder, manifest, archive or name (digits, cifar10).")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A named recipe, as fashion-best: docs/training.md lists them.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A network (see `fovea models`) or file.py:Class.")] = None,
    start: Start = None,
    grow: Grow = None,
    freeze: Freeze = None,
    pretrain: Annotated[int | None, typer.Option(help="Before: epochs per layer without labels.")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Instead of training, fit the head in closed form.")] = False,
    class_means: Annotated[
        bool, typer.Option("--class-means", help="Instead of training, take the nearest mean feature of the classes.")
    ] = False,
    budget: Annotated[str | None, typer.Option(help="Time instead of epochs: 90s, 5m, 1h.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the network's input, in pixels.")] = None,
    fit: Annotated[str | None, typer.Option(help="How images get that size: crop, letterbox, squash or tile.")] = None,
    mean: Annotated[str | None, typer.Option(metavar="M,..", help="Subtracted from pixels from 0 to 1.")] = None,
    std: Annotated[str | None, typer.Option(metavar="S,..", help="What they are divided by then.")] = None,
    batch: Annotated[int | None, typer.Option(parser=_count, metavar="N|auto", help="Images per step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Base learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    threads: Annotated[int | None, typer.Option(parser=_count, metavar="N|auto", help="Processor threads.")] = None,
    device: Device = "auto",
    precision: Annotated[str | None, typer.Option(help="float32, bfloat16 or auto.")] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help="Share of train to validate on, if there is no val.")
    ] = None,
    task: Annotated[str | None, typer.Option(help=TASKS)] = None,
    out: Annotated[
        str | None,
        typer.Option(help="The run folder, or the picture of --preview or --find-lr.", show_default="runs/..."),
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue this run.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Write a picture of what the network will see to --out, and stop.")
    ] = False,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Sweep the learning rate, draw the losses to --out, and stop.")
    ] = False,
    allow_bad: AllowBad = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard events into the run.")] = False,
    watch: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="Its inputs are drawn in the report.", show_default="the middle activation"),
    ] = None,
    no_images: NoImages = False,
    compile: Annotated[bool, typer.Option("--compile", help="Run the network through torch.compile.")] = False,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without a better result.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any recipe field, or argument of the network."),
    ] = None,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Train a network: from images to a model file in a run folder."""
    options = {name: value for name, value in locals().items() if name != "reading"} | reading
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None and value is not False}
    _train({name: value for name, value in given.items() if (name, value) != ("batch", 0)})


def _train(given: dict[str, Any]) -> None:
    if not speaks():
        return _train_along(given)
    as_json, preview, find_lr = (given.pop(switch, False) for switch in ("as_json", "preview", "find_lr"))
    report = {"images": not given.pop("no_images", False), "watch": given.pop("watch", None)}
    given |= {name: numbers(f"--{name}", given[name]) for name in ("mean", "std") if name in given}
    given |= assigned(given.pop("assignments", []), taken={*given, *OWN_OPTIONS})
    if preview:
        from fovea.jobs.preview import previewed

        picture, plan = previewed(given.pop("data", None), **{"out": "preview.png", **given})
        print_json({"preview": picture, "plan": plan}) if as_json else print_lines([f"Preview  {picture}"])
        return
    if find_lr:
        from fovea.jobs.find_lr import find_lr as sweep

        result: Any = sweep(**given)
    else:
        from fovea.cli import BEGAN_AT
        from fovea.display import Display
        from fovea.jobs.train import train as job

        result = job(**given, **report, display=Display(began_at=BEGAN_AT))
    print_json(result.to_dict()) if as_json else print_lines(result.summary())
    if getattr(result, "interrupted", False):
        raise typer.Exit(130)


def _train_along(given: dict[str, Any]) -> None:
    """Train as another of several processes: what to train comes from the first, which also does what one can do."""
    from fovea.jobs.train import train

    if "preview" in given or "find_lr" in given:
        return
    if train(device=given["device"]).interrupted:
        raise typer.Exit(130)
