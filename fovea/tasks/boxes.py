"""Objects in an image: a class and a box each.

Outputs are (N, K + 4, h, w) float32, the centre form of `fovea.decoding.centres`; what is kept of them is (N, 100, 6)
float32: class, x0, y0, x1, y1 in pixels of the input, score; class -1 where nothing was found. Labels are (N, M, 6)
float32: class, box, 1 for a crowd; class -1 where there is none. As they lie on decoded images they are (N, M, 7): the
last column is how many square pixels of the image one of the input stands for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import SIDES, areas, overlaps
from fovea.decoding.centres import Centres
from fovea.errors import DataError
from fovea.fields import is_number
from fovea.metrics.boxes import EACH, ap_interval, average_precision, compared_boxes, detection_scores
from fovea.metrics.detection_errors import error_kinds
from fovea.metrics.matching import SIZES, THRESHOLDS, ClassMatches, Compared, matched
from fovea.tasks import check_loss, register
from fovea.tasks.box_figures import BoxFigures, known
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.drawn import boxed, colours
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.named import Named
from fovea.tasks.places import Frame, Movement
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Metric, Score
from fovea.tasks.task import Criterion, Labels, Rows
from fovea.tasks.usual import UsualPlan
from fovea.tasks.wording import PLAIN, Wording, Written

if TYPE_CHECKING:
    from torch import Tensor

AP50 = Metric("ap50", "AP50", share=True)
MOST = 100
"""Objects that are kept of an image."""
CLASS, SCORE, CROWD, SCALE = 0, 5, 5, 6
"""Columns."""
LEAST_VISIBLE = 0.25
"""Of a box: where less lies on the input, it is no object there."""
SHOWN_SCORE = 0.3
"""From which on an object is told to a person."""
FOUND_OVERLAP = 0.5
SHOWN_REMARK = "those of a score that is worth telling, the surest first"


@register
@dataclass(frozen=True, kw_only=True)
class Boxes(Named):
    """Objects of several classes, each with a box."""

    name: ClassVar[str] = "boxes"
    noun: ClassVar[str] = "boxes"
    losses: ClassVar[tuple[str, ...]] = ("centres",)
    metric: ClassVar[Metric] = AP50
    followed: ClassVar[Metric] = AP50
    changed_by: ClassVar[tuple[str, ...]] = ("mixup", "cutmix")
    asks: ClassVar[str] = "boxes"
    forms: ClassVar[tuple[str, ...]] = ("centres",)
    lies_on_image: ClassVar[bool] = True
    decoded_in_graph: ClassVar[bool] = False
    row_name: ClassVar[str] = "boxes"
    sections: ClassVar[tuple[str, ...]] = ("boxes", "found_boxes")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(BoxFigures))
    scores: ClassVar[tuple[Metric, ...]] = (
        AP50,
        Metric("ap", "AP", share=True),
        Metric("ap75", "AP75", share=True),
        Metric("ar100", "recall", share=True),
    )
    card_format: ClassVar[int] = 4
    mistakes_title: ClassVar[str] = "Worst images"
    mistakes_note: ClassVar[str] = "The images with most objects missed or wrong, as they are told."

    loss: str = "centres"
    least: float = SHOWN_SCORE
    """Score from which on an object is told to a person: that of the highest F1 on the validation part."""

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Raise DataError: boxes are no texts."""
        raise DataError(
            "This data has labels in words, and `--task boxes` learns boxes: give COCO JSON, VOC XML, YOLO texts, or a "
            "CSV with the columns path, label, x0, y0, x1, y1."
        )

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
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> Self:
        """Return the task for a data set of these classes."""
        check_loss(loss, cls.name)
        return cls(names=tuple(classes), loss=loss)

    @classmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return one map of centres per class; those of the distances are not counted."""
        return classes if loss in cls.losses and classes >= 1 else None

    @classmethod
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return how many objects of which class there are."""
        return BoxPrediction.of(_as_found(label[label[:, CLASS] >= 0]), classes).label

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return AP50 with its interval, and AP."""
        low, high = result["interval"]
        return f"AP50 {result['ap50']:.2%} ({low:.2%} to {high:.2%}), AP {result['ap']:.2%} on {result['split']}"

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
    def outputs(self) -> int:
        """One map of centres per class."""
        return len(self.names)

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

    def condensed(self, outputs: "Tensor") -> "Tensor":
        """Return what was found: (N, K + 4, h, w) float32 to (N, 100, 6) float32."""
        import torch

        return torch.from_numpy(self.rows_of(outputs.detach().float().cpu().numpy()))

    def rows_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what was found, (N, 100, 6) float32, of outputs (N, K + 4, h, w)."""
        kept = np.zeros((len(outputs), MOST, SCORE + 1), np.float32)
        kept[..., CLASS] = -1
        for rows, found in zip(kept, self.decoder.decoded(outputs), strict=True):
            rows[: len(found)] = found
        return kept

    def score(self, outputs: "Tensor", labels: "Tensor", loss: Criterion) -> Score:
        """Return AP50 of condensed outputs (N, 100, 6)."""
        images = self.compared(outputs, labels.numpy())
        matches = matched(images, classes=self.outputs, thresholds=THRESHOLDS[:1], sizes=[SIZES["all"]])
        each = average_precision(matches, 0)
        mean = float(each[~np.isnan(each)].mean()) if not np.isnan(each).all() else None
        return Score(loss(outputs, labels).item(), mean, self.followed)

    def matches(self, outputs: "Tensor", labels: Labels) -> list[ClassMatches]:
        """Return which of condensed outputs (N, 100, 6) is which of the labels (N, M, 7), by class."""
        return matched(self.compared(outputs, labels), classes=self.outputs)

    def compared(self, outputs: "Tensor", labels: Labels) -> list[Compared]:
        """Return condensed outputs beside the labels, image by image, areas in square pixels of the images."""
        images = []
        for found, truth in zip(outputs.numpy().astype(np.float64), labels, strict=True):
            compared = compared_boxes(truth[:, :SCALE], found[found[:, CLASS] >= 0])
            scale = float(truth[0, SCALE])
            images.append(replace(compared, areas=compared.areas * scale, found_areas=compared.found_areas * scale))
        return images

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return the outputs as they are: they are decoded in NumPy, by `decoder`."""
        return outputs

    def decode(self, outputs: "Tensor") -> Rows:
        """Return condensed outputs (N, 100, 6) as they are."""
        return cast(Rows, outputs.numpy())

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

    def on_page(self) -> dict[str, Any]:
        """Return form and decoder of the outputs, and from which score on boxes are told."""
        decoding = {"form": self.forms[0], "decoder": asdict(self.decoder), "least": self.least}
        lead = f"Finds objects of {self.outputs} classes in an image."
        return {"kind": "boxes", **decoding, "colours": colours(self.names), "lead": lead, "remark": SHOWN_REMARK}

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
        images = self.compared(outputs, labels)
        matches = matched(images, classes=self.outputs)
        scores, counts = detection_scores(matches), self.counts(labels, self.names)
        return BoxFigures(
            ap=_or_zero(scores.ap),
            interval=_interval(matches),
            ap50=_or_zero(scores.ap50),
            ap75=_or_zero(scores.ap75),
            ap_small=known(scores.ap_small),
            ap_medium=known(scores.ap_medium),
            ap_large=known(scores.ap_large),
            ar100=_or_zero(scores.ar100),
            errors={kind.name: kind.cost for kind in error_kinds(images, classes=self.outputs)},
            per_class={
                name: {"ap": float(ap), "ap50": float(ap50), "objects": counts[name]}
                for name, ap, ap50 in zip(self.names, scores.per_class, scores.per_class50, strict=True)
                if not np.isnan(ap50)
            },
        )

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return AP50 with its interval; nothing where no image has an object."""
        matches = self.matches(outputs, labels)
        value = known(detection_scores(matches).ap50)
        return Measured(value, None if value is None else _interval(matches))

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


def best_least(matches: list[ClassMatches]) -> float:
    """Return the score from which on objects of all classes together have the highest F1, at an overlap of 0.5."""
    scores = np.concatenate([found.scores[~found.ignored[0, 0]] for found in matches])
    hits = np.concatenate([found.hits[0, 0][~found.ignored[0, 0]] for found in matches])
    wanted = sum(int(found.wanted[0].sum()) for found in matches)
    if not hits.any():
        return SHOWN_SCORE
    order = np.argsort(-scores, kind="stable")
    right = hits[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(order) + 1) + wanted)
    return round(float(scores[order[f1.argmax()]]), 4)


def missed_and_wrong(found: NDArray[Any], truth: NDArray[Any]) -> tuple[int, int]:
    """Return how many boxes (M, 6 or 7) have none of those found (D, 6), and how many of these are of none.

    The best first takes the one of its class that it overlaps most, by half at least.
    """
    shared = overlaps(found[:, 1:5], truth[:, 1:5]) * (found[:, :1] == truth[:, CLASS])
    free = np.ones(len(truth), bool)
    for row in shared:
        best = int(np.argmax(row * free)) if free.any() else -1
        if best >= 0 and row[best] * free[best] >= FOUND_OVERLAP:
            free[best] = False
    taken = int((~free).sum())
    return len(truth) - taken, len(found) - taken


def _interval(matches: list[ClassMatches]) -> tuple[float, float]:
    low, high = ap_interval(matches, EACH[:1])
    return _or_zero(low), _or_zero(high)


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else float(value)


def _as_found(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Return true boxes (M, 6 or 7) as rows of found ones, each with the score 1."""
    rows = boxes[:, : SCORE + 1].astype(np.float64)
    rows[:, SCORE] = 1
    return rows
