"""The command `fovea`: one function per command, which parses, calls a job and prints.

Jobs are imported by the command that needs them: `fovea --help` imports neither PyTorch nor NumPy.
"""

import errno
import os
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated

import typer

from fovea.cli import streams
from fovea.cli.output import complain, print_lines, print_trace, say_warnings_safely, speaks
from fovea.commands import COMMANDS, Command
from fovea.errors import FoveaError, MissingDependencyError, NotFoundError, TrainingError, UsageError, shortened

BEGAN_AT = time.monotonic()
"""When the person began to wait for the command, nearly: before PyTorch is imported."""
WHOLE = frozenset({"torch", "scipy", "sklearn", "safetensors", "matplotlib", "jinja2", "tomli_w"})
"""What the whole package needs, and an installation that only runs exported networks lacks in part."""
RENAMED = {"--page": "--html"}
"""Options that had another name, and their name now."""
WAITS_S = 10.0
"""`torchrun` ends all processes when one has failed; the others leave the first the time to say what went wrong."""


def _version(wanted: bool) -> None:
    if wanted:
        import fovea

        print_lines([f"fovea {fovea.__version__}"])
        raise typer.Exit


def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (also after a command).")
    ] = False,
) -> None:
    """Hold the options that stand before every command; `run` has taken `--debug` out already."""


def application(commands: Iterable[Command] = COMMANDS) -> typer.Typer:
    """Return the command line with these commands, all where none are given."""
    app = typer.Typer(
        help="From a folder of images to a convolutional network that you trust, understand and can ship.",
        epilog="Begin with:\n\n$ fovea train digits",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(common)
    for command in commands:
        app.command(epilog=command.epilog)(getattr(import_module(command.parser), command.name))
    return app


def named_in(arguments: Iterable[str]) -> list[Command]:
    """Return the command that is asked for, alone, so that its start does not wait for the others; else all."""
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    return [command for command in COMMANDS if command.name == first] or list(COMMANDS)


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 usage, 130 Ctrl-C."""
    say_warnings_safely()
    try:
        streams.prepare()
    except streams.OutputError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    code = run(sys.argv[1:])
    streams.finish()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Return the exit code of the command line `arguments`, after printing what there is to say."""
    options = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    rest = list(arguments[len(options) :])
    debug = "--debug" in options
    try:
        given = [option for option in options if option != "--debug"] + rest
        code = application(named_in(given))(given, prog_name="fovea", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except streams.ReaderGoneError:
        return 1
    except Exception as error:
        if _interrupted(error):
            return 130
        if debug:
            print_trace(error)
        return _failed(error, debug=debug)


def _interrupted(error: BaseException | None) -> bool:
    """Tell whether an error is what became of Ctrl-C: libraries turn that exception into one of their own."""
    for _ in range(100):
        if error is None or isinstance(error, KeyboardInterrupt):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def _failed(error: Exception, *, debug: bool) -> int:
    """Say in one line what went wrong, and return the exit code."""
    if not speaks() and isinstance(error, (TrainingError, typer.TyperException)):
        time.sleep(WAITS_S)
        return error.exit_code
    if isinstance(error, FoveaError):
        complain(str(error))
        return error.exit_code
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        if message := error.format_message():  # empty where the help has been printed instead
            if new := RENAMED.get(getattr(error, "option_name", "")):
                message = f"{message}; it is `{new}` now"
            end = "" if message.endswith(("?", ".")) else "."
            complain(f"{message}{end} See `{context.command_path if context else 'fovea'} --help`.")
        return error.exit_code
    if isinstance(error, ModuleNotFoundError) and (missing := (error.name or "").partition(".")[0]) in WHOLE:
        complain(
            f"This needs `{missing}`, which is not installed here: `pip install fovea-cnn` brings it. Without it, "
            "predict, info and serve work on exported networks (.onnx)."
        )
        return MissingDependencyError.exit_code
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        path = shortened(os.fsdecode(error.filename), most=200)
        if isinstance(error, FileNotFoundError):
            complain(f"There is no file `{path}`.")
            return NotFoundError.exit_code
        complain(f"`{path}` cannot be used ({error.strerror}); give another path, or make it accessible.")
        return UsageError.exit_code if error.errno == errno.ENAMETOOLONG else 1
    complain(f"{type(error).__name__}: {error}" + ("" if debug else "; run with --debug for the traceback"))
    return 1
