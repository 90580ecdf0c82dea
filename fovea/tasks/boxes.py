"""Objects in an image: a class and a box each.

Outputs are (N, K + 4, h, w) float32, the centre form of `fovea.decoding.centres`; what is kept of them is (N, 100, 6)
float32: class, x0, y0, x1, y1 in pixels of the input, score; class -1 where nothing was found. Labels are (N, M, 6)
float32: class, box, 1 for a crowd; class -1 where there is none. As they lie on decoded images they are (N, M, 7): the
last column is how many square pixels of the image one of the input stands for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import SIDES, areas
from fovea.decoding.centres import Centres
from fovea.errors import DataError
from fovea.fields import is_number
from fovea.metrics.matching import ClassMatches, matched
from fovea.tasks import register
from fovea.tasks.box_figures import BoxFigures
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
from fovea.tasks.drawn import boxed
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.on_image import OnImage
from fovea.tasks.places import Frame, Movement
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Metric, Score
from fovea.tasks.task import Criterion, Labels, Rows
from fovea.tasks.usual import UsualPlan

if TYPE_CHECKING:
    from torch import Tensor

AP50 = Metric("ap50", "AP50", share=True)
MOST = 100
"""Objects that are kept of an image."""
LEAST_VISIBLE = 0.25
"""Of a box: where less lies on the input, it is no object there."""


@register
@dataclass(frozen=True, kw_only=True)
class Boxes(OnImage):
    """Objects of several classes, each with a box."""

    name: ClassVar[str] = "boxes"
    noun: ClassVar[str] = "boxes"
    losses: ClassVar[tuple[str, ...]] = ("centres",)
    metric: ClassVar[Metric] = AP50
    followed: ClassVar[Metric] = AP50
    asks: ClassVar[str] = "boxes"
    forms: ClassVar[tuple[str, ...]] = ("centres",)
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
    mistakes_note: ClassVar[str] = "The images with most objects missed or wrong, as they are told."
    data_wanted: ClassVar[str] = (
        "give COCO JSON, VOC XML, YOLO texts, or a CSV with the columns path, label, x0, y0, x1, y1"
    )

    loss: str = "centres"
    least: float = SHOWN_SCORE
    """Score from which on an object is told to a person: that of the highest F1 on the validation part."""

    @classmethod
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError unless there is a class, and a box in the training part."""
        if not classes or not (labels[..., CLASS] >= 0).any():
            raise DataError(f"The train part of `{data}` has no box of any class; there is nothing to learn.")

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
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return how many objects of which class there are."""
        return BoxPrediction.of(_as_found(label[label[:, CLASS] >= 0]), classes).label

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return AP50 with its interval, and AP."""
        return cls.scores_text(result, ("AP50", "ap50"), ("AP", "ap"))

    @classmethod
    def own_fields(cls, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return the least score."""
        return {"least": float(card.get("least_score", SHOWN_SCORE))}

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return that the least score is none."""
        least = card.get("least_score", SHOWN_SCORE)
        return super().fault(card) or (
            "" if is_number(least) and 0 <= least <= 1 else "`least_score` must be from 0 to 1."
        )

    def card_fields(self) -> dict[str, Any]:
        """Return the names and the least score."""
        return {**super().card_fields(), "least_score": self.least}

    def calibrated(self, outputs: "Tensor", labels: Labels) -> Self:
        """Return the task with the least score whose F1 is highest, of condensed outputs of the validation part."""
        return replace(self, least=best_least(self.matches(outputs, labels)))

    def uncalibrated_for(self, reason: str) -> Self:
        """Return the task itself: what is told is a choice, not a probability."""
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
        """(K + 4, h, w)."""
        return (self.outputs + SIDES, None, None)

    @cached_property
    def decoder(self) -> Centres:
        """How outputs become boxes."""
        return Centres(most=MOST)

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the loss of centres and boxes."""
        from fovea.tasks.criteria.centres import centres_loss

        return lambda outputs, labels: centres_loss(outputs, labels[..., :SCALE], stride=self.decoder.stride)

    def moved(self, labels: "Tensor", movement: Movement) -> "Tensor":
        """Return boxes (N, M, 7) of moved images; class -1 where too little of one is left."""
        moved = labels.clone()
        moved[..., :SCALE] = movement.moved_boxes(labels[..., :SCALE])
        return moved

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return maps (N, K + 4, h, w) of mirror images mirrored back, left and right exchanged."""
        import torch

        K = self.outputs
        order = torch.tensor([*range(K), K + 2, K + 1, K, K + 3], device=outputs.device)
        return outputs.flip(3)[:, order]

    def rows_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what was found, (N, 100, 6) float32, of outputs (N, K + 4, h, w)."""
        kept = np.zeros((len(outputs), MOST, SCORE + 1), np.float32)
        kept[..., CLASS] = -1
        for rows, found in zip(kept, self.decoder.decoded(outputs), strict=True):
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
        """Return the score of the surest object of each image, (N, 1)."""
        return rows[:, :1, SCORE].astype(np.float64)

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the highest logit (N,) of a centre of each answer: what speaks for the surest object of a class."""
        import torch

        return outputs[torch.arange(len(outputs), device=outputs.device), answers].amax((1, 2))

    def answered(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the class (N,) of the surest object in condensed outputs (N, 100, 6); the first if there is none."""
        return outputs[:, 0, CLASS].clamp(min=0).long().numpy()

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the classes that were found in a condensed output (1, 100, 6), the surest first."""
        found = outputs[0][outputs[0, :, SCORE] >= max(self.least, 1e-9)][:, CLASS].long().tolist()
        return list(dict.fromkeys(found)) or self.answered(outputs).tolist()

    def prediction(self, row: Rows) -> BoxPrediction:
        """Return what was found with a score that is worth telling, of one row (100, 6)."""
        kept = row[(row[:, CLASS] >= 0) & (row[:, SCORE] >= self.least)]
        return BoxPrediction.of(kept.astype(np.float64), self.names)

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
        return box_figures(outputs.numpy(), labels, self.names, self.counts(labels, self.names))

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
