"""`--to onnx`: one file for every ONNX runtime."""

import time

from fovea.exporting.onnx_file import export_onnx
from fovea.exporting.targets import Request, Written
from fovea.storage import write_atomically


def write(request: Request) -> Written:
    """Write the proven file."""
    if "int8" in request.options:
        return _write_int8(request)
    done = export_onnx(request.bundle, request.out, settings=request.settings, samples=request.samples)
    facts = {
        "bytes": done.bytes,
        "seconds": done.seconds,
        **request.settings.to_dict(),
        "proof": done.proof.to_dict(),
    }
    size = f"{done.bytes / 1e6:.2f} MB, {request.settings.precision}, written in {done.seconds:.0f} s"
    return Written((done.path,), facts, [f"Proof    {done.proof.line}", f"Size     {size}"])


def _write_int8(request: Request) -> Written:
    from fovea.exporting.int8.file import int8_content

    began = time.perf_counter()
    made = int8_content(request.bundle, request.settings, request.options["int8"], request.samples)
    write_atomically(request.out, made.content)
    facts = {"bytes": len(made.content), "seconds": time.perf_counter() - began, **made.facts}
    size = f"{facts['bytes'] / 1e6:.2f} MB, {made.facts['precision']}, written in {facts['seconds']:.0f} s"
    return Written((request.out,), facts, [*made.lines, f"Size     {size}"])
