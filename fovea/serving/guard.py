"""Who may ask: the outermost layer of a server. It also counts every answer."""

import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fovea.errors import shortened
from fovea.serving.meters import ALL, Meters
from fovea.serving.refusal import Refusal, failed
from fovea.serving.settings import Settings

OPEN = frozenset({"/", "/health", "/ready", "/v2/health/live", "/v2/health/ready"})
"""Paths that want no token: they tell nothing of models or requests."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_HEADERS = 100
logger = logging.getLogger("fovea.serving")
_ADDED = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


Endpoint = Callable[[Request], Awaitable[Response]]


class Guard:
    """An application behind checks of host, origin and token.

    What is posted to a path in `direct` is answered without the layers of the application, which cost a network as
    small as LeNet-5 more than it takes itself.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, meters: Meters, direct: Mapping[str, Endpoint] = MappingProxyType({})
    ) -> None:
        self._app, self._settings, self._meters, self._direct = app, settings, meters, direct
        self.draining = False
        """Whether connections are closed after their answer, as the process is to end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = ((b"connection", b"close"),) if self.draining else ()
                message = {**message, "headers": [*message["headers"], *_ADDED, *closing]}
            await send(message)

        try:
            if refusal := self.refusal(scope):
                await refusal.response(scope, receive, sending)
            elif scope["method"] == "POST" and (endpoint := self._direct.get(scope["path"])):
                await (await _answer(endpoint, Request(scope, receive)))(scope, receive, sending)
            else:
                await self._app(scope, receive, sending)
        finally:
            model = scope.get("state", {}).get("model", ALL)
            self._meters.answered(model, status, time.monotonic() - began)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is not answered, from its head alone; None if it is."""
        if len(scope["headers"]) > MOST_HEADERS:
            return Refusal(431, f"The request has more than {MOST_HEADERS} headers.")
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "localhost")  # browsers, who may be led here, always name one
        if not self._knows(host):
            return Refusal(
                421,
                f"This server does not accept the host name `{shortened(host)}`; use its address, localhost, or a "
                "name given with --allow-host.",
            )
        if scope["method"] not in SAFE_METHODS and (fault := _foreign(headers, host)):
            return Refusal(403, fault)
        if self._settings.token and scope["path"] not in OPEN and not self._brings_token(headers):
            message = "This server needs a token; send the header `Authorization: Bearer TOKEN`."
            return Refusal(401, message, headers={"WWW-Authenticate": "Bearer"})
        return None

    def _knows(self, host: str) -> bool:
        """Tell whether a request may name this server so: a page elsewhere can lend its own name any address."""
        name = host_name(host)
        hosts = self._settings.hosts
        if name in ("localhost", self._settings.host.lower()) or "*" in hosts or name in map(str.lower, hosts):
            return True
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _brings_token(self, headers: Mapping[bytes, str]) -> bool:
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        same = hmac.compare_digest(token.strip().encode("latin-1"), self._settings.token.encode())
        return scheme.lower() == "bearer" and same


async def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except Refusal as refusal:
        return refusal.response
    except Exception:
        logger.exception("a request failed")
        return failed()


def host_name(host: str) -> str:
    """Return the name in a `Host` header, in lower case and without its port.

    >>> host_name("Localhost:8000"), host_name("[::1]:8000"), host_name("::1")
    ('localhost', '::1', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() and ":" not in name else host).lower()


def _foreign(headers: Mapping[bytes, str], host: str) -> str:
    """Return the faults of a request that a page of another site has made; nothing where none has."""
    origin = headers.get(b"origin")
    site = headers.get(b"sec-fetch-site", "none")
    try:
        own = origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        own = False
    if own and site in ("none", "same-origin"):
        return ""
    return f"A page from `{shortened(origin or site)}` may not use this server from a browser."
