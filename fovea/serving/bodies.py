"""What a request brings, read within bounds and kept in memory only."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from fovea.errors import shortened
from fovea.serving.refusal import Refusal, gone
from fovea.serving.settings import BODY_BYTES_PER_S, Settings

FIELDS = ("image", "images", "file", "files")
"""Names of form fields that hold images."""
RAW = ("image/", "audio/", "video/", "text/csv", "application/octet-stream")
"""How the type of a body begins that is one file as it is."""
LONGEST_HEAD = 16_384
"""Bytes of the headers of one part of a form."""
LONGEST_NAME = 300
"""Characters of a file's name that come back."""


class Upload(NamedTuple):
    """One file that was sent."""

    name: str
    """Empty where the request is the file itself."""
    content: bytes


async def read_body(request: Request, settings: Settings, deadline: float, take: Callable[[int], None]) -> bytes:
    """Return the whole body; `take` is asked for room for its bytes before they are kept.

    Raises: Refusal for one that is compressed (415), too large (413), too slow (408) or never whole (499).
    """
    most = settings.body_bytes
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "The body is compressed; send it without compression.")
    announced = int(request.headers.get("content-length") or 0)
    if announced > most:
        raise _too_large(most)
    take(announced)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in _chunks(request, settings, deadline):
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            take(max(0, size - announced) - max(0, size - len(chunk) - announced))
            chunks.append(chunk)
    except ClientDisconnect:
        raise gone() from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _chunks(request: Request, settings: Settings, deadline: float) -> AsyncIterator[bytes]:
    """Yield a body piece by piece; 408 where it comes too slowly, or not before the deadline."""
    began, size, more = time.monotonic(), 0, True
    while more:
        patience = began + settings.body_grace_s + size / BODY_BYTES_PER_S
        try:
            async with asyncio.timeout_at(min(patience, deadline)):
                message = await request.receive()
        except TimeoutError:
            raise Refusal(
                408, f"The body arrived too slowly: {size:,} bytes in {time.monotonic() - began:.0f} s."
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if chunk:
            yield chunk


def uploads_in(body: bytes, content_type: str, *, most: int) -> list[Upload]:
    """Return the files in a body: itself, or those of a form.

    Raises: Refusal for no file or an empty one (400), another type (415), or more than `most` files (413).
    """
    kind, options = parse_options_header(content_type)
    name = kind.decode("latin-1").lower()
    if name == "multipart/form-data":
        found = _form(body, options, most=most)
    elif not name or name.startswith(RAW):
        found = [Upload("", body)]
    else:
        raise Refusal(
            415,
            f"`{shortened(name)}` is not a media type for images; send the bytes as application/octet-stream or "
            "image/..., or a form (multipart/form-data) with a field `image`.",
        )
    if not found:
        raise Refusal(400, "The form contains no file; send it as a field `image`.")
    if len(found) == 1 and not found[0].content:
        raise Refusal(400, "The body is empty; send the bytes of an image.")
    return found


def _form(body: bytes, options: Mapping[bytes, bytes], *, most: int) -> list[Upload]:
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 200:
        raise Refusal(400, "The form has no boundary; for example `curl -F image=@cat.jpg` sends a correct form.")
    parts = _Parts(most)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.header_name,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_headers_finished": parts.headers_finished,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
            "on_end": parts.finish,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"The form cannot be read: {error}") from None
    if not parts.finished:
        raise Refusal(400, "The form ends before its last boundary.")
    return parts.uploads


@dataclass
class _Parts:
    """Gathers the parts of a form as the parser meets them."""

    most: int
    uploads: list[Upload] = field(default_factory=list)
    finished: bool = False
    _header: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _name: str = ""
    _pieces: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        self._disposition, self._name, self._pieces = b"", "", []
        if len(self.uploads) >= self.most:
            raise Refusal(413, f"A request may contain at most {self.most} files; this one has more.")

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_head()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_head()

    def header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in FIELDS:
            raise Refusal(
                400, f"The form has a field `{shortened(name)}`; files must be in fields named {', '.join(FIELDS)}."
            )
        given = options.get(b"filename", b"").decode("utf-8", "replace")
        self._name = given.replace("\\", "/").rpartition("/")[2][:LONGEST_NAME]

    def data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def end(self) -> None:
        content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self.uploads.append(Upload(self._name, content))

    def finish(self) -> None:
        self.finished = True

    def _check_head(self) -> None:
        if len(self._header) + len(self._value) > LONGEST_HEAD:
            raise Refusal(400, "A part of the form has headers that are too long.")


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"The body has more than {most:,} bytes, the limit.")
