"""`fovea measure`: cost and receptive field of a network, layer by layer."""

import ast
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import nn

from fovea import registry
from fovea.custom import custom_name, custom_network
from fovea.errors import ShapeError, UsageError
from fovea.layers import Unfilled
from fovea.measurement.network import measure_network
from fovea.measurement.recount import as_keras
from fovea.measurement.result import Measurement, shape_text
from fovea.measurement.tables import fitting_text, leftover_lines
from fovea.model.bundle import Bundle, load
from fovea.model.container import is_exported, model_file, read_card
from fovea.zoo.keras_forms import FORMS, Form, own_name
from fovea.zoo.letters import resembles

PARAMETERS = ("pytorch", "keras")
"""Whose conventions parameters are counted by."""
Measurable = str | Path | nn.Module | Bundle


@contextmanager
def _uncollected() -> Iterator[None]:
    """Put off the collection of garbage: else it goes over all rows of a large network several times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def measure(
    model: Measurable,
    input_shape: Sequence[int] | None = None,
    *,
    strict: bool = False,
    convention: str = "pytorch",
    arguments: Mapping[str, object] | None = None,
) -> Measurement:
    """Return the cost and the receptive field of each layer of a network, for one image.

    `model` is a network, a bundle or its file, a name of the zoo, a pattern such as `CRCRP CRCRP F`, or `file.py:Net`.
    `input_shape` is (C, H, W). Bundles and zoo networks have a default; a zoo network is built for the shape given,
    with further `arguments`, which may be text. `convention` says how parameters are counted: `pytorch`, or `keras`,
    where moving averages count as non-trainable parameters and networks that Keras also has are counted as in Keras.

    Raises:
        UsageError: an unknown name, argument or convention, custom code that does not define a network, or an
            `input_shape` that is missing.
        ShapeError: the forward pass fails; or, with `strict`, a stride leaves a row or column unseen.
        BundleError: a model file that cannot be loaded.
    """
    if convention not in PARAMETERS:
        raise UsageError(f"`convention` (={convention}) must be {' or '.join(PARAMETERS)}.")
    if convention == "keras" and isinstance(model, str):
        model = own_name(model)
    network, name, shape = found(model, input_shape, arguments=arguments)
    measurement = measure_network(network, shape, name=name)
    if strict:
        require_fitting(measurement)
    if convention == "keras":
        form = FORMS.get(_architecture(model), Form(""))
        measurement = as_keras(measurement, **form._asdict())
    return measurement


def _architecture(model: Measurable) -> str:
    """Return the name in the zoo of what is measured; of what is none of its networks, none."""
    if isinstance(model, Bundle):
        return model.card.architecture
    if isinstance(model, nn.Module) or custom_name(str(model)) or resembles(str(model)):
        return ""
    if str(model).endswith(".safetensors") or model_file(model).is_file():
        return read_card(Path(model)).architecture
    return registry.resolve(str(model))


def found(
    model: Measurable,
    input_shape: Sequence[int] | None = None,
    *,
    weights: bool = False,
    arguments: Mapping[str, object] | None = None,
) -> tuple[nn.Module, str, tuple[int, ...]]:
    """Return the network that `model` stands for, its name, and the shape of its input, (C, H, W); errors as `measure`.

    A network of the zoo has random `weights` if wanted; else it is on the `meta` device, without.
    """
    shape = None if input_shape is None else tuple(input_shape)
    if shape is not None and (not shape or min(shape) < 1):
        raise UsageError(f"`input_shape` (={shape}) must be positive sizes, as (3, 224, 224).")
    text = "" if isinstance(model, nn.Module | Bundle) else str(model)
    if text and (inside := model_file(text)) != Path(text):
        text = str(inside)
    letters = resembles(text) and not Path(text).exists()
    custom = custom_name(text)
    if arguments and not letters and not custom and (not text or Path(text).is_file()):
        raise UsageError("A model file and a module take no arguments; leave them out.")
    if isinstance(model, nn.Module):
        return model, type(model).__name__, _required(shape, type(model).__name__)
    if isinstance(model, Bundle):
        return model.model, model.card.architecture, shape or model.preprocess.shape
    if letters:
        named = {"pattern": text, **(arguments or {})}
        return _of_the_zoo("pattern", shape, weights=weights, arguments=named)
    if custom:
        offered = {"c_in": shape[0]} if shape else {}
        asked = {key: _literal(value) for key, value in (arguments or {}).items()}
        network = custom_network(custom[0], custom[1], asked=asked, **offered)
        return network, text, _required(shape, text)
    if text.endswith(".safetensors") or is_exported(Path(text)) or Path(text).is_file():
        bundle = load(text)
        return bundle.model, Path(text).name, shape or bundle.preprocess.shape
    return _of_the_zoo(text, shape, weights=weights, arguments=arguments or {})


def _literal(value: object) -> object:
    """Return the Python value that a text is written as, `10` as a number; of any other text that itself."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _of_the_zoo(
    name: str, shape: tuple[int, ...] | None, *, weights: bool, arguments: Mapping[str, object]
) -> tuple[nn.Module, str, tuple[int, ...]]:
    """Return the network as its entry has it, or built for images of `shape`."""
    entry = registry.entry(name)
    given = {} if shape is None else registry.fitted(name, shape)
    if counts := [key for key in ("c_in", "size", "frames") if key in arguments]:
        raise UsageError(f"`{counts[0]}` follows from the input shape; give the shape instead: --input, input_shape.")
    given |= registry.parsed_arguments(name, arguments)
    with nullcontext() if weights else Unfilled(), torch.device("cpu" if weights else "meta"):
        return registry.build(name, **given), entry.name, shape or entry.input


def _required(shape: tuple[int, ...] | None, name: str) -> tuple[int, ...]:
    if shape is None:
        raise UsageError(
            f"The input shape of `{name}` is unknown; give it: --input 3x224x224, input_shape=(3, 224, 224)."
        )
    return shape


def require_fitting(measurement: Measurement) -> None:
    """Raise ShapeError for the first stride that leaves something uncovered, as the lectures do: "does not fit"."""
    lines = [line for layer in measurement.layers for line in leftover_lines(layer)]
    if lines:
        more = f" {len(lines) - 1} more do not divide either." if len(lines) > 1 else ""
        shape = shape_text((1, *measurement.input_shape))
        raise ShapeError(f"`{measurement.name}` on {shape}: {lines[0]}{more} {fitting_text(measurement)}")
