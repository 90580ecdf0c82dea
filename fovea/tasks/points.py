"""Named points in an image, as the corners of eyes and mouth.

Outputs are float32 of one of the forms in `fovea.tasks.point_forms`; what is kept of them is (N, P, 3) float32: x and y
in pixels of the input, the centre of the first pixel at 0.5, 0.5, and a score, the height of a heat map. Labels are
(N, P, 3) float32: x, y and visibility, 0 where a point is not labelled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from fovea.errors import DataError
from fovea.metrics.points import box_sizes, correct_points, normalised_errors, point_distances
from fovea.metrics.resampling import mean_interval
from fovea.tasks import check_loss, register
from fovea.tasks.drawn import colours, pointed
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.focus import Focus, Wanted, point
from fovea.tasks.on_image import OnImage
from fovea.tasks.opposites import Opposites, opposites_by_name, opposites_by_place
from fovea.tasks.places import Frame, Movement
from fovea.tasks.point_figures import PointFigures
from fovea.tasks.point_forms import POINT_FORMS, POINT_LOSSES, PointForm
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Metric, Score
from fovea.tasks.task import Criterion, Labels, Rows
from fovea.tasks.usual import TRANSFER, UsualPlan
from fovea.texts import percent

if TYPE_CHECKING:
    from torch import Tensor

NME = Metric("nme", "normalised mean error", higher_is_better=False, share=True)
HEIGHTS = "each point with its score, the height of its heat map"
NEAR = 0.1
"""Of the longer side of the points' box: so near is right."""


@register
@dataclass(frozen=True, kw_only=True)
class Points(OnImage):
    """Where named points lie."""

    name: ClassVar[str] = "points"
    noun: ClassVar[str] = "points"
    losses: ClassVar[tuple[str, ...]] = tuple(POINT_LOSSES.values())
    metric: ClassVar[Metric] = NME
    followed: ClassVar[Metric] = NME
    asks: ClassVar[str] = "points"
    forms: ClassVar[Mapping[str, str]] = POINT_LOSSES
    of_objects: ClassVar[bool] = True
    row_name: ClassVar[str] = "points"
    sections: ClassVar[tuple[str, ...]] = ("points", "found_points")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(PointFigures))
    scores: ClassVar[tuple[Metric, ...]] = (NME, Metric("pck", "PCK@0.1", share=True))
    mistakes_note: ClassVar[str] = "The images with the largest mean error: truth and prediction."
    data_wanted: ClassVar[str] = "give COCO keypoints, or a CSV with the columns path and NAME_x, NAME_y for each point"

    loss: str = "heat-maps"
    opposites: Opposites = ()
    """For each point the index of the one on the other side of a mirrored image; empty if that is not known."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the network's input in pixels; 0 and 0 while they are not known."""

    @classmethod
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError unless some point of the training split is labelled."""
        if not (labels[..., 2] > 0).any():
            raise DataError(f"The train split of `{data}` has no labelled points, so there is nothing to learn.")

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return in how many images each point is labelled."""
        return dict(zip(classes, (labels[..., 2] > 0).sum(axis=0).tolist(), strict=True))

    @classmethod
    def usual(cls, size: tuple[int, ...] | None) -> UsualPlan:
        """Return SimpleBaseline on ResNet-18, and images whole at 128 pixels."""
        return UsualPlan(
            model="simple_baseline",
            arguments={"backbone": "resnet18"},
            size=128,
            fit="letterbox",
            seen=40_000,
            most_epochs=100,
            recipe={
                **{"optimiser": "adamw", "lr": 0.001, "weight_decay": 0.01, "clip": 5.0, "batch": 32},
                "augment": ("flip", "affine 15 0.05 0.15", "colour 0.3"),
            },
            start=TRANSFER,
            on="simple_baseline",
        )

    @classmethod
    def laid(cls, labels: Labels, sizes: Sequence[tuple[int, int]], frame: Frame) -> Labels:
        """Return points (N, P, 3) of images of these sizes as those of the input; outside they are not labelled."""
        H, W = frame.size
        moved = np.stack([frame.points_in_input(points, size) for points, size in zip(labels, sizes, strict=True)])
        inside = (moved[..., :2] >= 0).all(axis=-1) & (moved[..., :2] <= (W, H)).all(axis=-1)
        moved[..., 2] *= inside
        return moved.astype(np.float32)

    @classmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> Self:
        """Return the task for a data set with points of these names, and which of them are opposite each other."""
        check_loss(loss, cls.name)
        opposites = opposites_by_name(classes) or opposites_by_place(labels) or ()
        return cls(names=tuple(classes), loss=loss, opposites=opposites)

    @classmethod
    def own_fields(cls, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return the opposites."""
        return {"opposites": tuple(card.get("opposites", ()))}

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return that opposites are none."""
        found, count = card.get("opposites", []), len(card["classes"])
        if fault := super().fault(card):
            return fault
        whole = isinstance(found, list) and all(type(index) is int for index in found)
        if not whole or (found and sorted(found) != list(range(count))):
            return "`opposites` must hold the index of each point once."
        return ""

    @classmethod
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return how many points are labelled."""
        labelled = int((np.asarray(label)[:, 2] > 0).sum())
        return f"{labelled} of {len(classes)} points"

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return the normalised mean error with its interval, and PCK."""
        return cls.scores_text(result, ("normalised mean error", "nme"), ("PCK@0.1", "pck"))

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """(P, 3)."""
        return (self.outputs, 3)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """That of the form."""
        return self.form.output_shape

    @property
    def form_name(self) -> str:
        """The form of the network's answers, by its loss."""
        return next(form for form, loss in POINT_LOSSES.items() if loss == self.loss)

    @cached_property
    def form(self) -> PointForm:
        """How the network's answers are learned and read."""
        return POINT_FORMS[self.form_name](points=len(self.names), size=self.size)

    def for_input(self, size: Sequence[int]) -> Self:
        """Return the task of a network for inputs of this `size` (H, W): coordinates are fractions of its sides."""
        height, width = size
        return replace(self, size=(height, width))

    @property
    def partners(self) -> list[int]:
        """For each point the index of the one on the other side, its own where that is not known."""
        return list(self.opposites or range(len(self.names)))

    def card_fields(self) -> dict[str, Any]:
        """Return names and opposites."""
        return {**super().card_fields(), **({"opposites": list(self.opposites)} if self.opposites else {})}

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the loss of the form."""
        return self.form.loss

    def moved(self, labels: "Tensor", movement: Movement) -> "Tensor":
        """Return points (N, P, 3) of moved images; in mirrored ones each is what its opposite was."""
        return movement.moved_keypoints(labels, opposite=self.partners)

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return outputs for mirror images as those for the images, opposites exchanged."""
        return self.form.unmirrored(outputs, self.partners)

    def rows_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return where points were found, (N, P, 3) float32, of outputs of the form."""
        return self.form.found(outputs).astype(np.float32)

    def score(self, outputs: "Tensor", labels: "Tensor", loss: Criterion) -> Score:
        """Return the normalised mean error of condensed outputs (N, P, 3)."""
        errors, _ = self._errors(outputs.numpy(), labels.numpy())
        return Score(loss(outputs, labels).item(), _mean(errors), self.followed)

    def _errors(self, found: NDArray[Any], truth: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the normalised error and the share of right points of each image, (N,); NaN where there is none."""
        distances, sizes = point_distances(truth, found), box_sizes(truth)
        return normalised_errors(distances, sizes), correct_points(distances, sizes, share=NEAR)

    def watched(self, rows: Rows) -> NDArray[np.float64]:
        """Return the mean height of the heat maps of each image, (N, 1)."""
        heights: NDArray[np.float64] = rows[..., 2].mean(axis=1, keepdims=True, dtype=np.float64)
        return heights

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the score of each answer, (N,): the height of its heat map at its highest place."""
        import torch

        return self.form.evidence(outputs)[torch.arange(len(outputs), device=outputs.device), answers]

    def answered(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the most confident point (N,) in condensed outputs (N, P, 3)."""
        return outputs[..., 2].argmax(1).numpy()

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the points of a condensed output (1, P, 3), the most confident first."""
        order: list[int] = outputs[0, :, 2].argsort(descending=True, stable=True).tolist()
        return order

    def prediction(self, row: Rows) -> PointPrediction:
        """Return the points of one row (P, 3)."""
        return PointPrediction.of(row.astype(np.float64), self.names)

    def focus(self, outputs: "Tensor", wanted: Wanted) -> Focus:
        """Return the point with a number, or the nearest to a place."""
        index = point(self.rows_of(outputs.detach().cpu().numpy())[0], self.names, wanted)
        return Focus(
            answer=index, text=self.names[index], evidence=lambda outputs: self.form.evidence(outputs)[:, index]
        )

    def on_page(self) -> dict[str, Any]:
        """Return form and decoder of the outputs."""
        decoding = {"form": self.form_name, "decoder": self.form.decoder_fields()}
        lead = f"Finds {len(self.names)} points in an image."
        return {"kind": "points", **decoding, "colours": colours(self.names), "lead": lead, "remark": HEIGHTS}

    def in_image(self, prediction: Prediction, frame: Frame, size: tuple[int, int]) -> Prediction:
        """Return points of the input as points of its image."""
        points = cast(PointPrediction, prediction).points
        return PointPrediction.of(frame.points_in_image(points, size), self.names)

    def drawn(self, label: NDArray[Any], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (H, W, C) uint8 with its labelled points (P, 3)."""
        return pointed(image, label[label[:, 2] > 0])

    def matched(self, labels: Labels, classes: Sequence[str]) -> Labels:
        """Return points of a data set with these names in the order of the network; others are not labelled."""
        result = np.zeros((len(labels), len(self.names), 3), np.float32)
        result[:, [self.index[name] for name in classes]] = labels
        return result

    def figures(self, outputs: "Tensor", labels: Labels) -> PointFigures:
        """Return how far condensed outputs (N, P, 3) are from points (N, P, 3)."""
        found = outputs.numpy()
        errors, right = self._errors(found, labels)
        shares = point_distances(labels, found) / box_sizes(labels)[:, None]
        low, high = mean_interval(errors)
        return PointFigures(
            nme=_mean(errors) or 0.0,
            interval=(float(np.nan_to_num(low)), float(np.nan_to_num(high))),
            pck=_mean(right) or 0.0,
            median=float(np.nan_to_num(np.nanmedian(errors))) if (~np.isnan(errors)).any() else 0.0,
            per_point={
                name: {"error": _mean(of) or 0.0, "pck": float((of[~np.isnan(of)] <= NEAR).mean()), "images": count}
                for name, of in zip(self.names, shares.T, strict=True)
                if (count := int((~np.isnan(of)).sum()))
            },
        )

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the normalised mean error with its interval; nothing where no image has two labelled points."""
        errors, _ = self._errors(outputs.numpy(), labels)
        value = _mean(errors)
        return Measured(value, None if value is None else mean_interval(errors))

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the images with the largest error."""
        errors, right = self._errors(outputs.numpy(), labels)
        order = [int(i) for i in np.argsort(-np.nan_to_num(errors), kind="stable") if not np.isnan(errors[i])][:most]
        return [
            Mistake(
                i,
                self.text_of(labels[i], self.names),
                (f"error {percent(errors[i])}, {percent(right[i], 0)} of the points right"),
            )
            for i in order
        ]


def _mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of what is known; None if nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else None
