"""The command `fovea`: one function per command, which parses, calls a job and prints.

Jobs are imported by the command that needs them: `fovea --help` imports neither PyTorch nor NumPy.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fovea.errors import FoveaError, UsageError

if TYPE_CHECKING:
    from fovea.jobs.predict import FilePrediction

app = typer.Typer(
    help="From a folder of images to a convolutional network that you trust, understand and can ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[str, typer.Argument(help="A model file (.safetensors).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, alone, on standard output.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto for the best one here.")]
LabelFrom = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Labels are in the file names: a group finds them.")
]
PathColumn = Annotated[str | None, typer.Option(help="Column of a CSV manifest that names the image.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of a CSV manifest that holds the label.")]
SplitColumn = Annotated[str | None, typer.Option(help="Column of a CSV manifest that names the part.")]
AllowBad = Annotated[bool, typer.Option("--allow-bad", help="Go on where more than 5 % of the files are bad.")]


def _version(wanted: bool) -> None:
    if wanted:
        import fovea

        print(f"fovea {fovea.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (also after a command).")
    ] = False,
) -> None:
    """Hold the options that stand before every command; `run` has taken `--debug` out already."""


def _count(text: str) -> int:
    """Return a number, or 0 for `auto`."""
    return 0 if text == "auto" else int(text)


@app.command()
def train(
    data: Annotated[str | None, typer.Argument(help="A folder, manifest, archive or name (digits, cifar10).")] = None,
    recipe: Annotated[str | None, typer.Option(help="A named recipe.")] = None,
    model: Annotated[str | None, typer.Option(help="A network (see `fovea models`) or file.py:Class.")] = None,
    budget: Annotated[str | None, typer.Option(help="Time instead of epochs: 90s, 5m, 1h.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the network's input, in pixels.")] = None,
    fit: Annotated[str | None, typer.Option(help="How images get that size: crop, letterbox or squash.")] = None,
    batch: Annotated[int | None, typer.Option(parser=_count, metavar="N|auto", help="Images per step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Base learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    threads: Annotated[int | None, typer.Option(parser=_count, metavar="N|auto", help="Processor threads.")] = None,
    device: Device = "auto",
    precision: Annotated[str | None, typer.Option(help="float32, bfloat16 or auto.")] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help="Share of train to validate on, if there is no val.")
    ] = None,
    label_from: LabelFrom = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    task: Annotated[str | None, typer.Option(help="classes, or number for one number per image.")] = None,
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
    compile: Annotated[bool, typer.Option("--compile", help="Run the network through torch.compile.")] = False,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without a better result.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any recipe field.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a network: from images to a model file in a run folder."""
    given: dict[str, Any] = {
        name: value for name, value in locals().items() if value is not None and value is not False
    }
    _train({name: value for name, value in given.items() if (name, value) != ("batch", 0)})


def _train(given: dict[str, Any]) -> None:
    from fovea.jobs import train as job

    as_json, preview, find_lr = (given.pop(switch, False) for switch in ("as_json", "preview", "find_lr"))
    assignments = given.pop("assignments", [])
    given |= _assigned(
        assignments, taken={*given, *signature(job.prepared).parameters, *signature(job.train).parameters}
    )
    if preview:
        _print_lines([f"Preview  {job.preview(**given)}"])
        return
    result = job.find_lr(**given) if find_lr else job.train(**given)
    _print_json(result.to_dict()) if as_json else _print_lines(result.summary())
    if getattr(result, "interrupted", False):
        raise typer.Exit(130)


@app.command()
def evaluate(
    model: Model,
    data: Annotated[str, typer.Argument(help="A folder, manifest, archive or name.", show_default=False)],
    split: Annotated[
        str, typer.Option(help="train, val, test or whole; val, then whole, where there is no test.")
    ] = "test",
    flip: Annotated[bool, typer.Option("--flip", help="Average over each image and its mirror image.")] = False,
    min_accuracy: Annotated[float | None, typer.Option(help="Exit with 1 below this fraction.")] = None,
    label_from: LabelFrom = None,
    path_column: PathColumn = "path",
    label_column: LabelColumn = "label",
    split_column: SplitColumn = "split",
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 256,
    as_json: Json = False,
) -> None:
    """Measure a network: accuracy with its interval, per class, confusion, calibration."""
    given = {name: value for name, value in locals().items() if name != "as_json"}
    from fovea.jobs.evaluate import evaluate as job
    from fovea.jobs.progress import Display

    with Display() as display:
        result = job(**given, display=display)
    _print_json(result.to_dict()) if as_json else _print_lines(result.summary())
    if not result.passed:
        _complain(f"accuracy {result.accuracy:.4f} is below --min-accuracy {min_accuracy}")
        raise typer.Exit(1)


@app.command()
def predict(
    model: Model,
    images: Annotated[list[str], typer.Argument(help="Files, folders, globs; - reads names from standard input.")],
    top: Annotated[int, typer.Option(help="How many classes to show.", min=1)] = 5,
    ensemble: Annotated[str, typer.Option(metavar="B,C", help="Further models to average with.")] = "",
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 64,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line per image.")] = False,
) -> None:
    """Say what images show: the most probable classes of each."""
    from fovea.jobs.predict import predict as job

    if as_json and as_csv:
        raise UsageError("`--json` and `--csv` exclude each other; choose one.")
    others = [name for name in ensemble.split(",") if name]
    failed: list[str] = []
    results = job(model, _with_standard_input(images), top=top, ensemble=others, device=device, batch=batch)
    write = _write_json if as_json else _write_csv if as_csv else _write_lines
    write(_noting_failures(results, failed))
    if failed:
        _complain(f"{len(failed)} of the images cannot be read")
        raise typer.Exit(1)


@app.command()
def info(model: Model, as_json: Json = False) -> None:
    """Show the card of a model file: what it is, what it was trained on, how good it is."""
    from fovea.jobs.info import info as job

    result = job(model)
    if as_json:
        _print_json(result.to_dict())
        return
    card = result.card
    known = {key: card.get(key, "") for key in ("architecture", "task", "fovea", "preprocess", "training", "licences")}
    facts = [*_flat(known), ("values", f"{result.values:,}"), ("bytes", f"{result.bytes:,}")]
    facts += [("classes", ", ".join(map(str, card["classes"])))]
    facts += [
        ("result", ", ".join(f"{key} {value}" for key, value in _flat(entry))) for entry in card.get("results", [])
    ]
    _print_table(("field", "value"), facts)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show what this machine has, and what is missing for which command."""
    from fovea.jobs.doctor import doctor as job

    checks = job()
    if as_json:
        _print_json([check.to_dict() for check in checks])
        return
    rows = [("" if check.ok else "!", check.name, check.value, "" if check.ok else check.advice) for check in checks]
    _print_table(("", "what", "here", "to do"), rows)


@app.command()
def cache(
    name: Annotated[str | None, typer.Argument(help="Only entries that begin like this; * and ? match.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove them.")] = False,
    as_json: Json = False,
) -> None:
    """List what is kept to save time (decoded images, unpacked archives, downloads), or remove it."""
    from fovea.jobs.cache import cache as job

    entries = job(clear=clear, name=name)
    if as_json:
        _print_json(entries)
        return
    rows = [
        (
            entry["kind"],
            entry["name"],
            f"{entry['bytes'] / 1e6:,.1f}",
            "" if entry["total"] is None else f"{entry['images']:,}/{entry['total']:,}",
            entry["used"],
        )
        for entry in entries
    ]
    _print_table(("kind", "removed" if clear else "name", "MB", "images", "used"), rows)


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="Only names that match; * and ? stand for anything.")] = "*",
    as_json: Json = False,
) -> None:
    """List the networks: year, parameters, multiply-adds, paper."""
    from dataclasses import asdict
    from fnmatch import fnmatch

    import fovea.zoo  # noqa: F401 (its import makes the networks known)
    from fovea.registry import card, names

    cards = [card(name) for name in names() if fnmatch(name, pattern)]
    if as_json:
        _print_json([asdict(card) for card in cards])
        return
    rows = [
        (c.name, c.year, "x".join(map(str, c.input)), f"{c.params:,}", f"{c.macs / 1e6:,.1f}", c.paper) for c in cards
    ]
    _print_table(("name", "year", "input", "parameters", "million MACs", "paper"), rows)


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 usage, 130 Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a file name need not be text
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Return the exit code of the command line `arguments`, after printing what there is to say."""
    options = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    rest = list(arguments[len(options) :])
    debug = "--debug" in options
    try:
        code = app(
            [option for option in options if option != "--debug"] + rest, prog_name="fovea", standalone_mode=False
        )
        sys.stdout.flush()
        return int(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whatever is still buffered goes nowhere
        return 1
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        return _failed(error, debug=debug)


def _failed(error: Exception, *, debug: bool) -> int:
    """Say in one line what went wrong, and return the exit code."""
    if isinstance(error, FoveaError):
        _complain(str(error))
        return error.exit_code
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        if message := error.format_message():  # empty where the help has been printed instead
            end = "" if message.endswith(("?", ".")) else "."
            _complain(f"{message}{end} See `{context.command_path if context else 'fovea'} --help`.")
        return error.exit_code
    _complain(f"{type(error).__name__}: {error}" + ("" if debug else "; run with --debug for the traceback"))
    return 1


def _complain(message: str) -> None:
    print(f"error: {_plain(' '.join(message.split()))}", file=sys.stderr)


def _plain(value: object) -> str:
    """Return text that a terminal shows and does not obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))


def _assigned(assignments: Iterable[str], *, taken: Iterable[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"`--set {assignment}` must have the form key=value, as `--set momentum=0.9`.")
        if key in taken:
            raise UsageError(f"`--set {assignment}`: `{key}` has an option of its own: --{key.replace('_', '-')}.")
        pairs[key] = value
    return pairs


def _with_standard_input(images: Iterable[str]) -> Iterator[str]:
    for image in images:
        if image == "-":
            yield from (name for line in sys.stdin if (name := line.rstrip("\n")))
        else:
            yield image


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(_plain(line))


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 10_000)
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_plain(cell), overflow="fold") for cell in row))
    console.print(table)


def _flat(values: dict[str, Any], *, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the leaves of nested objects under dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, prefix=f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _noting_failures(results: "Iterable[FilePrediction]", failed: list[str]) -> "Iterator[FilePrediction]":
    for result in results:
        if result.error:
            failed.append(result.image)
            _complain(f"{result.image}: {result.error}")
        yield result


def _write_lines(results: "Iterable[FilePrediction]") -> None:
    for result in results:
        if result.prediction is not None:
            scores = (f"{label} {probability:.1%}" for label, probability in result.prediction.scores)
            print(_plain(f"{result.image}  {'  '.join(scores) or result.prediction.label}"))


def _write_json(results: "Iterable[FilePrediction]") -> None:
    separator = "["
    for result in results:
        print(separator, json.dumps(result.to_dict()), sep="\n", end="")
        separator = ","
    print("\n]" if separator == "," else "[]")


def _write_csv(results: "Iterable[FilePrediction]") -> None:
    """Print one line per image and rank; a number stands as a label without probability."""
    import csv

    writer = csv.writer(sys.stdout)
    writer.writerow(("image", "rank", "label", "probability", "error"))
    for result in results:
        if result.prediction is None:
            writer.writerow((result.image, "", "", "", result.error))
        else:
            scores = result.prediction.scores or [(result.prediction.label, "")]
            writer.writerows((result.image, rank, *score, "") for rank, score in enumerate(scores, start=1))
