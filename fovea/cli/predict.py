"""`fovea predict`."""

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from fovea.cli.options import BatchSize, Device, Json, Model
from fovea.cli.output import complain, counted, print_csv, print_json_array, print_lines, remark
from fovea.errors import UsageError

if TYPE_CHECKING:
    from fovea.jobs.predict import FilePrediction

LONGEST = 40
"""Characters of a name beyond which its line is longer, and no other line."""

Instances = Annotated[
    str | None,
    typer.Option(
        metavar="parted|connected",
        help="With --out, for masks: also write single objects; parted separates touching ones.",
    ),
]
InstancesOf = Annotated[
    str,
    typer.Option(metavar="A,B", help="Classes that have objects, with --instances.", show_default="all but background"),
]
Tile = Annotated[
    int | None,
    typer.Option(
        help="For masks and boxes: side of the tiles that large images are cut into, in pixels.",
        show_default="as trained",
        min=16,
    ),
]
Boxes = Annotated[
    str | None,
    typer.Option(
        metavar="DATA|MODEL",
        help="For points: the boxes to look into, from a COCO file, a CSV or a folder, or found by a model.",
        show_default="whole images",
    ),
]


def predict(
    model: Model,
    images: Annotated[
        list[str],
        typer.Argument(help="Files, folders or patterns; - reads names from standard input.", show_default=False),
    ],
    top: Annotated[
        int | None, typer.Option(help="How many classes to show.", metavar="N", min=1, show_default="5")
    ] = None,
    ensemble: Annotated[
        str, typer.Option(metavar="B,C", help="Average the predictions with those of these models.")
    ] = "",
    device: Device = "auto",
    batch: BatchSize = 64,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="For boxes and points: leave out those with a lower score (0 to 1).",
            show_default="as in the model file",
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average over each image and its mirror image; takes twice as long.")
    ] = False,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write masks, boxes or points into this folder, with pictures.")
    ] = None,
    instances: Instances = None,
    instances_of: InstancesOf = "",
    least_area: Annotated[int, typer.Option(help="Smallest object, in pixels of the image.", metavar="N", min=1)] = 1,
    tile: Tile = None,
    overlap: Annotated[
        int | None, typer.Option(help="How far neighbouring tiles overlap, in pixels.", metavar="N", min=0)
    ] = None,
    boxes: Boxes = None,
    boxes_of: Annotated[
        str, typer.Option(metavar="A,B", help="Only boxes of these classes, with --boxes.", show_default="all")
    ] = "",
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a line for each image and answer.")] = False,
) -> None:
    """Predict what images show: the most probable classes, or whatever the network was trained for."""
    from fovea.display import Display
    from fovea.jobs.predict import predict as job

    if as_json and as_csv:
        raise UsageError("`--json` and `--csv` cannot be used together; choose one.")
    others, single, boxed = map(_names, (ensemble, instances_of, boxes_of))
    failed: list[str] = []
    write = _write_json if as_json else _write_csv if as_csv else partial(_write_lines, named=images)
    with Display() as display:
        results = job(
            model,
            _with_standard_input(images),
            top=top,
            ensemble=others,
            device=device,
            batch=batch,
            min_score=min_score,
            flip=flip,
            out=out,
            instances=instances,
            instances_of=single,
            least_area=least_area,
            tile=tile,
            overlap=overlap,
            boxes=boxes,
            boxes_of=boxed,
            display=display,
        )
        write(counted(_noting_failures(results, failed), noun="images"))
    if failed:
        remark(f"{len(failed)} of the inputs cannot be read")
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _with_standard_input(images: Iterable[str]) -> Iterator[str]:
    for image in images:
        if image == "-":
            yield from _names_given()
        else:
            yield image


def _names_given() -> Iterator[str]:
    try:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        yield from (name for line in sys.stdin if (name := line.rstrip("\r\n")))
    except OSError as error:
        raise UsageError(f"`-` reads names from standard input, which cannot be read: {error.strerror}.") from error


def _noting_failures(results: "Iterable[FilePrediction]", failed: list[str]) -> "Iterator[FilePrediction]":
    for result in results:
        if result.error:
            failed.append(result.image)
            complain(f"{result.image}: {result.error}")
        yield result


def _write_lines(results: "Iterable[FilePrediction]", *, named: Sequence[str]) -> None:
    print_lines(_aligned(results, named))


def _aligned(results: "Iterable[FilePrediction]", named: Iterable[str]) -> Iterator[str]:
    """Yield a line for each prediction as it comes, answers below each other.

    The widest name is that of the files that are `named`; one in a folder that is longer moves the answers after it.
    """
    width = max((len(name) for name in named if len(name) <= LONGEST and os.path.isfile(name)), default=0)
    for result in results:
        if result.prediction is not None:
            width = max(width, len(result.image)) if len(result.image) <= LONGEST else width
            yield f"{result.image:{width}}  {result.prediction.text}"


def _write_json(results: "Iterable[FilePrediction]") -> None:
    print_json_array(result.to_dict() for result in results)


def _write_csv(results: "Iterable[FilePrediction]") -> None:
    """Print one line per image and rank; a number stands as a label without probability.

    An image without any label has a line, too.
    """
    print_csv(("image", "rank", "label", "probability", "error"), _rows(results))


def _rows(results: "Iterable[FilePrediction]") -> Iterator[Sequence[object]]:
    for result in results:
        if result.prediction is None:
            yield result.image, "", "", "", result.error
        else:
            ranked = enumerate(result.prediction.ranked, start=1)
            answers: list[tuple[object, ...]] = [(rank, *answer) for rank, answer in ranked]
            yield from ((result.image, *answer, "") for answer in answers or [("", "", "")])
