"""`fovea evaluate`."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, BatchSize, Data, Device, Json, Model, NoImages
from fovea.cli.output import complain, print_json, print_lines
from fovea.errors import UsageError
from fovea.signatures import spelled_out

SEARCHING = ("metric", "layer", "voters")
"""Options of `--retrieval` alone."""
DEFAULTS = {
    **{"crops": 1, "flip": False, "scales": (1.0,), "slice_by": None, "robust": False, "out": None},
    **{"instances": None, "instances_of": (), "least_area": 1},
    **{"min_accuracy": None, "min_score": None, "html": None, "no_images": False},
    **{"metric": "l2", "layer": None, "voters": 10},
}
"""What options are that were not given, of those that go with `--retrieval`, or without it, alone."""


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"{text} must be numbers, as 0.9,1,1.1.") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


Scales = Annotated[
    str, typer.Option(parser=_numbers, metavar="S,..", help="Average over several sizes of each image, as 0.9,1,1.1.")
]
Slice = Annotated[
    str | None,
    typer.Option(
        "--slice", metavar="COLUMN", help="Also give the score for each value of this column of the manifest."
    ),
]
Robust = Annotated[
    bool,
    typer.Option("--robust", help="Also test on shifted, scaled, rotated, blurred, noisy and JPEG-compressed images."),
]
InstancesOf = Annotated[
    str,
    typer.Option(
        parser=_names,
        metavar="A,B",
        help="Classes that have objects, with --instances.",
        show_default="all but background",
    ),
]
MinScore = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Exit with 1 if a score is worse than this, as mae=0.5; may be repeated."),
]


@spelled_out(READING, before="allow_bad")
def evaluate(
    model: Model,
    data: Data,
    split: Annotated[
        str,
        typer.Option(help="The split: train, val, test or whole (all images). Without a test split: val, then whole."),
    ] = "test",
    crops: Annotated[int, typer.Option(help="Average over 5 crops (corners and centre), or 10 (mirrored too).")] = 1,
    flip: Annotated[bool, typer.Option("--flip", help="Average over each image and its mirror image.")] = False,
    scales: Scales = "1",
    slice_by: Slice = None,
    robust: Robust = False,
    instances: Annotated[
        str | None,
        typer.Option(metavar="parted|connected", help="For masks: also measure how well single objects are found."),
    ] = None,
    instances_of: InstancesOf = "",
    least_area: Annotated[int, typer.Option(help="Smallest object, in pixels of the input.", metavar="N", min=1)] = 1,
    retrieval: Annotated[
        bool, typer.Option("--retrieval", help="Instead, measure how well a search finds images of the same class.")
    ] = False,
    metric: Annotated[str, typer.Option(help="With --retrieval: l2 or cosine distance.")] = "l2",
    layer: Annotated[
        str | None,
        typer.Option(
            help="With --retrieval: the layer whose output is the embedding.",
            show_default="the input of the last layer",
        ),
    ] = None,
    voters: Annotated[
        int, typer.Option(help="With --retrieval: how many neighbours vote on the class.", metavar="N", min=1)
    ] = 10,
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="With --robust: draw the scores, to a .png, .jpg, .pdf or .svg.")
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Exit with 1 if the accuracy is below this, as 0.9.")
    ] = None,
    min_score: MinScore = None,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: BatchSize = 256,
    html: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write a page with all results to this file.")
    ] = None,
    no_images: NoImages = False,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Test a network on data: accuracy with its interval, per class, confusion, calibration, robustness."""
    options = {name: value for name, value in locals().items() if name != "reading"}
    if options.pop("retrieval"):
        return _retrieval(options, reading)
    _require_defaults(options, SEARCHING, "goes with `--retrieval`, which is not given")
    asked = _scores(min_score or ())
    given = {name: value for name, value in options.items() if name not in ("as_json", "no_images", *SEARCHING)}
    from fovea.display import Display
    from fovea.jobs.evaluate import evaluate as job

    with Display() as display:
        result = job(**{**given, "min_score": asked}, **reading, images=not no_images, display=display)
    print_json(result.to_dict()) if as_json else print_lines(result.summary())
    for line in result.shortfalls:
        complain(line)
    if not result.passed:
        raise typer.Exit(1)


def _retrieval(options: dict[str, Any], reading: dict[str, Any]) -> None:
    """Measure how well the embeddings serve a search."""
    others = {name: value for name, value in DEFAULTS.items() if name not in SEARCHING}
    _require_defaults(options, others, "does not go with `--retrieval`, which measures embeddings")
    taken = {name: value for name, value in options.items() if name not in (*others, "as_json")}
    from fovea.display import Display
    from fovea.jobs.retrieval import evaluate_retrieval

    with Display() as display:
        result = evaluate_retrieval(**taken, **reading, display=display)
    print_json(result.to_dict()) if options["as_json"] else print_lines(result.summary())


def _require_defaults(options: dict[str, Any], names: Iterable[str], rule: str) -> None:
    for name in names:
        if options[name] != DEFAULTS[name]:
            option = {"slice_by": "slice"}.get(name, name.replace("_", "-"))
            raise UsageError(f"`--{option}` {rule}; leave it out.")


def _scores(given: Iterable[str]) -> dict[str, float]:
    """Return the values of `--min-score` by name; UsageError for what has another form, or the same name twice."""
    asked: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name in asked:
            raise UsageError(f"`--min-score {text}`: `{name}` is given twice; keep one of them.")
        try:
            asked[name] = float(value)
        except ValueError:
            raise UsageError(
                f"`--min-score {text}` must have the form NAME=VALUE with a number, as accuracy=0.9."
            ) from None
    return asked
