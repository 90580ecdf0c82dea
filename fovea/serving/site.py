"""What all routes of a server share."""

from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request

from fovea.serving.admission import Places
from fovea.serving.bodies import read_body
from fovea.serving.engine import Wait
from fovea.serving.meters import Meters
from fovea.serving.models import Models, ServedModel, wait_asked
from fovea.serving.refusal import full
from fovea.serving.settings import Settings

BODIES_AT_ONCE = 16
"""All bodies in memory together may take so many times what one may."""


class Explainer(Protocol):
    """What explains answers, elsewhere."""

    async def explain(self, model: str, image: bytes, answer: str | None, wait: Wait) -> dict[str, object]:
        """Return the answer, and its map as a PNG in `picture`.

        Raises: Refusal.
        """
        ...


@dataclass(kw_only=True)
class Site:
    """One process of a server, as its routes see it."""

    settings: Settings
    models: Models
    meters: Meters
    explainer: Explainer | None = None
    ready: bool = True
    """False as soon as the process is to end."""
    bodies: Places = field(init=False)
    """A place for each byte of a body that is held."""

    def __post_init__(self) -> None:
        status = self.settings.busy_status
        self.bodies = Places(BODIES_AT_ONCE * self.settings.body_bytes, lambda: full(status, 1))

    def model_of(self, request: Request, name: str | None) -> ServedModel:
        """Return the model that a request means, which is counted for it. Raises: Refusal (404)."""
        model = self.models.named(name)
        request.scope.setdefault("state", {})["model"] = model.name
        return model

    def wait_of(self, request: Request) -> Wait:
        """Return how long a request waits for its answer. Raises: Refusal (400)."""
        when_gone = request.scope.setdefault("state", {}).setdefault("when_gone", [])
        return wait_asked(request.headers.get("x-timeout-s"), self.settings, when_gone)

    async def body_of(self, request: Request, wait: Wait, take: "Take") -> bytes:
        """Return the body of a request; errors as `read_body`."""
        return await read_body(request, self.settings, wait.deadline, take)


class Take(Protocol):
    """Takes further places."""

    def __call__(self, more: int, /) -> None:
        """Take so many. Raises: Refusal."""
        ...
