"""A class for every pixel: semantic segmentation.

Outputs are (N, K, H, W) float32 logits; what is kept of them is (N, 2, H, W) uint8: the class of each pixel, and its
probability times 255. Labels are (N, H, W) uint8 class indices, in which 255 is void: neither learned nor scored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from fovea.errors import DataError
from fovea.metrics.masks import VOID, PixelCounts, mask_interval, mean_iou, pixel_counts
from fovea.tasks import register
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.focus import Focus, Wanted, region
from fovea.tasks.mask_colours import overlaid, palette
from fovea.tasks.mask_figures import MaskFigures
from fovea.tasks.mask_objects import BACKGROUND
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.mask_scoring import confusion_of, mask_figures, middle
from fovea.tasks.on_image import OnImage
from fovea.tasks.places import Frame, Movement, TargetSource
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Metric, Score
from fovea.tasks.task import Criterion, Labels, Rows
from fovea.tasks.usual import TRANSFER, UsualPlan
from fovea.texts import percent

if TYPE_CHECKING:
    from torch import Tensor

MOST_CLASSES = 255
MIOU = Metric("miou", "mean IoU", share=True)
DICE = Metric("dice", "mean Dice", share=True)
LARGEST_CLASS = "the largest class; fractions are of all pixels"
LARGEST_SIDE = 256
LARGER = (384, 512)
"""Pixels of the input, where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class StoredMask:
    """How a mask becomes a row of the cache, (H, W) uint8."""

    frame: Any
    """The preprocessing of its image."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """(H, W) of the input."""
        return cast(Frame, self.frame).size

    @property
    def dtype(self) -> str:
        """The type of class indices."""
        return "uint8"

    @property
    def cache_key(self) -> list[Any]:
        """That of the image's preprocessing."""
        return ["mask of the majority", *self.frame.cache_key]

    def read(self, source: tuple[TargetSource, tuple[int, int]]) -> NDArray[np.uint8]:
        """Return the mask (H, W) of the input, of a source and the size (h, w) of its image."""
        mask, size = source
        return cast(Frame, self.frame).mask_in_input(mask.read(size))


@register
@dataclass(frozen=True, kw_only=True)
class Masks(OnImage):
    """A class for every pixel."""

    name: ClassVar[str] = "masks"
    noun: ClassVar[str] = "a mask"
    losses: ClassVar[tuple[str, ...]] = ("mask", "mask-cross-entropy", "mask-dice", "mask-focal", "mask-boundary")
    metric: ClassVar[Metric] = MIOU
    follows: ClassVar[bool] = True
    followed: ClassVar[Metric] = MIOU
    asks: ClassVar[str] = "masks"
    decoded_in_graph: ClassVar[bool] = True
    row_name: ClassVar[str] = "mask"
    row_dtype: ClassVar[str] = "uint8"
    row_step: ClassVar[float] = 1.0
    sections: ClassVar[tuple[str, ...]] = ("masks", "overlays")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(MaskFigures))
    scores: ClassVar[tuple[Metric, ...]] = (
        MIOU,
        DICE,
        Metric("pixel_accuracy", "pixel accuracy", share=True),
        Metric("boundary_f1", "boundary F1", share=True),
        Metric("hd95", "HD95", higher_is_better=False),
    )
    mistakes_note: ClassVar[str] = "The images with the lowest mean IoU: image, truth, prediction."
    data_wanted: ClassVar[str] = "put images into `images/` and masks with the same names into `masks/`"
    least_classes: ClassVar[int] = 2

    loss: str = "mask"

    @classmethod
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError unless there are 2 classes at least and 255 at most."""
        if not 2 <= len(classes) <= MOST_CLASSES:
            raise DataError(f"`{data}` has {len(classes)} pixel classes; allowed are 2 to {MOST_CLASSES}.")

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return in how many masks (N, H, W) each class is; nothing of masks that are not decoded yet."""
        if labels.dtype == object:
            return {}
        seen = [np.bincount(np.asarray(mask).reshape(-1), minlength=VOID + 1)[: len(classes)] > 0 for mask in labels]
        return dict(zip(classes, np.sum(seen, axis=0, initial=0).tolist(), strict=True))

    @classmethod
    def stored(cls, frame: Frame) -> StoredMask:
        """Return how masks that are files or drawings are kept."""
        return StoredMask(frame=frame)

    @classmethod
    def laid(cls, labels: Labels, sizes: Sequence[tuple[int, int]], frame: Frame) -> Labels:
        """Return masks (N, h, w) as those of the input, (N, H, W)."""
        return np.stack([frame.mask_in_input(mask) for mask in labels])

    @classmethod
    def usual(cls, size: tuple[int, ...] | None) -> UsualPlan:
        """Return a narrow U-Net of 2015, padded and with batch norm, and images whole at up to 256 pixels.

        Larger images are seen in full where there is time, then in batches of an image or two, for which batch norm's
        running statistics do not hold: each image is normalised by its own, as nnU-Net does.
        """
        longest = max(size or LARGER[-1:])
        side = min(longest, LARGEST_SIDE)
        return UsualPlan(
            model="unet_padded",
            arguments={"width": 16, "batch_norm": True, "dropout": 0.0},
            size=max(side // 16 * 16, 32),
            fit="letterbox",
            seen=6000,
            most_epochs=300,
            recipe={
                **{"optimiser": "adamw", "lr": 0.003, "weight_decay": 0.01, "clip": 1.0, "batch": 8},
                "augment": ("flip", "affine 15 0.1 0.2", "colour 0.2"),
            },
            start=TRANSFER,
            on="unet_on",
            larger_arguments={"width": 16, "instance_norm": True, "dropout": 0.0},
            larger=tuple(larger for larger in LARGER if side < larger <= -(-longest // 16) * 16),
            enough=1000,
        )

    @classmethod
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return the classes in a mask (H, W) with their shares, the largest first."""
        return MaskPrediction.of(np.asarray(label), classes).label

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return mean IoU and Dice."""
        return cls.scores_text(result, ("mean IoU", "miou"), ("Dice", "dice"))

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """(2, H, W)."""
        return (2, None, None)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(K, H, W)."""
        return (self.outputs, None, None)

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the loss; of a network whose maps are smaller than its input, on the middle of the mask.

        `mask` is the sum of cross-entropy and Dice loss, as nnU-Net has it (Isensee et al. 2021,
        doi:10.1038/s41592-020-01008-z). `mask-boundary` is that of U-Net: objects are connected parts of all classes
        but the one called background, or else the first.
        """
        from fovea.tasks.criteria import masks as losses

        def loss(outputs: "Tensor", labels: "Tensor") -> "Tensor":
            labels = middle(labels, outputs)
            total = outputs.new_zeros(())
            if self.loss in ("mask", "mask-cross-entropy"):
                total = total + losses.cross_entropy(outputs, labels, weights=weights)
            if self.loss in ("mask", "mask-dice"):
                total = total + losses.dice_loss(outputs, labels)
            if self.loss == "mask-focal":
                total = total + losses.focal_loss(outputs, labels)
            if self.loss == "mask-boundary":
                ground = self.index.get(BACKGROUND, 0)
                total = total + losses.boundary_loss(outputs, labels, background=ground, weights=weights)
            return total

        return loss

    def class_weights(self, labels: "Tensor") -> "Tensor":
        """Return (K,) float32 weights, inverse to the classes' shares of the pixels, with mean 1 over the pixels."""
        counts = sum(mask.flatten().long().bincount(minlength=VOID + 1)[: self.outputs].double() for mask in labels)
        shares = counts / counts.sum()
        seen = shares > 0
        weights: Tensor = seen / shares.clamp_min(1e-12) / seen.sum()
        return weights.float()

    def moved(self, labels: "Tensor", movement: Movement) -> "Tensor":
        """Return masks (N, H, W) of moved images; what enters from outside is void."""
        return movement.moved_mask(labels, fill=VOID)

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return maps (N, K, H, W) of mirror images mirrored back."""
        return outputs.flip(3)

    def condensed(self, outputs: "Tensor") -> "Tensor":
        """Return class and 255 times its probability of each pixel: (N, K, H, W) float32 to (N, 2, H, W) uint8."""
        import torch

        probability, index = outputs.softmax(1).max(1)
        return torch.stack([index.byte(), (255 * probability).round().byte()], dim=1)

    def per_image(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the mean IoU (N,) of each image, of its own classes: outputs (N, K, H, W), labels (N, H, W)."""
        import torch

        found = mean_iou(self._counts(outputs.argmax(1), labels))
        return torch.from_numpy(np.nan_to_num(found))

    def score(self, outputs: "Tensor", labels: "Tensor", loss: Criterion) -> Score:
        """Return the mean IoU of all pixels together, for condensed outputs (N, 2, H, W)."""
        value = float(mean_iou(self._counts(outputs[:, 0], labels).pooled()))
        return Score(loss(outputs, labels).item(), value, self.followed)

    def _counts(self, answers: "Tensor | NDArray[Any]", labels: "Tensor | NDArray[Any]") -> PixelCounts:
        """Return the counts (N, K) of pixels of answers (N, h, w) and labels (N, H, W)."""
        return pixel_counts(confusion_of(answers, labels, classes=self.outputs))

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return the probabilities (N, K, H, W)."""
        return outputs.softmax(1)

    def exported(self, outputs: "Tensor") -> "dict[str, Tensor]":
        """Return what an exported file says beside the logits: `mask` (N, 2, H, W) uint8, as `condensed`."""
        return {self.row_name: self.condensed(outputs)}

    def decisions(self, rows: Rows) -> NDArray[Any]:
        """Return the class of each pixel, (N, H W)."""
        return rows[:, 0].reshape(len(rows), -1)

    def margins(self, outputs: "Tensor") -> NDArray[np.float64]:
        """Return by how much the largest logit of each pixel is above the second, (N, H W)."""
        first, second = outputs.double().topk(2, dim=1).values.unbind(1)
        margins: NDArray[np.float64] = (first - second).flatten(1).numpy()
        return margins

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the mean logit (N,) of each answer over the pixels that the network gives it; over all if none.

        Vinogradova, Dibrov and Myers 2020, arXiv:2002.11434, equation 2, the set of pixels being a class's.
        """
        import torch

        maps = outputs[torch.arange(len(outputs), device=outputs.device), answers]
        region = (outputs.detach().argmax(1) == answers[:, None, None]).to(outputs.dtype)
        region = torch.where(region.any(2).any(1)[:, None, None], region, torch.ones_like(region))
        return (maps * region).sum((1, 2)) / region.sum((1, 2))

    def answered(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the index (N,) of the class with most pixels in condensed outputs (N, 2, H, W)."""
        return np.array([self._largest_first(answer)[0] for answer in outputs[:, 0].numpy()], np.int64)

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the classes in a condensed output (1, 2, H, W), the smallest first: these are searched for."""
        return self._largest_first(outputs[0, 0].numpy())[::-1]

    def _largest_first(self, answer: NDArray[np.uint8]) -> list[int]:
        counts = np.bincount(answer.reshape(-1), minlength=self.outputs)
        return [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]

    def watched(self, rows: Rows) -> NDArray[np.float64]:
        """Return the mean probability of the pixels' classes, (N, 1)."""
        sure: NDArray[np.float64] = rows[:, 1].reshape(len(rows), -1).mean(1, keepdims=True, dtype=np.float64) / 255
        return sure

    def prediction(self, row: Rows) -> MaskPrediction:
        """Return the mask of one row (2, H, W), with the probability of each pixel."""
        return MaskPrediction.of(np.asarray(row[0], np.uint8), self.names, probability=row[1] / np.float32(255))

    def focus(self, outputs: "Tensor", wanted: Wanted) -> Focus:
        """Return the region at a place."""
        return region(outputs, self.names, wanted)

    def on_page(self) -> dict[str, Any]:
        """Return the colours of the classes: the file holds the mask."""
        lead = f"Gives every pixel of an image one of {self.outputs} classes."
        return {"kind": "mask", "colours": palette()[: self.outputs].tolist(), "lead": lead, "remark": LARGEST_CLASS}

    def in_image(self, prediction: Prediction, frame: Frame, size: tuple[int, int]) -> Prediction:
        """Return a mask of the input as that of its image; void where the image has more than the input shows."""
        found = cast(MaskPrediction, prediction)
        shown, sure = np.full(frame.size, VOID, np.uint8), np.ones(frame.size, np.float32)
        middle(shown, found.mask)[:] = found.mask
        if found.probabilities is not None:
            middle(sure, found.mask)[:] = found.probabilities
        mask, sure = frame.classes_in_image(shown, sure, size, classes=self.outputs)
        return MaskPrediction.of(mask, self.names, probability=None if found.probabilities is None else sure)

    def drawn(self, label: NDArray[Any], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (H, W, C) uint8 under the colours of its mask (H, W)."""
        return overlaid(image, label)

    def matched(self, labels: Labels, classes: Sequence[str]) -> Labels:
        """Return masks (N, H, W) of a data set with these `classes` in the classes of the network."""
        table = np.full(VOID + 1, VOID, np.uint8)
        table[: len(classes)] = [self.index[name] for name in classes]
        return labels if (table[: len(classes)] == np.arange(len(classes))).all() else table[labels]

    def figures(self, outputs: "Tensor", labels: Labels) -> MaskFigures:
        """Return overlaps and outlines of condensed outputs (N, 2, H, W) against masks (N, H, W)."""
        return mask_figures(outputs[:, 0].numpy(), labels, self.names)

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the mean IoU with its interval."""
        counts = self._counts(outputs[:, 0].numpy(), labels)
        return Measured(float(mean_iou(counts.pooled())), mask_interval(counts))

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the images with the lowest mean IoU."""
        answers = outputs[:, 0].numpy()
        found = mean_iou(self._counts(answers, labels))
        order = [int(i) for i in np.argsort(found, kind="stable") if not np.isnan(found[i])][:most]
        return [
            Mistake(
                i,
                self.text_of(labels[i], self.names),
                (f"IoU {percent(found[i])}: {self.text_of(answers[i], self.names)}"),
            )
            for i in order
        ]
