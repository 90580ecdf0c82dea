"""How large the values inside an ONNX graph become, observed on some inputs."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fovea.exporting.library import library
from fovea.exporting.session import Session

if TYPE_CHECKING:
    from onnx import ModelProto


def largest_values(model: "ModelProto", name: str, values: NDArray[Any], *, of: Collection[str]) -> dict[str, float]:
    """Return the largest absolute value of each tensor named in `of`, for float32 inputs (N, ...) called `name`."""
    onnx = library("onnx")
    exposed: ModelProto = onnx.ModelProto()
    exposed.CopyFrom(model)
    own = {output.name for output in model.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in sorted(set(of) - own))
    session = Session(exposed.SerializeToString())
    found = dict.fromkeys(of, 0.0)
    for index in range(len(values)):  # one by one: all that is inside is held at a time
        for tensor, value in session.run(name, values[index : index + 1]).items():
            if tensor in found:
                found[tensor] = max(found[tensor], float(np.abs(value).max(initial=0)))
    return found
