"""`--to onnx`: one file for every ONNX runtime."""

from fovea.exporting.onnx_file import export_onnx
from fovea.exporting.targets import Request, Written


def write(request: Request) -> Written:
    """Write the proven file."""
    done = export_onnx(request.bundle, request.out, settings=request.settings, samples=request.samples)
    facts = {
        "bytes": done.bytes,
        "seconds": done.seconds,
        **request.settings.to_dict(),
        "proof": done.proof.to_dict(),
    }
    size = f"{done.bytes / 1e6:.2f} MB, {request.settings.precision}, written in {done.seconds:.0f} s"
    return Written((done.path,), facts, [f"Proof    {done.proof.line}", f"Size     {size}"])
