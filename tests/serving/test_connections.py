"""Connections are bounded in number and patience, and what is no request is told so."""

import json
import socket
import time

import pytest
from live_server import live

from fovea.serving import connections


@pytest.fixture(scope="module")
def impatient(colours_file):
    """Yield a server that waits half a second for a head."""
    with live({"colours": colours_file}, head_s=0.5) as server:
        yield server


def test_a_head_that_does_not_come_is_not_waited_for(impatient):
    began = time.monotonic()
    assert impatient.exchange(b"") == b""
    assert impatient.exchange(b"GET /health HTTP/1.1\r\nHost: local") == b""
    assert time.monotonic() - began < 30


def test_a_refused_body_that_never_ends_is_not_read_for_ever(impatient):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000000\r\n\r\n"
    said = impatient.exchange(head + bytes(1000))
    assert said.startswith(b"HTTP/1.1 413 ")


def test_a_connection_serves_several_requests(impatient):
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    said = impatient.exchange(2 * request + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert said.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # without a host
        b"GET /" + b"x" * 100_000,
    ],
)
def test_what_is_no_request_gets_a_message_in_json(impatient, content):
    said = impatient.exchange(content)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "This is not a valid HTTP request."}


def test_pieces_that_are_no_request_behind_a_body_do_no_harm(impatient):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    said = impatient.exchange(head)
    assert said == b"" or said.startswith(b"HTTP/1.1 4")
    with impatient.client() as client:
        assert client.get("/health").status_code == 200


def test_a_check_of_health_in_http_1_0_needs_no_host(impatient):
    assert impatient.exchange(b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


def test_connections_beyond_the_bound_are_told_so(colours_file, monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    with live({"colours": colours_file}) as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        try:
            while len(server.server.server_state.connections) < 2:
                time.sleep(0.01)
            said = server.exchange(b"")
            assert said.startswith(b"HTTP/1.1 503 ") and b"too many connections" in said
        finally:
            for connection in held:
                connection.close()
        while server.server.server_state.connections:
            time.sleep(0.01)
        with server.client() as client:
            assert client.get("/health").status_code == 200
