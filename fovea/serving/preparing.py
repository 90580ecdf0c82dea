"""What a server needs of a model file before it begins, made in a process of its own: it takes much memory.

    {"model": PATH, "out": PATH or "", "reference": DATA or ""}

Of a bundle, `out` is where its exported file goes; `reference` is data; drift is measured against its validation split.
It says what came of it in a line of JSON: `{}`, `{"reference": ...}` or `{"error": ...}`, with `"usage": true` where
what was asked for is at fault.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fovea.drift import Reference
from fovea.errors import BundleError, FoveaError, UsageError, first_line

if TYPE_CHECKING:
    from fovea.model.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """One model file, and what is wanted of it."""

    model: Path
    out: Path | None = None
    """Where the exported file goes; None if the model is one."""
    reference: str = ""
    """A data set; empty if no reference is wanted."""

    def start(self) -> "subprocess.Popen[bytes]":
        """Return the process that does it; `result` reads what it says."""
        order = {"model": str(self.model), "out": str(self.out or ""), "reference": self.reference}
        command = [sys.executable, "-m", "fovea.serving.preparing", json.dumps(order)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def result(self, process: "subprocess.Popen[bytes]") -> Reference | None:
        """Return the reference, where one was wanted, when the process has ended.

        Raises: BundleError with what the process says; UsageError for a reference that cannot be one.
        """
        text = process.communicate()[0].decode(errors="replace")
        try:
            said = json.loads(text)
        except ValueError:
            said = {"error": f"`{self.model.name}` cannot be loaded: its process ended ({process.returncode})."}
        if "error" in said:
            raise (UsageError if said.get("usage") else BundleError)(said["error"])
        return Reference.from_card(said)

    def run(self) -> Reference | None:
        """Do it, and wait; errors as `result`."""
        with self.start() as process:  # its pipe is closed, whatever comes
            try:
                return self.result(process)
            finally:
                process.kill()  # where this one is told to end meanwhile


def prepare(order: Preparation) -> dict[str, Any]:
    """Export and measure as ordered, in this process. Raises: FoveaError."""
    from fovea.model.opening import open_model

    predictor = open_model(order.model, device="cpu")
    if order.out is not None:
        _export(predictor, order.out)
    return {"validation": _reference(predictor, order.reference).to_dict()} if order.reference else {}


def _export(predictor: "Predictor", out: Path) -> None:
    from fovea.exporting.onnx_file import export_onnx
    from fovea.model.bundle import Bundle

    if isinstance(predictor, Bundle):
        export_onnx(predictor, out)


def _reference(predictor: "Predictor", data: str) -> Reference:
    from fovea.display import Display
    from fovea.evaluation.parts import decoded_part, source_for
    from fovea.evaluation.validation import reference_by

    source = source_for(predictor, data)
    part = decoded_part(predictor, source, split="val", display=Display(), labelled=False)
    (images,) = (each.decoded for each in part.decoded.parts.values())
    return reference_by(predictor, part.name, images)


def main() -> None:
    """Do what the first argument says."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback
    given = json.loads(sys.argv[1])
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library says is no answer
    order = Preparation(
        model=Path(given["model"]), out=Path(given["out"]) if given["out"] else None, reference=given["reference"]
    )
    try:
        said = prepare(order)
    except (FoveaError, OSError) as error:
        said = {"error": str(error) if isinstance(error, FoveaError) else first_line(error)}
        said |= {"usage": True} if isinstance(error, UsageError) else {}
    os.write(out, json.dumps(said).encode())


if __name__ == "__main__":
    main()
