"""`--to pt2`: an exported program of PyTorch, for programs that have PyTorch but not this package."""

import io
from typing import Any

import torch
from numpy.typing import NDArray

from fovea.errors import UsageError, first_line
from fovea.exporting.core import BATCH
from fovea.exporting.library import without_its_warnings
from fovea.exporting.targets import Request, Written
from fovea.exporting.whole import Outputs, Whole, proven_by, refuse
from fovea.inputs.interface import Stored
from fovea.storage import write_atomically

CARD = "card.json"
"""The name of the card among the extra files of the archive."""
AT_ONCE = 16


def write(request: Request) -> Written:
    """Write the proven archive, the card inside.

    Raises:
        ProofError: the program computes something else; nothing is written.
        UsageError: the network cannot be written as a program.
    """
    refuse(request.settings, "pt2", "dynamic-size")
    whole = Whole(request.bundle, raw=request.settings.raw, half=request.settings.precision == "float16")
    program = _program(whole)
    proof, card = proven_by(lambda samples: _run(_bytes(program, ""), whole.names, samples), request)
    content = _bytes(program, card.text(str(request.out)))
    write_atomically(request.out, content)
    facts = {"bytes": len(content), **request.settings.to_dict(), "proof": proof.to_dict()}
    size = f"{len(content) / 1e6:.2f} MB, {request.settings.precision}"
    return Written((request.out,), facts, [f"Proof    {proof.line}", f"Size     {size}"])


def _program(whole: Whole) -> Any:
    try:
        with without_its_warnings(), torch.no_grad():
            return torch.export.export(whole, (whole.example,), dynamic_shapes=({0: torch.export.Dim(BATCH)},))
    except Exception as error:  # whatever the tracer makes of a network
        raise UsageError(f"This network cannot be written as a PyTorch program: {first_line(error)}") from error


def _bytes(program: Any, card: str) -> bytes:
    with io.BytesIO() as file, without_its_warnings():
        torch.export.save(program, file, extra_files={CARD: card})
        return file.getvalue()


@torch.no_grad()
def _run(content: bytes, names: tuple[str, ...], samples: Stored) -> Outputs:
    """Return what the archive, read again, gives for samples."""
    with without_its_warnings():
        module = torch.export.load(io.BytesIO(content)).module()
    found: list[tuple[NDArray[Any], ...]] = []
    for first in range(0, len(samples), AT_ONCE):
        outputs = module(torch.from_numpy(samples[first : first + AT_ONCE].copy()))
        found.append(tuple(output.numpy() for output in outputs))
    columns = (torch.cat([torch.from_numpy(part[index]) for part in found]) for index in range(len(names)))
    return {name: column.numpy() for name, column in zip(names, columns, strict=True)}
