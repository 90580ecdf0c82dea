"""Who has no token, comes from another page or names another host gets nothing."""

import asyncio
from typing import NamedTuple

import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from fovea.studio.guard import Guard

TOKEN, PORT = "s3cret", 8123
HOST = f"127.0.0.1:{PORT}"
OWN = {"origin": f"http://{HOST}"}
FOREIGN = {"origin": "http://evil.example"}
COOKIE = {"cookie": f"fovea-studio-{PORT}={TOKEN}"}


async def greet(request):
    return PlainTextResponse("room")


async def socket(connection):
    await connection.accept()
    await connection.send_text("room")
    await connection.close()


APP = Guard(
    Starlette(routes=[Route("/", greet, methods=["GET", "POST"]), WebSocketRoute("/socket", socket)]),
    token=TOKEN,
    port=PORT,
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def asked(target, *, method="GET", kind="http", **headers):
    """Return every message that the application sends."""
    path, _, query = target.partition("?")
    named = {"host": HOST, **headers}
    scope = {
        "type": kind,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http" if kind == "http" else "ws",
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        **({"method": method} if kind == "http" else {"subprotocols": []}),
    }
    messages = iter([{"type": "http.request"}] if kind == "http" else [{"type": "websocket.connect"}])
    sent = []

    async def receive():
        return next(messages, {"type": f"{kind}.disconnect"})

    async def send(message):
        sent.append(message)

    asyncio.run(APP(scope, receive, send))
    return sent


def answer(target, **options):
    head, *body = asked(target, **options)
    headers = {name.decode(): value.decode() for name, value in head["headers"]}
    return Answer(head["status"], headers, b"".join(part.get("body", b"") for part in body).decode())


def opens(**headers):
    """Say whether the socket opens, and nothing of it is told where it does not."""
    sent = asked("/socket", kind="websocket", **headers)
    opened = sent[0]["type"] == "websocket.accept"
    assert opened or sent == [{"type": "websocket.close", "code": 1008}]
    return opened


def test_the_token_becomes_a_cookie_and_leaves_the_address():
    found = answer(f"/?token={TOKEN}&layer=3")
    assert (found.status, found.headers["location"]) == (303, "/?layer=3")
    cookie = found.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE["cookie"]) and "httponly" in cookie and "samesite=strict" in cookie
    assert answer("/", **COOKIE).text == "room"


@pytest.mark.parametrize("address", ["/", "/?token=wrong", "/?token=", "/?layer=3"])
@pytest.mark.parametrize("cookie", ["", f"fovea-studio-{PORT}=wrong", f"fovea-studio-9={TOKEN}", "=;=\x01"])
def test_without_the_token_nothing_is_shown(address, cookie):
    found = answer(address, cookie=cookie)
    assert found.status == 403 and "room" not in found.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9", "127.0.0.1", "", f"{HOST}.evil.example"])
def test_another_host_is_refused_even_with_the_token(host):
    assert answer(f"/?token={TOKEN}", host=host, **COOKIE).status == 421


def test_a_foreign_page_can_neither_read_nor_change():
    assert answer("/", **FOREIGN, **COOKIE).status == 403
    assert answer("/", method="POST", **FOREIGN, **COOKIE).status == 403
    assert answer("/", method="POST", **COOKIE).status == 403
    assert answer("/", method="POST", **OWN, **COOKIE).text == "room"


def test_the_sockets_handshake_is_checked_as_pages_are():
    assert opens(**OWN, **COOKIE)
    assert not opens(**COOKIE)
    assert not opens(**FOREIGN, **COOKIE)
    assert not opens(origin=f"https://{HOST}", **COOKIE)
    assert not opens(**OWN)
    assert not opens(**OWN, host="evil.example", **COOKIE)


def test_a_large_body_is_refused_before_it_is_read():
    assert answer("/", method="POST", content_length="100000000", **OWN, **COOKIE).status == 413


@pytest.mark.parametrize(
    "headers", [{"content_length": "many"}, {"content_length": "-1"}, {"transfer_encoding": "chunked"}]
)
def test_a_body_of_unknown_length_is_refused(headers):
    assert answer("/", method="POST", **headers, **OWN, **COOKIE).status == 411


def test_every_answer_keeps_the_page_to_itself():
    headers = answer("/", **COOKIE).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("text", "quiet"), [("No response returned.", True), ("Something else.", False)])
def test_a_browser_that_has_left_is_no_fault_of_the_studio(text, quiet):
    async def fails(scope, receive, send):
        raise RuntimeError(text)

    guard = Guard(fails, token=TOKEN, port=PORT)
    names = {"host": HOST, **COOKIE}
    scope = {
        **{"type": "http", "method": "GET", "path": "/", "query_string": b""},
        "headers": [(name.encode(), value.encode()) for name, value in names.items()],
    }
    if quiet:
        asyncio.run(guard(scope, None, None))
    else:
        with pytest.raises(RuntimeError):
            asyncio.run(guard(scope, None, None))
