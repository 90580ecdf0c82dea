"""`--to executorch`: a `.pte` for PyTorch's runtime on phones and boards, lowered to XNNPACK; the card lies beside."""

from typing import Any

import torch

from fovea.errors import UsageError, first_line
from fovea.exporting.library import optional, silenced
from fovea.exporting.reference import ProofError
from fovea.exporting.targets import Request, Written, write_with_card
from fovea.exporting.whole import Outputs, Whole, one_by_one, proven_by, refuse
from fovea.inputs.interface import Stored

EXTRA = "executorch"


def write(request: Request) -> Written:
    """Write the proven program for one sample at a time, and its card as JSON.

    Raises:
        ProofError: the program computes something else; nothing is written.
        UsageError: the network has an operator that the library cannot lower, as local response norm.
        MissingDependencyError: the library is not installed.
    """
    refuse(request.settings, "executorch", "half", "dynamic-size")
    with silenced():
        optional("executorch", EXTRA)
    whole = Whole(request.bundle, raw=request.settings.raw)
    content = _lowered(whole)
    proof, card = proven_by(lambda samples: one_by_one(_Program(content, whole.names).run, samples), request)
    files = write_with_card(request.out, content, card)
    facts = {"bytes": len(content), **request.settings.to_dict(), "proof": proof.to_dict()}
    lines = [f"Proof    {proof.line}", f"Size     {len(content) / 1e6:.2f} MB, {request.settings.precision}"]
    return Written(files, facts, [*lines, "Note     Verified on this machine's processor; not tested on ARM"])


def _lowered(whole: Whole) -> bytes:
    """Return the program for one sample as bytes."""
    try:
        with silenced(), torch.no_grad():
            exir = optional("executorch.exir", EXTRA)
            xnnpack = optional("executorch.backends.xnnpack.partition.xnnpack_partitioner", EXTRA)
            program = torch.export.export(whole, (whole.example[:1],))
            edge = exir.to_edge_transform_and_lower(program, partitioner=[xnnpack.XnnpackPartitioner()])
            return bytes(edge.to_executorch().buffer)
    except Exception as error:  # whatever the library makes of an operator that it lacks
        raise UsageError(f"ExecuTorch cannot lower this network: {first_line(error)}") from error


class _Program:
    """A lowered program in ExecuTorch's runtime."""

    def __init__(self, content: bytes, names: tuple[str, ...]) -> None:
        with silenced():
            runtime = optional("executorch.runtime", EXTRA)
        self.names = names
        try:
            # what a method uses must live as long as it does
            self.program: Any = runtime.Runtime.get().load_program(content)
            self.method: Any = self.program.load_method("forward")
        except Exception as error:  # of a kind of its own
            raise ProofError(
                f"ExecuTorch cannot load its own program: {first_line(error)}; no file is written."
            ) from error

    def run(self, sample: Stored) -> Outputs:
        """Return the outputs for one sample (1, ...)."""
        try:
            found = self.method.execute([torch.from_numpy(sample.copy())])
        except RuntimeError as error:
            raise ProofError(
                f"ExecuTorch fails on its own program: {first_line(error)}; no file is written."
            ) from error
        # the runtime gives its own memory, which the next run writes again
        return {name: output.clone().numpy() for name, output in zip(self.names, found, strict=True)}
