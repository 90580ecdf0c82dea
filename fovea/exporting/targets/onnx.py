"""`--to onnx`: one file for every ONNX runtime; also what other targets put into their folders."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fovea.card import Card
from fovea.exporting.grids import grid_of
from fovea.exporting.onnx_file import proven
from fovea.exporting.targets import Request, Written
from fovea.storage import write_atomically


@dataclass(frozen=True, kw_only=True)
class Content:
    """A proven file, not yet written."""

    content: bytes
    card: Card
    """With the key `export`."""
    facts: Mapping[str, Any]
    """JSON values, `proof` among them."""
    lines: Sequence[str]
    """What a person reads of it."""


def content_of(request: Request) -> Content:
    """Return the proven file of a network, in int8 where the request has that, or on the grid that it was trained on.

    Raises:
        ProofError: the graph does not compute what the network does; DropError of int8 that loses too much.
        UsageError: the network cannot be written as such a graph.
    """
    grid = grid_of(request.bundle.model)
    if "int8" in request.options and not grid:
        from fovea.exporting.int8.file import int8_content

        made = int8_content(request.bundle, request.settings, request.options["int8"], request.samples)
        return Content(content=made.content, card=made.card, facts=made.facts, lines=made.lines)
    settings = replace(request.settings, precision="float32") if grid else request.settings
    content, proof, card = proven(request.bundle, settings=settings, samples=request.samples)
    facts = {**settings.to_dict(), **grid, "proof": proof.to_dict()}
    lines = [f"Proof    {proof.line}"]
    if grid:
        same = "with the same numbers" if not proof.largest_difference else "but for rounding"
        lines.insert(0, f"Grid     the network's own, {grid['grid']['layers']} layers in int8, {same}; no calibration")
    return Content(content=content, card=card, facts=facts, lines=lines)


def write(request: Request) -> Written:
    """Write the proven file."""
    began = time.perf_counter()
    made = content_of(request)
    write_atomically(request.out, made.content)
    facts = {"bytes": len(made.content), "seconds": time.perf_counter() - began, **made.facts}
    size = f"{facts['bytes'] / 1e6:.2f} MB, {made.facts['precision']}, written in {facts['seconds']:.0f} s"
    return Written((request.out,), facts, [*made.lines, f"Size     {size}"])
