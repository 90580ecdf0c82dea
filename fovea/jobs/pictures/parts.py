"""Concepts that a layer has by itself, for images of one answer: CRAFT, drawn as crops."""

import numpy as np

from fovea.errors import DataError
from fovea.explanation.features.craft import CROP, craft, non_negative_layer
from fovea.jobs.pictures.asked import Asked, pictured
from fovea.report.rasters import in_colour, tiled
from fovea.report.sheet import Drawn, Group, Sheet
from fovea.texts import percent

COUNT = 8
"""Parts."""
IMAGES = 40
"""Of the answer, at most."""


@pictured(
    "parts",
    does="the concepts that a layer has learned for an answer, shown as crops (CRAFT)",
    data="must",
    takes=("layer", "target", "against"),
    settings={"count": COUNT, "crop": CROP, "most": IMAGES},
    bounds={"count": range(1, 1001), "crop": range(2), "most": range(1, 100_001)},
)
def parts(asked: Asked) -> Sheet:
    """Draw the crops of images with the same answer of the network that show the parts of a layer's maps best."""
    answer = asked.only_answer()
    chosen = _answered(asked, answer)
    x = asked.bundle.inputs_of(asked.samples.some(chosen))
    named = asked.bundle.target.answer_text(answer)
    layer = asked.layer or non_negative_layer(asked.model, x[: asked.batch])
    found = craft(
        asked.model,
        x,
        asked.objective([answer]),
        layer=layer,
        concepts=asked.setting("count", COUNT),
        crop=asked.setting("crop", CROP),
        batch=asked.batch,
        seed=asked.seed,
        progress=asked.progress("concepts"),
    )
    drawn, figures = [], []
    for concept, importance in enumerate(found.importance.tolist()):
        crops = []
        for place in found.best(concept):
            image = in_colour(asked.samples[chosen[place.image]])
            crops.append(image[place.top : place.top + place.height, place.left : place.left + place.width])
        note = f"importance {percent(importance)}"
        drawn.append(Drawn(tiled(np.stack(crops), columns=3, gap=2), f"part {concept}", note, stem=f"part-{concept}"))
        figures.append({"part": concept, "importance": importance})
    note = (
        f"{len(chosen)} images of {asked.part.decoded.name} with this prediction. Each picture has the nine crops "
        f"that show a concept best; the most important concept is first. The concepts leave {percent(found.error)} "
        "of the activations unexplained."
    )
    return Sheet(
        title=f"Concepts of {named} at {found.layer}",
        lead=f"{asked.name}: CRAFT (Fel et al. 2022, arXiv:2211.10154)",
        groups=[Group(note=note, drawn=drawn)],
        arrays={"directions": found.directions.numpy(), "importance": found.importance.numpy()},
        figures={"layer": found.layer, "answer": named, "images": len(chosen), "error": found.error, "parts": figures},
        lines=[f"concept {one['part']}  importance {percent(one['importance'])}" for one in figures],
    )


def _answered(asked: Asked, answer: int) -> list[int]:
    """Return which images of the data the network gives this answer, at most as many as are wanted."""
    most = asked.setting("most", IMAGES)
    order = np.random.default_rng(asked.seed).permutation(len(asked.samples))
    found = list[int]()
    told = asked.progress("looking for images")
    for first in range(0, len(order), asked.batch):
        rows = [int(row) for row in order[first : first + asked.batch]]
        answers = asked.bundle.target.answered(asked.bundle.outputs(asked.samples.some(rows)))
        found += [row for row, given in zip(rows, answers.tolist(), strict=True) if given == answer]
        told(min(len(found), most), most)
        if len(found) >= most:
            break
    if not found:
        raise DataError(f"The network predicts `{asked.bundle.target.answer_text(answer)}` for no image of the data.")
    return found[:most]
