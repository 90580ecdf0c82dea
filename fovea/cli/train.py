"""`fovea train`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import DATA, READING, TASKS, AllowBad, in_run
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

NETWORK, RECIPE, TIME, RUN = ("Network", "Recipe", "Time and machine", "Run")
"""Panels of the help, beside that of the data."""

TrainedTask = Annotated[str | None, typer.Option(help=TASKS, show_default="classes", rich_help_panel=DATA)]

Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        parser=in_run,
        metavar="FILE|imagenet|none",
        help="Weights to start from: a model file, a run, published weights, or none.",
        show_default="published ones where they are on this machine",
        rich_help_panel=NETWORK,
    ),
]
Grow = Annotated[
    str | None,
    typer.Option(
        metavar="identity|vgg",
        help="Grow the network of --from into --model, a deeper one of its family.",
        rich_help_panel=NETWORK,
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(
        metavar="PART",
        help="What keeps its weights: none, all (all but the head), or all up to a stage, as stage2.",
        rich_help_panel=NETWORK,
    ),
]
Watch = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER",
        help="The layer whose inputs the report draws.",
        show_default="the middle activation",
        rich_help_panel=RUN,
    ),
]


def _count(text: str) -> int:
    """Return a number, or 0 for `auto`."""
    try:
        return 0 if text == "auto" else int(text)
    except ValueError:
        raise typer.BadParameter(f"{text} must be a whole number or auto.") from None


@spelled_out({name: (option, None) for name, (option, _) in READING.items()}, before="task")
def train(
    data: Annotated[
        str | None,
        typer.Argument(help="A folder, a manifest, an archive, or a name: digits, cifar10, ...", show_default=False),
    ] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(
            help="Share of the training images set aside for validation, if there is no validation split.",
            rich_help_panel=DATA,
        ),
    ] = None,
    task: TrainedTask = None,
    allow_bad: AllowBad = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="A network (`fovea models` lists them), or your own as file.py:Class.",
            show_default="chosen for the data",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    start: Start = None,
    freeze: Freeze = None,
    grow: Grow = None,
    size: Annotated[
        int | None,
        typer.Option(help="Height and width of the network's input, in pixels.", rich_help_panel=NETWORK),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            help="How images are brought to that size: crop, letterbox, squash or tile.", rich_help_panel=NETWORK
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="M,..",
            help="Subtracted from pixels from 0 to 1, one number or one per channel.",
            show_default="found",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="S,..", help="What they are divided by then.", show_default="found", rich_help_panel=NETWORK
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="A named recipe, as fashion-best; docs/training.md lists them.", rich_help_panel=RECIPE),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Base learning rate.", rich_help_panel=RECIPE)] = None,
    batch: Annotated[
        int | None, typer.Option(parser=_count, metavar="N|auto", help="Images per step.", rich_help_panel=RECIPE)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.", rich_help_panel=RECIPE)] = None,
    pretrain: Annotated[
        int | None,
        typer.Option(help="Unsupervised pretraining epochs per layer, before training.", rich_help_panel=RECIPE),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Fit the last layer in closed form instead of training.", rich_help_panel=RECIPE),
    ] = False,
    class_means: Annotated[
        bool,
        typer.Option(
            "--class-means",
            help="Classify by the nearest mean feature of the classes instead of training.",
            rich_help_panel=RECIPE,
        ),
    ] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other field of the recipe, or argument of the network; may be repeated.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time for the whole command, instead of --epochs: 90s, 5m, 1h.", rich_help_panel=TIME),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="How often all training images are seen.", rich_help_panel=TIME)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without a better result.", rich_help_panel=TIME),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(parser=_count, metavar="N|auto", help="Processor threads.", rich_help_panel=TIME)
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, mps, or auto: the best one of this machine.", rich_help_panel=TIME)
    ] = "auto",
    precision: Annotated[str | None, typer.Option(help="float32, bfloat16 or auto.", rich_help_panel=TIME)] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Run the network through torch.compile.", rich_help_panel=TIME)
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(
            help="The run folder, or the picture of --preview or --find-lr.",
            show_default="runs/...",
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Resume this run.", rich_help_panel=RUN)] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview", help="Only write a picture of what the network will see, to --out.", rich_help_panel=RUN
        ),
    ] = False,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr",
            help="Only try learning rates, and draw the loss at each to --out.",
            rich_help_panel=RUN,
        ),
    ] = False,
    watch: Watch = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave thumbnails out of the report.", rich_help_panel=RUN)
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events into the run.", rich_help_panel=RUN)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print only JSON on standard output.", rich_help_panel=RUN)
    ] = False,
    **reading: Any,
) -> None:
    """Train a network on images: the result is a run folder with a model file and a report."""
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
