"""Objects in an image: a class and a box each.

Outputs are float32 of one of the forms in `fovea.tasks.box_forms`; what is kept of them is (N, 100, 6) float32: class,
x0, y0, x1, y1 in pixels of the input, score; class -1 where nothing was found. Labels are (N, M, 6)
float32: class, box, 1 for a crowd; class -1 where there is none. As they lie on decoded images they are (N, M, 7): the
last column is how many square pixels of the image one of the input stands for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import areas
from fovea.decoding.grids import VOC_PRIORS
from fovea.errors import DataError, UsageError
from fovea.fields import is_number
from fovea.metrics.matching import ClassMatches, matched
from fovea.tasks import register
from fovea.tasks.box_figures import BoxFigures
from fovea.tasks.box_forms import BOX_FORMS, BOX_LOSSES, MOST, BoxForm, Priors
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.box_scoring import (
    CLASS,
    CROWD,
    SCALE,
    SCORE,
    SHOWN_SCORE,
    best_least,
    box_figures,
    compared,
    mean_ap50,
    measured_ap50,
    missed_and_wrong,
)
from fovea.tasks.drawn import boxed, colours
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.focus import Focus, Wanted, box
from fovea.tasks.on_image import OnImage
from fovea.tasks.places import Frame, Movement
from fovea.tasks.prediction import Prediction
from fovea.tasks.priors import dimension_clusters
from fovea.tasks.score import Metric, Score
from fovea.tasks.task import Criterion, Labels, Rows
from fovea.tasks.usual import TRANSFER, UsualPlan

if TYPE_CHECKING:
    from torch import Tensor

AP50 = Metric("ap50", "AP50", share=True)
WITH_PRIORS, CELL = "yolo2", 32
"""The form that has priors, and pixels of the input in a cell of it."""
MOST_CELLS = 10_000
SURE_ENOUGH = "objects above the score threshold, highest score first"
LEAST_VISIBLE = 0.25
"""Of a box: where less lies on the input, it is not an object there."""


@register
@dataclass(frozen=True, kw_only=True)
class Boxes(OnImage):
    """Objects of several classes, each with a box."""

    name: ClassVar[str] = "boxes"
    noun: ClassVar[str] = "boxes"
    losses: ClassVar[tuple[str, ...]] = tuple(BOX_LOSSES.values())
    metric: ClassVar[Metric] = AP50
    followed: ClassVar[Metric] = AP50
    asks: ClassVar[str] = "boxes"
    forms: ClassVar[Mapping[str, str]] = BOX_LOSSES
    calibrates: ClassVar[bool] = True
    row_name: ClassVar[str] = "boxes"
    sections: ClassVar[tuple[str, ...]] = ("boxes", "found_boxes")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(BoxFigures))
    scores: ClassVar[tuple[Metric, ...]] = (
        AP50,
        Metric("ap", "AP", share=True),
        Metric("ap75", "AP75", share=True),
        Metric("ar100", "recall", share=True),
    )
    mistakes_note: ClassVar[str] = "The images with most missed or wrong objects, at the reported score."
    data_wanted: ClassVar[str] = (
        "give COCO JSON, Pascal VOC XML, YOLO text files, or a CSV with the columns path, label, x0, y0, x1, y1"
    )

    loss: str = "centres"
    least: float = SHOWN_SCORE
    """Score from which on an object is reported: that of the highest F1 on the validation split."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the network's input in pixels; 0 and 0 while they are not known."""
    priors: Priors = VOC_PRIORS
    """Widths and heights in cells of the boxes that YOLOv2 begins with: clusters of the training boxes."""

    @classmethod
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError unless there is a class, and a box in the training split."""
        if not classes or not (labels[..., CLASS] >= 0).any():
            raise DataError(f"The train split of `{data}` has no boxes, so there is nothing to learn.")

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return how many objects each class has."""
        there = labels[..., CLASS][labels[..., CLASS] >= 0].astype(np.int64)
        return dict(zip(classes, np.bincount(there, minlength=len(classes)).tolist(), strict=True))

    @classmethod
    def usual(cls, size: tuple[int, ...] | None) -> UsualPlan:
        """Return a detector of centres on ResNet-18, and images whole at 256 pixels."""
        return UsualPlan(
            model="centres",
            size=256,
            fit="letterbox",
            seen=12_000,
            most_epochs=150,
            recipe={
                **{"optimiser": "adamw", "lr": 0.002, "weight_decay": 0.01, "clip": 5.0, "batch": 16},
                "augment": ("flip", "affine 5 0.1 0.3", "colour 0.2"),
            },
            start=TRANSFER,
            on="centres",
        )

    @classmethod
    def laid(cls, labels: Labels, sizes: Sequence[tuple[int, int]], frame: Frame) -> Labels:
        """Return boxes (N, M, 6 or 7) of images of these sizes as those of the input, (N, M, 7)."""
        H, W = frame.size
        result = np.zeros((*labels.shape[:2], SCALE + 1), np.float32)
        for boxes, size, found in zip(labels, sizes, result, strict=True):
            moved = frame.boxes_in_input(boxes[:, 1:5].astype(np.float64), size)
            kept = np.clip(moved, 0, [W, H, W, H])
            there = (boxes[:, CLASS] >= 0) & (areas(kept) >= LEAST_VISIBLE * np.maximum(areas(moved), 1e-9))
            unit = areas(frame.boxes_in_input(np.array([[0.0, 0.0, 1.0, 1.0]]), size))[0]
            found[:, CLASS], found[:, 1:5] = np.where(there, boxes[:, CLASS], -1), kept
            found[:, CROWD] = boxes[:, CROWD]
            found[:, SCALE] = (boxes[:, SCALE] if boxes.shape[1] > SCALE else 1) / max(unit, 1e-9)
        return result

    @classmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> Self:
        """Return the task for a data set of these classes; one box for an image needs one object in it.

        Where the boxes (N, M, 7) lie on the input, YOLOv2's priors are clusters of theirs.
        """
        task = super().fitted(labels, classes=classes, loss=loss, data=data)
        there = (labels[..., CLASS] >= 0) & (labels[..., CROWD] == 0)
        if loss == BOX_LOSSES["one"] and (several := int((there.sum(axis=1) > 1).sum())):
            raise UsageError(
                f"A network that predicts one box per image cannot learn `{data}`: {several:,} of {len(labels):,} "
                "images have several objects. Use `--model centres`, or another of `fovea models --answers boxes`."
            )
        if task.form_name != WITH_PRIORS:
            return task
        boxes = labels[there]
        means = dimension_clusters((boxes[:, 3:5] - boxes[:, 1:3]) / CELL, count=len(VOC_PRIORS))
        return task if means is None else replace(task, priors=tuple((float(w), float(h)) for w, h in means.round(4)))

    @classmethod
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return how many objects of which class there are."""
        return BoxPrediction.of(_as_found(label[label[:, CLASS] >= 0]), classes).label

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return AP50 with its interval, and AP."""
        return cls.scores_text(result, ("AP50", "ap50"), ("AP", "ap"))

    @classmethod
    def own_fields(cls, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return the least score, and priors where there are some."""
        priors = tuple((float(w), float(h)) for w, h in card.get("priors", VOC_PRIORS))
        return {"least": float(card.get("least_score", SHOWN_SCORE)), "priors": priors}

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return that the least score or the priors are none."""
        least, priors = card.get("least_score", SHOWN_SCORE), card.get("priors", [[1, 1]] * len(VOC_PRIORS))
        if fault := super().fault(card):
            return fault
        if not (is_number(least) and 0 <= least <= 1):
            return "`least_score` must be from 0 to 1."
        pairs = isinstance(priors, list) and all(isinstance(sides, list) and len(sides) == 2 for sides in priors)
        if not pairs or len(priors) != len(VOC_PRIORS) or not all(_is_side(side) for sides in priors for side in sides):
            return f"`priors` must be {len(VOC_PRIORS)} pairs of width and height in cells, all above 0."
        return ""

    def card_fields(self) -> dict[str, Any]:
        """Return the names, the least score, and the priors of the form that has some."""
        priors = {"priors": [list(sides) for sides in self.priors]} if self.form_name == WITH_PRIORS else {}
        return {**super().card_fields(), "least_score": self.least, **priors}

    def for_input(self, size: Sequence[int]) -> Self:
        """Return the task of a network for inputs of this `size` (H, W): most forms tell of places in sides of it."""
        height, width = size
        return replace(self, size=(height, width))

    def calibrated(self, outputs: "Tensor", labels: Labels) -> Self:
        """Return the task with the least score whose F1 is highest, of condensed outputs of the validation split."""
        return replace(self, least=best_least(self.matches(outputs, labels)))

    def uncalibrated_for(self, reason: str) -> Self:
        """Return the task itself: what is reported is a choice, not a probability."""
        return self

    def at_least(self, score: float) -> Self:
        """Return the task that tells of objects from another score on, 0 to 1."""
        return replace(self, least=score)

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """(100, 6)."""
        return (MOST, SCORE + 1)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """That of the form."""
        return self.form.output_shape

    @property
    def form_name(self) -> str:
        """The form of the network's answers, by its loss."""
        return next(form for form, loss in BOX_LOSSES.items() if loss == self.loss)

    @cached_property
    def form(self) -> BoxForm:
        """How the network's answers are learned and read."""
        return BOX_FORMS[self.form_name](classes=len(self.names), size=self.size, priors=self.priors)

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the loss of the form."""
        return lambda outputs, labels: self.form.loss(outputs, labels[..., :SCALE])

    def moved(self, labels: "Tensor", movement: Movement) -> "Tensor":
        """Return boxes (N, M, 7) of moved images; class -1 where too little of one is left."""
        moved = labels.clone()
        moved[..., :SCALE] = movement.moved_boxes(labels[..., :SCALE])
        return moved

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return outputs for mirror images as those for the images."""
        return self.form.unmirrored(outputs)

    def rows_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what was found, (N, 100, 6) float32, of outputs of the form."""
        kept = np.zeros((len(outputs), MOST, SCORE + 1), np.float32)
        kept[..., CLASS] = -1
        for rows, found in zip(kept, self.form.decoder.decoded(outputs), strict=True):
            rows[: len(found)] = found
        return kept

    def score(self, outputs: "Tensor", labels: "Tensor", loss: Criterion) -> Score:
        """Return AP50 of condensed outputs (N, 100, 6)."""
        mean = mean_ap50(outputs.numpy(), labels.numpy(), classes=self.outputs)
        return Score(loss(outputs, labels).item(), mean, self.followed)

    def matches(self, outputs: "Tensor", labels: Labels) -> list[ClassMatches]:
        """Return which of condensed outputs (N, 100, 6) is which of the labels (N, M, 7), by class."""
        return matched(compared(outputs.numpy(), labels), classes=self.outputs)

    def watched(self, rows: Rows) -> NDArray[np.float64]:
        """Return the highest score of an object of each image, (N, 1)."""
        return rows[:, :1, SCORE].astype(np.float64)

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the highest logit (N,) of each answer at any place: the score of a class."""
        import torch

        each = self.form.class_logits(outputs)
        return each[torch.arange(len(outputs), device=outputs.device), answers].amax(1)

    def answered(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the class (N,) of the highest score in condensed outputs (N, 100, 6); the first if there is none."""
        return outputs[:, 0, CLASS].clamp(min=0).long().numpy()

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the classes that were found in a condensed output (1, 100, 6), the most confident first."""
        found = outputs[0][outputs[0, :, SCORE] >= max(self.least, 1e-9)][:, CLASS].long().tolist()
        return list(dict.fromkeys(found)) or self.answered(outputs).tolist()

    def prediction(self, row: Rows) -> BoxPrediction:
        """Return what was found with a score that is worth telling, of one row (100, 6)."""
        kept = row[(row[:, CLASS] >= 0) & (row[:, SCORE] >= self.least)]
        return BoxPrediction.of(kept.astype(np.float64), self.names)

    def focus(self, outputs: "Tensor", wanted: Wanted) -> Focus:
        """Return the object with a number, 1 the most confident that is reported, or at a position."""
        row = self.rows_of(outputs.detach().cpu().numpy())[0]
        return box(outputs, row[(row[:, CLASS] >= 0) & (row[:, SCORE] >= self.least)], self.names, self.form, wanted)

    def on_page(self) -> dict[str, Any]:
        """Return form and decoder of the outputs, and from which score on boxes are reported."""
        decoding = {"form": self.form_name, "decoder": self.form.decoder_fields(), "least": self.least}
        lead = f"Finds objects of {len(self.names)} classes in an image."
        return {"kind": "boxes", **decoding, "colours": colours(self.names), "lead": lead, "remark": SURE_ENOUGH}

    def in_image(self, prediction: Prediction, frame: Frame, size: tuple[int, int]) -> Prediction:
        """Return boxes of the input as boxes of its image, cut at its edges."""
        found = cast(BoxPrediction, prediction).found.copy()
        found[:, 1:5] = np.clip(frame.boxes_in_image(found[:, 1:5], size), 0, [size[1], size[0], size[1], size[0]])
        return BoxPrediction.of(found, self.names)

    def drawn(self, label: NDArray[Any], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (H, W, C) uint8 with its boxes (M, 7)."""
        boxes = _as_found(label[label[:, CLASS] >= 0])
        boxes[:, SCORE] = np.nan
        return boxed(image, boxes, self.names)

    def matched(self, labels: Labels, classes: Sequence[str]) -> Labels:
        """Return boxes of a data set with these `classes` in the classes of the network."""
        table = np.array([self.index[name] for name in classes] + [-1], np.float32)
        result = labels.copy()
        result[..., CLASS] = table[labels[..., CLASS].astype(np.int64)]
        return result

    def figures(self, outputs: "Tensor", labels: Labels) -> BoxFigures:
        """Return average precisions of condensed outputs (N, 100, 6) against boxes (N, M, 7)."""
        return box_figures(outputs.numpy(), labels, self.names, self.counts(labels, self.names), least=self.least)

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return AP50 with its interval; nothing where no image has an object."""
        return measured_ap50(outputs.numpy(), labels, classes=self.outputs)

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the images with most objects that are missed or wrong."""
        faults = []
        for found, truth in zip(outputs.numpy(), labels, strict=True):
            told = found[(found[:, CLASS] >= 0) & (found[:, SCORE] >= self.least)]
            faults.append(missed_and_wrong(told, truth[(truth[:, CLASS] >= 0) & (truth[:, CROWD] == 0)]))
        order = sorted(range(len(faults)), key=lambda index: -sum(faults[index]))[:most]
        return [
            Mistake(
                i,
                self.text_of(labels[i], self.names),
                f"{faults[i][0]} missed, {faults[i][1]} wrong: {self.prediction(outputs[i].numpy()).label}",
            )
            for i in order
            if sum(faults[i])
        ]


def _as_found(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Return true boxes (M, 6 or 7) as rows of found ones, each with the score 1."""
    rows = boxes[:, : SCORE + 1].astype(np.float64)
    rows[:, SCORE] = 1
    return rows


def _is_side(value: object) -> bool:
    return is_number(value) and 0 < value < MOST_CELLS
