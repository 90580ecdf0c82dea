"""`fovea serve`: models behind HTTP, until the server is stopped."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fovea.display import Display
from fovea.drift import Reference
from fovea.errors import MissingDependencyError, NotFoundError, StorageError, UsageError, unreadable
from fovea.files import no_file, open_regular
from fovea.model.container import is_exported

if TYPE_CHECKING:
    from fovea.serving.settings import Settings

LIBRARIES = ("fastapi", "uvicorn", "python_multipart", "onnxruntime")
"""What the extra `serve` brings."""
LONGEST_TOKEN = 4096


def serve(
    models: str | Path | Iterable[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    threads: int | None = None,
    batch: int = 16,
    wait_ms: float = 4.0,
    queue: int = 128,
    timeout_s: float = 30.0,
    body_mb: float = 32.0,
    files: int = 64,
    busy_status: int = 503,
    token_file: str | Path | None = None,
    no_auth: bool = False,
    allow_host: Iterable[str] = (),
    watch: bool = False,
    explain: bool = False,
    reference: str | Path | None = None,
    ready: Callable[[Sequence[str], str], None] = lambda names, origin: None,
    display: Display | None = None,
) -> None:
    """Serve `models` over HTTP until SIGTERM or Ctrl-C: model files, each given as `FILE` or `NAME=FILE`.

    A bundle is exported first, into a temporary folder, and the export is verified as in `fovea export`. `workers`
    processes with `threads` each answer requests; None means all processors. Up to `batch` images form a batch: all
    that are ready when the engine is idle. An image that arrives while it is busy waits at most `wait_ms` for images
    that are being decoded. Each process queues up to `queue` images per model and refuses more with `busy_status`, 503
    or 429. A request is limited to `timeout_s`, `body_mb` million bytes and `files` files.

    The server is reachable from other machines if `host` is another address; this needs a `token_file`, whose content
    clients must send, or `no_auth`. Clients may use the address of the server or a name of `allow_host`. `watch`
    reloads model files that are replaced. `explain` adds explanations for bundles. `reference` is a data set whose
    validation split is the reference for drift if the card has none. `ready` is called with the names of the models
    and the address once all processes are ready.

    Raises:
        UsageError: settings out of range or in conflict, no model, or an address that is not of this machine.
        BundleError: a model file that cannot be loaded.
        MissingDependencyError: the extra `serve` is not installed, or, for bundles, `export`.
        NotFoundError: a file is not there.
        StorageError: a file cannot be read, or the port is in use.
        ServingError: a process could not be started.
        KeyboardInterrupt: the server was stopped by Ctrl-C, after all requests were answered.
    """
    _check_libraries()
    from fovea.serving.settings import Settings, model_names

    given = [models] if isinstance(models, str | Path) else list(models)
    paths = {name: Path(path) for name, path in model_names([str(each) for each in given]).items()}
    display = display or Display(quiet=True)
    settings = Settings(
        host=host,
        port=port,
        workers=workers,
        threads=threads or max(1, len(_processors()) // max(1, workers)),
        batch=batch,
        wait_ms=wait_ms,
        queue=queue,
        timeout_s=timeout_s,
        body_bytes=int(body_mb * 1_000_000),
        files=files,
        busy_status=busy_status,
        token="" if token_file is None else _token(Path(token_file)),
        hosts=tuple(allow_host),
        watch=watch,
        explain=explain,
    )
    _check_open(settings.is_local, bool(settings.token), no_auth=no_auth, host=host)
    for path in paths.values():
        if fault := no_file(path):
            if not path.exists():
                raise NotFoundError(f"There is no file `{path}`.")
            raise StorageError(f"`{path}` cannot be read: {fault}.")
        if explain and is_exported(path):
            raise UsageError(
                f"`--explain` needs a model file (.safetensors), and `{path.name}` is exported; give the model file."
            )
    if token_file is not None:
        _note_readers(Path(token_file), display)
    _run(paths, settings, str(reference or ""), lambda origin: ready(list(paths), origin), display)


def _run(
    paths: dict[str, Path], settings: "Settings", reference: str, ready: Callable[[str], None], display: Display
) -> None:
    """Export bundles and measure references, then serve."""
    from fovea.serving.bundles import WatchedBundle
    from fovea.serving.preparing import Preparation
    from fovea.serving.supervisor import Supervisor, ended_by_sigterm

    bundles = {name: path for name, path in paths.items() if not is_exported(path)}
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fovea-serve-")))
        exported = {name: folder / f"{name}.onnx" if name in bundles else path for name, path in paths.items()}
        references: dict[str, Reference] = {}
        for name, path in paths.items():
            order = Preparation(model=path, out=exported[name] if name in bundles else None, reference=reference)
            if order.out is not None or reference:
                display.note(f"{name}: {'exporting' if order.out else 'measuring the reference'} ...")
                if found := order.run():
                    references[name] = found
        watched = (
            [WatchedBundle(name, path, exported[name]) for name, path in bundles.items()] if settings.watch else []
        )
        for each in watched:
            stack.callback(each.close)
        Supervisor(
            settings=settings,
            models=exported,
            folder=folder,
            bundles=bundles,
            references=references,
            further=[each.look for each in watched],
            ready=ready,
        ).run()


def _check_libraries() -> None:
    if lacking := [name for name in LIBRARIES if find_spec(name) is None]:
        raise MissingDependencyError(
            f"`fovea serve` needs {', '.join(lacking)}, not installed here: pip install 'fovea-cnn[serve]'."
        )


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _check_open(local: bool, token: bool, *, no_auth: bool, host: str) -> None:
    """Raise UsageError if other machines could connect and neither a token nor `no_auth` is given."""
    if token and no_auth:
        raise UsageError("`--token-file` and `--no-auth` cannot be used together; choose one.")
    if not local and not token and not no_auth:
        raise UsageError(
            f"`host` (={host}) makes the server reachable from other machines; give --token-file FILE with a secret "
            "that clients must send, or --no-auth to allow everyone."
        )


def _token(path: Path) -> str:
    """Return the secret in a file. Raises: StorageError, UsageError."""
    try:
        with open_regular(path) as stream:
            text = stream.read(LONGEST_TOKEN + 2).decode("ascii").strip()
    except UnicodeDecodeError:
        raise UsageError(f"`--token-file {path}` is not plain text.") from None
    except OSError as error:
        raise unreadable(path, error) from error
    if not text or len(text) > LONGEST_TOKEN:
        raise UsageError(f"`--token-file {path}` must contain one secret of 16 to {LONGEST_TOKEN} characters.")
    return text


def _note_readers(path: Path, display: Display) -> None:
    """Say where others can read the secret."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        display.note(f"token: other users can read `{path}`; `chmod 600 {path}` makes it private")
