"""Damaged requests to a server: the bytes of HTTP, forms, tensors, and damaged images inside of whole ones."""

import asyncio
import json
import os
import re
import socket
import tempfile
import threading
import time
from pathlib import Path
from random import Random

from fovea.serving import connections
from fovea.serving.connections import close_overdue
from fovea.serving.meters import Meters, size_bytes
from fovea.serving.settings import Settings
from fovea.serving.worker import Order, server_for, site_of
from tests.campaigns.batches import Finding, Kind, text_fault
from tests.campaigns.images import PICTURES, mutant
from tests.campaigns.mutation import VALUES, altered, damaged
from tests.support.onnx_files import SIZE, write_onnx

ALLOWED = {200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 431, 503}
BOUNDARY = "x7MA4YWxkTrZu0gW"
PATIENCE_S = 10.0
SETTINGS = {"queue": 16, "files": 8, "body_bytes": 1_000_000, "timeout_s": 5.0, "body_grace_s": 0.1}
TYPES = (
    *("image/png", "application/octet-stream", "", "multipart/form-data", "text/plain", "\xff\xfe", "image/png;" * 400),
    *("multipart/form-data; boundary=", f"multipart/form-data; boundary={'y' * 300}", "application/json", 'a/b; c="\\'),
)
PATHS = (
    *(
        "/predict",
        "/predict",
        "/models/colours/predict",
        "/v2/models/colours/infer",
        "/predict?top=3",
        "/predict?top=-1",
    ),
    *("/predict?model=x", "/models/..%2f..%2fetc/predict", "/%00", "//predict", "/predict?top=" + "9" * 99, "/explain"),
    *("/v2/models/colours/versions/9/infer", "/model", "/openapi.json", "/predict?\xe9"),
)
HEADERS = (
    *("X-Timeout-S: 0.001", "X-Timeout-S: nan", "X-Timeout-S: 1e999", "Expect: 100-continue", "Host: evil.example"),
    *("Origin: http://evil.example", "Transfer-Encoding: chunked", "Content-Length: 5", "Content-Length: -1"),
    *(
        "Inference-Header-Content-Length: 40",
        "Inference-Header-Content-Length: 99999999999999999999",
        "Upgrade: websocket",
    ),
    *(
        "Connection: keep-alive",
        "Authorization: Bearer \xff",
        "Accept-Encoding: gzip",
        "Range: bytes=0-1",
        f"X: {'y' * 9000}",
    ),
)


def form(*contents: bytes, name: str = "image") -> bytes:
    """Return the body of a form."""
    parts = []
    for index, content in enumerate(contents):
        head = (
            f'Content-Disposition: form-data; name="{name}"; filename="{index}.png"\r\nContent-Type: image/png\r\n\r\n'
        )
        parts.append(f"--{BOUNDARY}\r\n{head}".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def tensors(chance: Random) -> tuple[bytes, int | None]:
    """Return the body of an inference request, altered, and the length of its JSON where bytes follow."""
    count = chance.choice((1, 1, 2, 8, 9))
    pixels = bytes(chance.randrange(256) for _ in range(count * SIZE * SIZE * 3))
    entry = {"name": "images", "datatype": "UINT8", "shape": [count, SIZE, SIZE, 3]}
    binary = chance.random() < 0.5
    said = {
        "id": "1",
        "inputs": [
            {**entry, "parameters": {"binary_data_size": len(pixels)}} if binary else {**entry, "data": list(pixels)}
        ],
    }
    if chance.random() < 0.5:
        said["outputs"] = [{"name": "probabilities", "parameters": {"binary_data": chance.random() < 0.5}}]
    for _ in range(chance.choice((0, 1, 1, 2))):
        said = altered(said, chance, others=(*VALUES, 10**400, [1, 2], "FP32", "BYTES", [1 << 40, 1 << 40], 2**63))
        if not isinstance(said, dict) or not said:
            break
    text = json.dumps(said).encode()
    if chance.random() < 0.2:
        text = damaged(text, chance, near=64)
    return text + (pixels if binary else b""), len(text) if binary else None


def make_request(chance: Random, originals: Path, folder: Path) -> Path:
    """Write the bytes of one request."""
    act = chance.random()
    kind, path, more = "image/png", "/predict", []
    if act < 0.35:
        body = mutant(chance)[1]
    elif act < 0.6:
        images = [
            mutant(chance)[1] if chance.random() < 0.5 else chance.choice(PICTURES)[1]
            for _ in range(chance.choice((1, 2, 3, 9)))
        ]
        body = form(*images, name=chance.choice(("image", "image", "image", "file", "", "x" * 20_000)))
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        if chance.random() < 0.6:
            body = damaged(body, chance, others=[form(b"", b"")], near=300)
    elif act < 0.8:
        body, length = tensors(chance)
        kind, path = "application/json", "/v2/models/colours/infer"
        more = [f"Inference-Header-Content-Length: {length}"] if length is not None else []
    else:
        body = chance.choice(PICTURES)[1]
    if chance.random() < 0.2:
        kind = chance.choice(TYPES)
    if chance.random() < 0.2:
        path = chance.choice(PATHS)
    more += [chance.choice(HEADERS) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    method = chance.choice(("POST",) * 60 + ("GET", "PUT", "HEAD", "OPTIONS", "BREW"))
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        *more,
        f"Content-Length: {len(body)}",
    ]
    content = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
    if chance.random() < 0.25:
        content = damaged(content, chance, near=300)
    place = folder / "request"
    place.write_bytes(content)
    return place


class Running:
    """A server in a thread of this process; one for all items of a batch."""

    port = 0

    @classmethod
    def at(cls) -> int:
        """Return the port at which it answers; the first call starts it."""
        if not cls.port:
            begun = threading.Event()
            threading.Thread(target=lambda: asyncio.run(cls._run(begun)), daemon=True).start()
            if not begun.wait(60):
                raise Finding("the server does not begin")
        return cls.port

    @classmethod
    async def _run(cls, begun: threading.Event) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            tempfile.TemporaryFile() as counters,
            socket.socket(proto=socket.IPPROTO_TCP) as listener,
        ):
            model = write_onnx(Path(folder) / "colours.onnx")
            listener.bind(("127.0.0.1", 0))
            listener.listen(16)
            os.ftruncate(counters.fileno(), size_bytes(1, 1))
            order = Order(
                settings=Settings(**SETTINGS), models={"colours": model}, slot=0, listener=-1, meters=counters.fileno()
            )
            async with site_of(order, Meters(counters.fileno(), ["colours"], slots=1)) as site:
                server = server_for(site)
                connections.KEEP_ALIVE_S = 0.2  # some requests no longer ask for the end of the connection
                asyncio.ensure_future(close_overdue(server.server_state.connections, every_s=0.05, head_s=0.3))
                cls.port = listener.getsockname()[1]
                asyncio.get_running_loop().call_later(0.1, begun.set)
                await server.serve(sockets=[listener])


def exchange(port: int, content: bytes) -> bytes:
    """Send bytes, and return what comes until the server closes. Raises: Finding where it does not."""
    found, until = b"", time.monotonic() + PATIENCE_S
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        try:
            connection.sendall(content)
        except OSError:
            pass  # it has closed already; what it said is there
        while time.monotonic() < until:
            try:
                piece = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return found
            if not piece:
                return found
            found += piece
    raise Finding(f"no end of the answer after {PATIENCE_S:g} s: {found[:200]!r}")


def status_of(answer: bytes) -> int:
    """Return the status of the first answer, checked. Raises: Finding."""
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not answer:
        return 0
    match = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", answer)
    if match is None:
        raise Finding(f"no answer of HTTP: {answer[:200]!r}")
    status = int(match[1])
    if status not in ALLOWED:
        raise Finding(f"the status {status}: {answer[:300]!r}")
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    body = rest[: int(length[1])] if length and not rest.startswith(b"HTTP/1.1 ") else b""  # of HEAD there is none
    if status >= 400 and b"content-type: application/json" in head.lower() and body:
        if fault := text_fault(json.loads(body)["error"]):
            raise Finding(fault)
    return status


def use_request(path: Path, _: Random) -> str:
    """Send a request, and see that the server lives and answers a good one as before."""
    port = Running.at()
    status = status_of(exchange(port, path.read_bytes()))
    good = PICTURES[1][1]
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(good)}\r\n"
    if status_of(exchange(port, f"{head}Connection: close\r\n\r\n".encode() + good)) != 200:
        raise Finding("a good request has no answer behind this one")
    return str(status or "closed")


KINDS = (
    Kind(
        name="uploads",
        make=make_request,
        attempt=use_request,
        peak_mb=160,
        settings={"FOVEA_IMAGE_MB": "48"},
        seconds=30.0,
        batch=200,
        short=40,
    ),
)
