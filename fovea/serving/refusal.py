"""What a request is refused with: a status and one line, which the client gets as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from fovea.errors import FoveaError
from fovea.texts import strict_json


class Refusal(FoveaError):
    """A request that is not answered; the message says what was wrong with it."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    @property
    def response(self) -> Response:
        """The answer: `{"error": ...}`."""
        return json_response({"error": str(self)}, status=self.status, headers=self.headers)


def full(status: int, retry_after_s: float) -> Refusal:
    """Return the refusal of a server that has no room for a request now."""
    seconds = max(1, round(retry_after_s + 0.5))
    return Refusal(status, f"The server is busy; try again in {seconds} s.", headers={"Retry-After": str(seconds)})


def late(timeout_s: float) -> Refusal:
    """Return the refusal of a request whose time is over before it could be computed."""
    return Refusal(
        503,
        f"No response within {timeout_s:g} s because the server is busy; try again in 1 s.",
        headers={"Retry-After": "1"},
    )


def gone() -> Refusal:
    """Return what ends a request whose client has disconnected; it is not read, but counted."""
    return Refusal(499, "The client has disconnected.")


def failed() -> Response:
    """Return the answer where the server itself is at fault; its log has the traceback."""
    return json_response({"error": "The server failed on this request; the reason is in its log."}, status=500)


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON in ASCII; numbers that are not finite are null."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = strict_json(value)
    return Response(text, status, headers=headers, media_type="application/json")
