"""Which images of a data set made the network answer as it does: TracIn on its last layer."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fovea.explanation.features.embedding import Embedding, embed
from fovea.explanation.features.influence import Checkpoint, Known, errors_of, known, most_influential, tracin
from fovea.jobs.pictures.asked import Asked, Named, pictured
from fovea.report.rasters import in_colour
from fovea.report.sheet import Drawn, Group, Sheet


@pictured(
    "influence",
    does="the training images that support, or oppose, a prediction most (TracIn)",
    images="must",
    data="must",
    labelled=True,
    takes=("target",),
    settings={"count": 5},
    bounds={"count": range(1, 1001)},
)
def influence(asked: Asked) -> Sheet:
    """Draw the images of a data set whose learning helped, and harmed, each answer most, at the last layer."""
    asked.check_one_target()
    target = asked.bundle.target
    seen = embed(asked.model, asked.batches("embedding"))
    labels = torch.from_numpy(np.asarray(target.to_network(asked.labels)))
    trained = known(seen, labels, target.criterion())
    found = embed(asked.model, asked.given_batches())
    groups, figures, lines = [], [], []
    for row, image in enumerate(asked.images):
        answer, question = _question(asked, image, found.outputs[row : row + 1])
        test = Known(found.features[row : row + 1], _errors(asked, image, found, row))
        values = tracin([Checkpoint(trained, test, 1.0)])
        most = most_influential(values, count=asked.setting("count", 5))
        ranked = (
            (most.helping[0].tolist(), most.helped[0].tolist()),
            (most.harming[0].tolist(), most.harmed[0].tolist()),
        )
        sides = {
            "for": [pair for pair in zip(*ranked[0], strict=True) if pair[1] > 0],
            "against": [pair for pair in zip(*ranked[1], strict=True) if pair[1] < 0],
        }
        for side, found_here in sides.items():
            first = [Drawn(in_colour(image.pixels), answer, "the image itself", width=150)] if side == "for" else []
            drawn = [
                Drawn(
                    in_colour(asked.samples[index]),
                    target.text_of(asked.labels[index], asked.bundle.classes),
                    f"{share:.3g}  {asked.samples.names[index]}",
                    width=120,
                )
                for index, share in found_here
            ]
            groups.append(Group(f"{image.name}: {side} {question}", drawn=[*first, *drawn]))
        named = {side: [asked.samples.names[index] for index, _ in pairs] for side, pairs in sides.items()}
        figures.append({"image": image.name, "answer": answer, "question": question, **named})
        lines.append(f"{image.name}  {answer}  most for {question}: {', '.join(named['for'][:1]) or 'none'}")
    return Sheet(
        title="Training images behind this prediction",
        lead=f"{asked.name}: {len(seen.features):,} images, {asked.where}. TracIn at {seen.layer} with the final "
        "weights: how much one more training step on each image would increase the output in question.",
        groups=groups,
        figures={"layer": seen.layer, "images": figures},
        lines=lines,
    )


def _truth(asked: Asked, image: Named) -> str:
    """Return the class that the image's folder is named after, or nothing."""
    folder = Path(image.name).parent.name
    return folder if folder in asked.bundle.classes and not asked.targets else ""


def _question(asked: Asked, image: Named, outputs: Tensor) -> tuple[str, str]:
    """Return what the network says, and what influence is on."""
    target = asked.bundle.target
    said = target.prediction(target.decode(outputs)[0]).label
    if truth := _truth(asked, image):
        return said, f"the truth, {truth}"
    return said, target.answer_text(_answer(asked, outputs))


def _answer(asked: Asked, outputs: Tensor) -> int:
    target = asked.bundle.target
    return target.answer_named(asked.targets[0]) if asked.targets else int(target.answered(outputs)[0])


def _errors(asked: Asked, image: Named, found: Embedding, row: int) -> Tensor:
    """Return what a step is measured by, (1, K): the derivative of the loss of the truth, or of less evidence."""
    target, outputs = asked.bundle.target, found.outputs[row : row + 1]
    if truth := _truth(asked, image):
        wanted = target.matched(np.array([0]), [truth])
        return errors_of(outputs, torch.from_numpy(np.asarray(target.to_network(wanted))), target.criterion())
    answer = torch.tensor([_answer(asked, outputs)])
    return errors_of(outputs, answer, lambda rows, answers: -target.evidence(rows, answers).sum())
