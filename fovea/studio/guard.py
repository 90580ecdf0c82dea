"""Who may ask: only pages of this studio, only from this machine, only with its token.

The address that is printed holds the token. The first request turns it into a cookie that scripts cannot read, and
leads on to the same address without it. Every request, also the handshake of the socket, names this host in `Host`,
comes from a page of it where it says from which, and brings the cookie.
"""

import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"
READS = ("GET", "HEAD")
GONE = "No response returned."
"""What the library of the pages raises where a browser has left before its answer."""
MOST_BYTES = 32_000_000
"""Of the body of one request."""


class Guard:
    """What stands before the application."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self.app, self.token = app, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.cookie = f"fovea-studio-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = self._answer(scope, headers)
        if answer is None:
            await self._passed(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, self._marked(send))

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; where the browser has gone before that, nothing is to be said of it."""
        try:
            await self.app(scope, receive, self._marked(send))
        except RuntimeError as error:
            if str(error) != GONE:
                raise

    def _answer(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Return what is said instead of an answer; None where the request may pass."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return PlainTextResponse("This address is not one of the studio's.", 421)
        changes = scope["type"] == "websocket" or scope["method"] not in READS
        if (origin is None and changes) or (origin is not None and origin != f"http://{host}"):
            return PlainTextResponse("Only pages of the studio may ask this.", 403)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            return PlainTextResponse("A request must declare its length.", 411)
        if int(length) > MOST_BYTES:
            return PlainTextResponse(f"A request has at most {MOST_BYTES:,} bytes.", 413)
        if self._is_token(_cookie(headers.get("cookie", ""), self.cookie)):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        if not changes and any(name == TOKEN and self._is_token(value) for name, value in query):
            rest = urlencode([pair for pair in query if pair[0] != TOKEN])
            response = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return response
        return PlainTextResponse("Open the address that `fovea studio` has printed: it holds the token.", 403)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _marked(self, send: Send) -> Send:
        """Return what sends answers with the headers that keep a page to itself."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        return marked


POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
"""Pages load nothing from other hosts. The library of the pages compiles its templates in them."""

HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""
