"""How a server runs: bounds, addresses, processes; checked once, handed to every process as JSON."""

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from fovea.errors import UsageError, shortened
from fovea.model.container import model_file

BUSY_STATUSES = (503, 429)
SHORTEST_TOKEN = 16
"""Characters."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that holds for the whole server.

    Raises: UsageError for a field outside its range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    workers: int = 1
    """Processes that answer; each holds all models."""
    threads: int = 1
    """Of the engine and for decoding, in each process."""
    batch: int = 16
    """Images that are computed at once, at most."""
    wait_ms: float = 4.0
    """How long an image that came while the engine was busy waits for others that are being decoded, at most."""
    queue: int = 128
    """Images of one model that are read, decoded or computed at a time, in each process; more are refused."""
    timeout_s: float = 30.0
    """From the head of a request to its answer; a request may ask for less."""
    body_bytes: int = 32_000_000
    files: int = 64
    """In one request."""
    busy_status: int = 503
    """What a full server answers: 503, or 429 where a balancer takes that for a fault."""
    token: str = ""
    """What requests must bring; empty if none is wanted."""
    hosts: tuple[str, ...] = ()
    """Names, beside addresses and `localhost`, under which the server may be asked; `*` for any."""
    watch: bool = False
    """Whether model files that are replaced on disk are taken over."""
    explain: bool = False
    body_grace_s: float = 5.0
    """A body may begin so slowly; from then on at least `BODY_BYTES_PER_S` are wanted."""

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if isinstance(value, bool) or not math.isfinite(value) or not low <= value <= high:
                raise UsageError(f"`{name}` (={value}) must be from {low:g} to {high:,g}.")
        if self.busy_status not in BUSY_STATUSES:
            raise UsageError(f"`busy_status` (={self.busy_status}) must be 503 or 429.")
        if self.files > self.queue:
            raise UsageError(
                f"`files` (={self.files}) must be at most `queue` (={self.queue}), because a request is queued as a "
                "whole."
            )
        if self.token and (len(self.token) < SHORTEST_TOKEN or not _TOKEN.fullmatch(self.token)):
            raise UsageError(
                f"The token must have at least {SHORTEST_TOKEN} characters, all letters, digits or ._~+/=-; "
                "`openssl rand -hex 32` makes one."
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        return cls(**{**values, "hosts": tuple(values["hosts"])})


_RANGES = (
    ("port", 0, 65535),
    ("workers", 1, 256),
    ("threads", 1, 256),
    ("batch", 1, 4096),
    ("wait_ms", 0, 10_000),
    ("queue", 1, 100_000),
    ("timeout_s", 0.01, 3600),
    ("body_bytes", 1, 1_000_000_000),
    ("files", 1, 10_000),
    ("body_grace_s", 0, 3600),
)
BODY_BYTES_PER_S = 16_384


def origin_of(host: str, port: int) -> str:
    """Return the address of a server as a person types it.

    >>> origin_of("::1", 8000)
    'http://[::1]:8000'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def model_names(given: list[str]) -> dict[str, str]:
    """Return the path of each model by its name, from `FILE` or `NAME=FILE`, in the order given.

    A file is called as it is without its suffix; a run, or its `model.safetensors`, as the folder of the run.

    >>> model_names(["cats.onnx", "runs/dogs/model.safetensors", "b=x.onnx"])
    {'cats': 'cats.onnx', 'dogs': 'runs/dogs/model.safetensors', 'b': 'x.onnx'}

    Raises: UsageError for a name that no address can hold, or that is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not separator or "/" in name:
            name, path = _name_of(model_file(text)), text
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
            raise UsageError(
                f"`{shortened(text)}`: a model name may contain only letters, digits, . _ and -; write NAME=FILE."
            )
        if name in found:
            raise UsageError(f"Two models have the name `{name}`; write NAME=FILE for one of them.")
        found[name] = str(model_file(path))
    if not found:
        raise UsageError("There is no model to serve; give one: fovea serve model.onnx")
    return found


def _name_of(path: Path) -> str:
    named_by_folder = path.stem == "model" and path.absolute().parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", named_by_folder or path.stem)
