"""An exported graph in ONNX Runtime, as it is run to be proven."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.errors import first_line
from fovea.exporting.library import library
from fovea.exporting.reference import ProofError

BATCH = 16
FATAL = 4
"""Of ONNX Runtime's log; what is below it is raised, too."""


class Session:
    """An exported graph in ONNX Runtime, with all its optimisations.

    Raises: ProofError if it is not taken.
    """

    def __init__(self, content: bytes) -> None:
        runtime = library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = FATAL
        try:
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of a kind of its own for each fault
            raise ProofError(f"ONNX Runtime cannot load the exported graph: {first_line(error)}") from error
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return each output (N, ...) by name, float32 or bool, for the input called `name`.

        Raises: ProofError if it fails.
        """
        batches = (values[first : first + BATCH] for first in range(0, len(values), BATCH))
        try:
            parts = [self.session.run(self.outputs, {name: batch}) for batch in batches]
        except Exception as error:
            raise ProofError(f"ONNX Runtime fails on the exported graph: {first_line(error)}") from error
        columns = map(np.concatenate, zip(*parts, strict=True))
        return dict(zip(self.outputs, columns, strict=True))
