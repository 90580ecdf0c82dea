"""`--to litert`: a `.tflite` for Android, iOS and boards, in float or int8; the card lies beside."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fovea import inputs
from fovea.card import Card
from fovea.errors import DropError, UsageError, first_line
from fovea.exporting.library import optional, silenced
from fovea.exporting.reference import ProofError, network_logits
from fovea.exporting.targets import Request, Written, write_with_card
from fovea.exporting.whole import Outputs, Whole, one_by_one, proven_by, refuse
from fovea.inputs.interface import Stored

EXTRA = "litert"
SIGNATURE = "serving_default"
"""What the converter calls the one function of a file."""
OBSERVED = 200
"""Samples that ranges of activations are observed on."""
THREADS = 1


class _Named(nn.Module):
    """A whole network whose outputs have names, which become those of the file."""

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, **given: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.whole.names, self.whole(*given.values()), strict=True))


def write(request: Request) -> Written:
    """Write the proven file for one sample at a time, and its card as JSON.

    Raises:
        ProofError: the file computes something else, DropError of int8 that loses too much; nothing is written.
        UsageError: the network has an operator that the library cannot convert.
        MissingDependencyError: the library is not installed.
    """
    refuse(request.settings, "litert", "half", "raw", "dynamic-size")
    _check_int8(request)
    with silenced():
        optional("litert_torch", EXTRA)
    name = inputs.kind_of(request.bundle.preprocess).nouns
    whole = Whole(request.bundle)
    content = _converted(whole, name)
    proof, card = proven_by(_run(content, name), request, precision="float32")
    facts: dict[str, Any] = {**request.settings.to_dict(), "proof": proof.to_dict()}
    lines = [f"Proof    {proof.line}"]
    if "int8" in request.options:
        content, card, facts, lines = _in_int8(content, name, request, card)
    files = write_with_card(request.out, content, card)
    size = f"{len(content) / 1e6:.2f} MB, {request.settings.precision}"
    lines = [*lines, f"Size     {size}", "Note     Verified on this machine's processor; not tested on ARM"]
    return Written(files, {"bytes": len(content), **facts}, lines)


def _check_int8(request: Request) -> None:
    """Raise UsageError for what of int8 is chosen elsewhere only."""
    if "int8" in request.options:
        settings = request.options["int8"].settings
        for option, given in (("keep", settings.keep != ("auto",)), ("ranges", settings.ranges != "auto")):
            if given:
                raise UsageError(f"`--{option}` cannot be combined with `--to litert`; leave it out.")


def _converted(whole: Whole, name: str) -> bytes:
    """Return the file for one sample as bytes; its input is called `name`."""
    try:
        with silenced(), torch.no_grad():
            library = optional("litert_torch", EXTRA)
            converted = library.convert(_Named(whole).eval(), sample_kwargs={name: whole.example[:1]})
            return bytes(converted.model_content())
    except Exception as error:  # whatever the library makes of an operator that it lacks
        raise UsageError(f"LiteRT cannot convert this network: {first_line(error)}") from error


def _run(content: bytes, name: str) -> Any:
    """Return a function of stored samples (N, ...) that gives the outputs of a file."""
    try:
        with silenced():
            library = optional("ai_edge_litert.interpreter", EXTRA)
            runner = library.Interpreter(model_content=content, num_threads=THREADS).get_signature_runner(SIGNATURE)
    except Exception as error:  # of a kind of its own
        raise ProofError(f"LiteRT cannot load the converted network: {first_line(error)}") from error

    def run(samples: Stored) -> Outputs:
        return one_by_one(lambda sample: dict(runner(**{name: np.ascontiguousarray(sample)})), samples)

    return run


def _in_int8(content: bytes, name: str, request: Request, card: Card) -> tuple[bytes, Card, dict[str, Any], list[str]]:
    """Return a float file in int8 with its card, facts and lines: signed, weights by channel, static ranges.

    Raises: DropError if it loses more of its score than is allowed.
    """
    from fovea.exporting.int8.core import too_much
    from fovea.exporting.int8.scoring import cost

    asked, target = request.options["int8"], request.bundle.target
    quantised = _quantised(content, name, asked.calibration.stored[:OBSERVED])
    validation = asked.validation
    found = np.concatenate([_run(quantised, name)(part)["logits"] for part in validation.parts()])
    own = np.concatenate([network_logits(request.bundle, part).numpy() for part in validation.parts()])
    lost = cost(target, own, found, validation)
    if lost.drop > asked.settings.max_drop:
        raise DropError(too_much(lost, asked.settings, target))
    calibrated = {"images": min(OBSERVED, len(asked.calibration)), "source": asked.calibration.source}
    float_proof = card.other["export"]["proof"]
    export = {
        **request.settings.to_dict(),
        **{"calibrated_on": calibrated, "proof": lost.to_dict(), "float_proof": float_proof},
    }
    changed = Card(**{**vars(card), "other": {**card.other, "export": export}})
    text = target.metric.text
    line = f"Score    {target.metric.title} {text(lost.before)} in float, {text(lost.after)} in int8, on {lost.where}"
    return quantised, changed, export, [line]


def _quantised(content: bytes, name: str, samples: Stored) -> bytes:
    # a list: the library goes through it twice
    observed = [{name: np.ascontiguousarray(samples[index : index + 1])} for index in range(len(samples))]
    with silenced():
        quantizer = optional("ai_edge_quantizer.quantizer", EXTRA)
        recipe = optional("ai_edge_quantizer.recipe", EXTRA)
        made = quantizer.Quantizer(content, recipe.static_wi8_ai8())
        ranges = made.calibrate({SIGNATURE: observed}, num_threads=THREADS)
        result = made.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)
