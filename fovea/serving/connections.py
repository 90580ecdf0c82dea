"""Connections with bounds: uvicorn's protocol, with a limit to how many there are and how slowly a head may come."""

import asyncio
import json
import time
from collections.abc import Collection
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 1000
"""Of one process; beyond, a connection gets an error and is closed."""
KEEP_ALIVE_S = 30
"""A connection may be idle so long after an answer."""
HEAD_S = 10.0
"""A head must be whole so long after its connection, or after that; a body that was refused must have ended."""
HEAD_BYTES = 32_768


class Connection(H11Protocol):
    """One connection."""

    quiet_since = 0.0
    """When it began to wait for a head."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or say that there are too many."""
        super().connection_made(transport)
        self.quiet_since = time.monotonic()
        if len(self.connections) > MOST_CONNECTIONS:
            transport.write(
                _plain(503, "Service Unavailable", "The server has too many connections; try again in 1 s.")
            )
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let what waits for an answer hear that nobody does any more."""
        super().connection_lost(exc)
        if self.cycle is not None and not self.cycle.response_complete:
            for abandon in self.cycle.scope.get("state", {}).get("when_gone", ()):
                abandon()

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no request, as JSON."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            self.transport.write(_plain(400, "Bad Request", "This is not a valid HTTP request."))
        self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        self.quiet_since = time.monotonic()
        super().on_response_complete()

    def is_overdue(self, head_s: float) -> bool:
        """Tell whether it waits in vain: for a head, or for the end of a body that nobody reads."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        discards = self.cycle is not None and self.conn.their_state is h11.SEND_BODY
        patience = head_s if self.cycle is None or discards else KEEP_ALIVE_S + head_s
        return time.monotonic() - self.quiet_since > patience


async def close_overdue(connections: Collection[Any], *, every_s: float = 1.0, head_s: float = HEAD_S) -> None:
    """Close what waits in vain, for as long as this runs."""
    while True:
        await asyncio.sleep(every_s)
        for connection in list(connections):
            if isinstance(connection, Connection) and connection.is_overdue(head_s):
                connection.transport.abort()


def _plain(status: int, phrase: str, message: str) -> bytes:
    body = json.dumps({"error": message})
    head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}connection: close\r\n\r\n{body}".encode()
