"""Explanations, in a process of their own: they need PyTorch, take long, and must not slow predictions down.

The process listens at a socket in a folder that only this user can enter. A request is a connection: two lengths, JSON,
the bytes of an image; the answer is a length and JSON. At most `MOST_WAITING` requests wait, one is computed at a time.
"""

import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fovea.errors import FoveaError, first_line
from fovea.serving.engine import Wait
from fovea.serving.refusal import Refusal, late
from fovea.serving.replacing import State, state_of

if TYPE_CHECKING:
    from fovea.model.bundle import Bundle

METHOD = "gradcam"
MOST_WAITING = 8
PATIENCE_S = 60.0
"""After so long without the rest of a request, or of an answer, a connection is closed."""
NICENESS = 19
_LENGTHS = struct.Struct(">II")


class ExplainerClient:
    """Asks the process that explains."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def explain(self, model: str, image: bytes, answer: str | None, wait: Wait) -> dict[str, Any]:
        """Return the answer that is explained, and the map over the image as a PNG, base64, in `picture`.

        Raises: Refusal where the image or the answer cannot be used, or the process is busy or being started again.
        """
        seconds = wait.deadline - time.monotonic()
        head = json.dumps({"model": model, "answer": answer, "seconds": seconds}).encode()
        try:
            async with asyncio.timeout_at(wait.deadline):
                reader, writer = await asyncio.open_unix_connection(self._address)
                with contextlib.closing(writer):
                    writer.write(_LENGTHS.pack(len(head), len(image)) + head + image)
                    await writer.drain()
                    said = json.loads(await _message(reader))
        except TimeoutError:
            raise late(wait.seconds) from None
        except (OSError, asyncio.IncompleteReadError):
            raise Refusal(503, "Explanations are not available now; try again in 5 s.", headers=_RETRY) from None
        if "error" in said:
            raise Refusal(said["status"], said["error"], headers=_RETRY if said["status"] == 503 else None)
        return dict(said)


_RETRY = {"Retry-After": "5"}


@dataclass
class _Loaded:
    bundle: "Bundle"
    state: State


class Explainer:
    """Explains answers of bundles, one image at a time."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths = paths
        self._loaded: dict[str, _Loaded] = {}
        self._thread = ThreadPoolExecutor(1)
        self._waiting = 0
        for name in paths:
            self._bundle(name)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection."""
        with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE_S):
                lengths = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
                head, image = [await reader.readexactly(length) for length in lengths]
            text = json.dumps(await self._said(json.loads(head), image)).encode()
            writer.write(struct.pack(">I", len(text)) + text)
            async with asyncio.timeout(PATIENCE_S):
                await writer.drain()

    async def _said(self, asked: dict[str, Any], image: bytes) -> dict[str, Any]:
        if self._waiting > MOST_WAITING:
            return {"status": 503, "error": "Too many explanations are waiting; try again in 5 s."}
        deadline = time.monotonic() + asked["seconds"]
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._explained, asked, image, deadline)
        finally:
            self._waiting -= 1

    def _explained(self, asked: dict[str, Any], image: bytes, deadline: float) -> dict[str, Any]:
        if time.monotonic() > deadline:
            return {"status": 503, "error": "The request has timed out."}
        try:
            return explanation(self._bundle(asked["model"]), image, asked["answer"])
        except (FoveaError, ValueError) as error:
            return {"status": 422, "error": first_line(error)}

    def _bundle(self, name: str) -> "Bundle":
        """Return the bundle as it is on disk now; the one before where the new one does not load."""
        from fovea.model.bundle import load

        state, loaded = state_of(self._paths[name]), self._loaded.get(name)
        if loaded is None or loaded.state != state:
            try:
                self._loaded[name] = _Loaded(load(self._paths[name]), state)
            except FoveaError:
                if loaded is None:
                    raise
                loaded.state = state
        return self._loaded[name].bundle


def explanation(bundle: "Bundle", content: bytes, answer: str | None) -> dict[str, Any]:
    """Return, as JSON values, what a bundle says of the image in `content`, and where it sees that, as a PNG.

    `answer` names what is explained, instead of what the network answers.

    Raises: FoveaError for an image that cannot be decoded, an answer that there is not, or a network without maps.
    """
    import torch

    from fovea import inputs
    from fovea.explanation.attribution.methods import method_named
    from fovea.explanation.objective import Objective

    sample, kind, target = bundle.preprocess.read(content), inputs.kind_of(bundle.preprocess), bundle.target
    outputs = bundle.outputs(sample[None])
    index = target.asked(outputs)[0] if answer is None else target.answer_named(answer)
    x = bundle.inputs_of(sample[None])
    objective = Objective.of_task(target, torch.tensor([index], device=x.device))
    method = method_named(METHOD)
    found = method(bundle.model, x, objective)
    values = kind.laid(found.at(bundle.preprocess.shape[1:])[0].numpy(), sample)
    return {
        "answer": target.answer_text(index),
        **target.best(target.decode(outputs)[0], 5).to_dict(),
        "method": METHOD,
        "layer": found.layer,
        "picture": base64.b64encode(_picture(kind.drawn(sample), values)).decode(),
    }


def _picture(pixels: Any, values: Any) -> bytes:
    """Return a PNG of pixels (H, W, C) uint8 under a map (H, W) float32."""
    from PIL import Image

    from fovea.report.rasters import in_colour, overlay

    below = Image.fromarray(in_colour(pixels)).convert("RGBA")
    above = Image.fromarray(overlay(values, signed=False)).resize(below.size)
    stream = io.BytesIO()
    Image.alpha_composite(below, above).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


async def _message(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return await reader.readexactly(length)


async def run(address: str, paths: dict[str, Path]) -> None:
    """Explain until standard input ends, as the parent has."""
    explainer = Explainer(paths)
    server = await asyncio.start_unix_server(explainer.answer, address, limit=1 << 20)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: ended.set() if not os.read(0, 1024) else None)
    async with server:
        print("ready", flush=True)
        await ended.wait()


def main() -> None:
    """Do what the first line of standard input says: `{"address": ..., "models": {NAME: PATH}}`."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; workers still need this one
    torch.set_num_threads(1)
    os.nice(NICENESS)
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    order = json.loads(line)
    try:
        asyncio.run(run(order["address"], {name: Path(path) for name, path in order["models"].items()}))
    except (FoveaError, OSError) as error:
        print(first_line(error), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
