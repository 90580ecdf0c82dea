"""`fovea studio`: the network in the browser, live, on this machine alone."""

import secrets
import socket
import webbrowser
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from fovea.errors import MissingDependencyError, StorageError, UsageError


def open_studio(
    what: str | Path | None = None,
    *,
    network: str | None = None,
    port: int = 0,
    browser: bool = True,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Open the studio on a model file, a run, an exported network or data until Ctrl-C: a page of this machine, for
    whoever has its address.

    `network` is the code of a user's own network, as `file.py:Net`. `port` 0 takes a free one. `ready` gets the
    address, with its token, once it answers; `browser` opens it.

    Raises:
        MissingDependencyError: the extra `studio` is not installed.
        UsageError, BundleError: there is no such thing, or no such port.
        StorageError: the port is taken.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"`port` (={port}) must be from 0 to 65535.")
    if find_spec("nicegui") is None:
        raise MissingDependencyError("The studio needs the extra `studio`: pip install 'fovea-cnn[studio]'.")
    from fovea.studio.opened import found
    from fovea.studio.server import HOST, serve

    shown = found(what, network=network)
    with socket.socket() as place:
        try:
            place.bind((HOST, port))
        except OSError as error:
            raise StorageError(f"The port {port} of {HOST} cannot be used: {error.strerror}.") from None
        port = place.getsockname()[1]
    token = secrets.token_urlsafe(24)
    address = f"http://{HOST}:{port}/?token={token}"

    def answers() -> None:
        ready(address)
        if browser:
            webbrowser.open(address)

    serve(shown, token=token, port=port, ready=answers)
