"""A measurement by the convention of Keras, whose summary counts what it does not train as parameters too."""

import re
from dataclasses import replace

from fovea.measurement.result import Layer, Measurement, total_of


def as_keras(
    measurement: Measurement, *, name: str = "", biases: str = "", unscaled: str = "", constants: int = 0
) -> Measurement:
    """Return the measurement by Keras' convention; `name` is that of the same network there, if there is one.

    `biases` and `unscaled` are regular expressions of whole paths: of convolutions that have a bias there and none
    here, and of batch norms that have no scale there. `constants` are numbers that normalise the input there.
    """
    layers = [_recounted(row, biases=biases, unscaled=unscaled) for row in measurement.layers]
    layers[0] = replace(layers[0], buffers=layers[0].buffers + constants)
    changes = [after.parameters - row.parameters for row, after in zip(measurement.layers, layers, strict=True)]
    more, fewer = sum(n for n in changes if n > 0), -sum(n for n in changes if n < 0)
    notes = [
        *([f"Keras' {name} has {more:,} more biases, in convolutions that have none here."] if more else []),
        *([f"Keras' {name} has {fewer:,} fewer parameters: its batch norms have no scale."] if fewer else []),
        *([f"Keras' {name} normalises its input, with {constants} constants."] if constants else []),
        *([] if name else ["Keras has no network of this name; a Keras version may have other biases and norms."]),
    ]
    return replace(
        measurement,
        layers=tuple(layers),
        total=total_of(tuple(layers)),
        convention="keras",
        notes=(*measurement.notes, *notes),
    )


def _recounted(row: Layer, *, biases: str, unscaled: str) -> Layer:
    """Return a row with its bias, or without its scale."""
    if biases and row.type.startswith("Conv") and re.fullmatch(biases, row.path):
        return _with_parameters(row, row.output_shapes[0][1])
    if unscaled and row.type.startswith("BatchNorm") and re.fullmatch(unscaled, row.path):
        return _with_parameters(row, -(row.parameters // 2))  # scale and shift, one each per channel
    return row


def _with_parameters(row: Layer, more: int) -> Layer:
    width = row.parameter_bytes // max(1, row.parameters + row.frozen)
    return replace(row, parameters=row.parameters + more, parameter_bytes=row.parameter_bytes + more * width)
