"""Clients that ask a server as fast as it answers, each over one connection, all in one thread: little work."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Answers:
    """What came of a load."""

    seconds: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    """Of answers with status 200, in seconds."""
    lost: int = 0
    """Requests whose connection ended before their answer."""

    @property
    def rate(self) -> float:
        """Answers with status 200 per second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Return the latency that a share of the answers do not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def typical(self) -> float:
        """The median latency."""
        return median(self.latencies)


class Client(asyncio.Protocol):
    """One connection; asks, waits for the answer, asks again until `until`."""

    def __init__(self, requests: Sequence[bytes], first: int, until: float, answers: Answers) -> None:
        self._requests, self._next, self._until, self._answers = requests, first, until, answers
        self._received = b""
        self._length = -1
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask for the first time."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._received, self._length = b"", -1
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        """Note an answer that is whole, and ask again."""
        self._received += data
        if self._length < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            at = head.index(b"content-length:")
            self._length = end + 4 + int(head[at + 15 :].partition(b"\r\n")[0])
        if 0 <= self._length <= len(self._received):
            now = time.perf_counter()
            code = int(self._received[9:12])
            self._answers.codes[code] += 1
            if code == 200:
                self._answers.latencies.append(now - self._began)
            if now < self._until:
                self._ask() if code == 200 else asyncio.get_running_loop().call_later(0.05, self._ask)
            else:
                self._transport.close()
                self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Note an answer that does not come."""
        if not self.done.done():
            self._answers.lost += 1
            self.done.set_result(None)


def request_of(content: bytes, *, path: str = "/predict", headers: str = "") -> bytes:
    """Return the bytes of a request that sends an image."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n{headers}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def load(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Answers:
    """Return what comes of so many clients that ask for so long; a refused one asks again after 50 ms."""
    return asyncio.run(_load(port, requests, clients, seconds))


async def _load(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Answers:
    answers, loop = Answers(), asyncio.get_running_loop()
    began = time.perf_counter()
    made = []
    for number in range(clients):

        def client(number: int = number) -> Client:
            return Client(requests, 7 * number, began + seconds, answers)

        _, protocol = await loop.create_connection(client, "127.0.0.1", port)
        made.append(protocol)
    await asyncio.gather(*(protocol.done for protocol in made))
    answers.seconds = time.perf_counter() - began
    return answers
