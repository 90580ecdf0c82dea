"""A model file as one ONNX file in int8: written where it keeps its score, and is not a slower than in float."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fovea.card import Card
from fovea.display import Display
from fovea.exporting.assembly import assembled, input_name, with_card
from fovea.exporting.core import INPUT, LOGITS, float_core
from fovea.exporting.int8.core import Int8Core, Material, int8_core
from fovea.exporting.int8.samples import Samples, outputs
from fovea.exporting.int8.scoring import distance
from fovea.exporting.int8.settings import Int8Settings
from fovea.exporting.onnx_file import proven, serialised
from fovea.exporting.proof import check_rows
from fovea.exporting.reference import ProofError
from fovea.exporting.samples import USUAL, completed
from fovea.exporting.samples import Samples as ProofSamples
from fovea.exporting.session import Session
from fovea.exporting.settings import OPSET, ExportSettings
from fovea.model.bundle import Bundle

CHECKED = 16
"""Samples by which the whole file is compared with its core."""
FLIPS = 0.25
"""Part of what int8 costs, in mean squares, by which file and core may differ: where the first layer is in float, their
ways to normalise differ in the last digit, and some values round to the next step."""
MOST_NAMED = 6
"""Layers that are named in a line."""


@dataclass(frozen=True, kw_only=True)
class Int8Request:
    """What int8 needs beside the network."""

    settings: Int8Settings
    calibration: Samples
    validation: Samples
    display: Display

    @property
    def proof_samples(self) -> ProofSamples:
        """Validation samples that the float graph is proven on."""
        found = ProofSamples(np.array(self.validation.stored[:USUAL]), self.validation.source)
        return completed(found, self.validation.preprocess)


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a file, and what is known of it."""

    content: bytes
    card: Card
    """With the key `export`."""
    facts: Mapping[str, Any]
    """JSON values, as the card holds them under `export`."""
    lines: Sequence[str]
    """What a person reads of it."""


def int8_content(
    bundle: Bundle, settings: ExportSettings, request: Int8Request, proof_samples: ProofSamples
) -> Content:
    """Return the content of a network's file in int8; in float, said so, where int8 would be slower on this machine.

    Raises:
        DropError: it loses more of its score than is allowed.
        ProofError: the float graph does not compute what the network does, or the file not what its core does.
        UsageError: the network cannot be written as such a graph, or a layer to keep is not known.
    """
    core = float_core(bundle.model, bundle.preprocess.shape, dynamic_size=settings.dynamic_size)
    in_float = replace(settings, precision="float32")
    float_content, float_proof, float_card = proven(bundle, settings=in_float, samples=proof_samples, core=core)
    images = "" if settings.raw or settings.dynamic_size else input_name(bundle.preprocess)
    material = Material(
        target=bundle.target, calibration=request.calibration, validation=request.validation, images=images
    )
    found = int8_core(core, material, request.settings, request.display)
    if not found.is_faster:
        slower = f"int8 takes {1 / found.speed.ratio:.2f} times as long on this machine, so this file is float32"
        lines = [f"Float    {slower}", f"Proof    {float_proof.line}"]
        return Content(content=float_content, card=float_card, facts=float_card.other["export"], lines=lines)
    model = assembled(found.model, bundle.card, settings)
    _check_file(serialised(model), bundle, found, request.validation.first(CHECKED), settings)
    export = _export(settings, found, float_proof.to_dict(), request.calibration)
    card = Card(**{**vars(bundle.card), "other": {**bundle.card.other, "export": export}})
    return Content(content=serialised(with_card(model, card)), card=card, facts=export, lines=_lines(found, bundle))


def _export(
    settings: ExportSettings, found: Int8Core, float_proof: Mapping[str, Any], calibration: Samples
) -> dict[str, Any]:
    """Return what the card says of the file."""
    return {
        **settings.to_dict(),
        "opset": OPSET,
        **found.facts(),
        "calibrated_on": {"images": len(calibration), "source": calibration.source},
        "proof": found.cost.to_dict(),
        "float_proof": dict(float_proof),
    }


def _check_file(content: bytes, bundle: Bundle, found: Int8Core, samples: Samples, settings: ExportSettings) -> None:
    """Raise ProofError if the whole file does not say what its core does, decoded."""
    stored = np.asarray(samples.stored)
    given = bundle.preprocess.normalise(stored) if settings.raw else stored
    said = Session(content).run(INPUT if settings.raw else input_name(bundle.preprocess), given)
    expected = outputs(found.model, samples)
    same = np.abs(said[LOGITS] - expected).max() <= found.cost.scale / 100
    if not same and not distance(expected, said[LOGITS]) <= FLIPS * found.cost.distance:
        raise ProofError("The int8 file does not give the same results as its core; no file is written.")
    if settings.raw:
        return
    if bundle.target.decoded_in_graph:
        check_rows(said[bundle.target.row_name], torch.from_numpy(said[LOGITS]), bundle.target)


def _lines(found: Int8Core, bundle: Bundle) -> list[str]:
    lost, metric, speed = found.cost, bundle.target.metric, found.speed
    points = "points" if metric.share else "percent"
    interval = f" (95 %: {lost.interval[0]:.2f} to {lost.interval[1]:.2f})" if lost.interval else ""
    before, after = metric.text(lost.before), metric.text(lost.after)
    kept = f"{len(found.kept)} of {found.layers} layers" if found.kept else "none"
    named = ", ".join(found.kept[:MOST_NAMED]) + (", ..." if len(found.kept) > MOST_NAMED else "")
    return [
        f"Score    {metric.title} {before} in float, {after} in int8: {lost.where}",
        f"Drop     {lost.drop:.2f} {points}{interval}; {lost.changed} of {lost.samples:,} answers changed",
        f"Float    {kept}{': ' + named if named else ''}; ranges by {found.ranges}",
        f"Speed    {speed.ratio:.2f} times as fast as float here, {speed.int8_ms:.2f} ms (one image, one thread)",
    ]
