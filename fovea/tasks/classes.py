"""One of several classes per image.

Outputs are (N, K) float32 logits, labels (N,) int64 indices, decoded rows (N, classes) probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fovea import metrics
from fovea.errors import DataError, UsageError
from fovea.tasks import check_loss, register
from fovea.tasks.class_figures import ClassFigures
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.named import Named, by_name, distinct
from fovea.tasks.prediction import LabelScore, Prediction
from fovea.tasks.score import ACCURACY, CALIBRATION, NLL, Metric
from fovea.tasks.task import Criterion, Labels, Rows
from fovea.tasks.wording import PLAIN, Wording, Written, single
from fovea.texts import natural_key, percent

if TYPE_CHECKING:
    from torch import Tensor


TOP5 = Metric("top5", "top-5 accuracy", share=True)

PRESENT, ABSENT, DOWN_WEIGHT = 0.9, 0.1, 0.5
"""m+, m- and lambda of the margin loss: Sabour et al. 2017, arXiv:1710.09829, equation 4."""


@register
@dataclass(frozen=True, kw_only=True)
class Classes(Named):
    """One of several classes; with the loss `binary` a single output tells two apart.

    With the loss `margin` the sigmoid of an output is the length of its class's capsule.
    """

    name: ClassVar[str] = "classes"
    noun: ClassVar[str] = "a class"
    losses: ClassVar[tuple[str, ...]] = ("cross-entropy", "binary", "margin")
    follows: ClassVar[bool] = True
    ranks: ClassVar[bool] = True
    smooths: ClassVar[bool] = True
    closed_form: ClassVar[str] = "discriminants"
    sections: ClassVar[tuple[str, ...]] = ("classes", "confusion", "mistakes", "calibration")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(ClassFigures))
    scores: ClassVar[tuple[Metric, ...]] = (ACCURACY, TOP5, NLL, CALIBRATION)
    card_format: ClassVar[int] = 1
    mistakes_title: ClassVar[str] = "Worst mistakes"
    mistakes_note: ClassVar[str] = (
        "The wrong predictions with the highest confidence. Some of these labels may be wrong."
    )

    loss: str = "cross-entropy"
    ids: tuple[str, ...] = ()
    """What else the classes are called, as `n01440764`; none, or one each."""

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return int64 indices (N,) of each part, and the names: those of all parts and `classes`, in natural order."""
        given = {part: single(values) for part, values in texts.items()}
        names = tuple(sorted(set(classes).union(*given.values()), key=natural_key))
        index = {name: position for position, name in enumerate(names)}
        return {part: np.array([index[text] for text in values], np.int64) for part, values in given.items()}, names

    @classmethod
    def check_raw(cls, labels: Labels, key: str) -> None:
        """Raise DataError if labels are fractions; whole numbers that are stored as such are none."""
        if labels.dtype.kind == "f" and not (labels == np.floor(labels)).all():
            raise DataError("The labels are fractions; convert them with `.astype('int64')`, or give `--task number`.")

    @classmethod
    def strata(cls, labels: Labels) -> Labels:
        """Return the labels themselves: every part has its share of each class."""
        return labels

    @classmethod
    def directional(cls, classes: Sequence[str], *, channels: int) -> bool:
        """Return whether the classes are digits or letters, which are read and so not mirrored.

        Ten or more names of one character, of grey images: fewer may be grades of anything, colour ones objects.
        """
        return channels == 1 and len(classes) >= 10 and all(len(name) == 1 and name.isalnum() for name in classes)

    @classmethod
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError unless there are two classes at least, all with images in the training split."""
        if len(classes) < 2:
            raise DataError(
                f"`{data}` has only one class, `{classes[0]}`, but at least two are needed. If the classes are "
                "folders inside it, give that folder."
            )
        if empty := [f"`{name}`" for name, count in cls.counts(labels, classes).items() if count == 0]:
            names = ", ".join(empty[:10]) + (" ..." if len(empty) > 10 else "")
            raise DataError(
                f"The train split of `{data}` has no image of {len(empty)} class(es): {names}. Add or repair "
                "images, or remove the class from all splits."
            )

    @classmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> Self:
        """Return the task for a data set of these classes."""
        check_loss(loss, cls.name)
        if cls.outputs_for(loss, len(classes)) is None:
            raise UsageError(f"`loss` (={loss}) needs two classes; `{data}` has {len(classes)}.")
        return cls(names=tuple(classes), loss=loss)

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return which names are not distinct."""
        ids, count = card.get("class_ids", card["classes"]), len(card["classes"])
        if fault := super().fault(card):
            return fault
        if not isinstance(ids, list) or distinct(ids) != count:
            return "`class_ids` must be as many distinct names as there are `classes`."
        return ""

    @classmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return one output per class, or a single one for `binary`."""
        return {"cross-entropy": classes, "margin": classes, "binary": 1 if classes == 2 else None}.get(loss)

    @classmethod
    def own_fields(cls, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ids."""
        return {"ids": tuple(card.get("class_ids", ()))}

    @classmethod
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return the name of a class index."""
        return classes[int(label)]

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return the images of each class."""
        found = np.bincount(labels.astype(np.int64), minlength=len(classes)).tolist()
        return dict(zip(classes, found, strict=True))

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return accuracy, interval and number of images."""
        low, high = result["interval"]
        mirrored = ", averaged with mirrored copies" if result.get("flip") else ""
        return (
            f"{percent(result['accuracy'], 2)} accuracy on {result['split']}, "
            f"95 % interval {100 * low:.2f} to {percent(high, 2)} ({result['images']:,} images{mirrored})"
        )

    @classmethod
    def difference_interval(cls, result: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return the interval over the images of both, unpaired."""
        first, second = ((round(of["accuracy"] * of["images"]), of["images"]) for of in (result, other))
        return metrics.unpaired_interval(first, second)

    @property
    def outputs(self) -> int:
        """One per class, or a single one for `binary`."""
        return 1 if self.loss == "binary" else len(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The index of each class by its name, and by its id where there are ids."""
        return {**by_name(self.ids), **by_name(self.names)}

    def card_fields(self) -> dict[str, Any]:
        """Return the ids too."""
        names, *rest = super().card_fields().items()
        return dict([names, *([("class_ids", list(self.ids))] if self.ids else []), *rest])

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return cross-entropy over the classes, or of one sigmoid unit, or the margin loss; labels (N,) are int64."""
        from torch.nn import functional as F

        def cross_entropy(logits: "Tensor", labels: "Tensor") -> "Tensor":
            return F.cross_entropy(logits, labels, weight=weights, label_smoothing=label_smoothing)

        def binary(logits: "Tensor", labels: "Tensor") -> "Tensor":
            target = labels.float() * (1 - label_smoothing) + label_smoothing / 2
            weight = None if weights is None else weights[labels]
            return F.binary_cross_entropy_with_logits(logits.squeeze(1), target, weight=weight)

        def margin(logits: "Tensor", labels: "Tensor") -> "Tensor":
            lengths, present = logits.sigmoid(), F.one_hot(labels, logits.shape[1]).to(logits.dtype)
            present = present * (1 - label_smoothing) + label_smoothing / logits.shape[1]
            short, long = F.relu(PRESENT - lengths).square(), F.relu(lengths - ABSENT).square()
            per_image = (present * short + DOWN_WEIGHT * (1 - present) * long).sum(1)
            return per_image.mean() if weights is None else (per_image * weights[labels]).sum() / weights[labels].sum()

        return {"binary": binary, "margin": margin}.get(self.loss, cross_entropy)

    def imitation(self, outputs: "Tensor", wanted: "Tensor", *, temperature: float) -> "Tensor":
        """Return the divergence of the classes' probabilities; of capsules the difference of their outputs."""
        from fovea.tasks.imitation import of_classes, of_sigmoids

        if self.loss == "margin":
            return super().imitation(outputs.sigmoid(), wanted.sigmoid(), temperature=temperature)
        compare = of_classes if self.loss == "cross-entropy" else of_sigmoids
        return compare(outputs, wanted, temperature=temperature)

    def class_weights(self, labels: "Tensor") -> "Tensor":
        """Return (classes,) float32 weights, inverse to the frequencies in int64 `labels` (N,), mean 1 over images."""
        counts = labels.bincount(minlength=len(self.names)).clamp(min=1)
        return labels.numel() / (len(self.names) * counts.float())

    def image_weights(self, labels: "Tensor") -> "Tensor":
        """Return those of the classes of the images."""
        return self.class_weights(labels)[labels]

    def per_image(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return whether the chosen class (N,) is the right one."""
        return chosen_classes(outputs) == labels

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return (N, classes) probabilities at the temperature, each row of sum 1."""
        return probabilities(outputs, temperature=self.temperature)

    def decisions(self, rows: Rows) -> NDArray[Any]:
        """Return the index (N, 1) of the most probable class of rows (N, classes) of probabilities."""
        chosen: NDArray[np.int64] = rows.argmax(1)[:, None]
        return chosen

    def margins(self, outputs: "Tensor") -> NDArray[np.float64]:
        """Return by how much the largest of logits (N, K) exceeds the next, (N, 1) float64; of one logit, its size."""
        logits = outputs.double()
        if logits.shape[1] == 1:
            return logits.abs().numpy()
        best = logits.topk(2, dim=1).values
        return (best[:, :1] - best[:, 1:]).numpy()

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the logit (N,) of each answer; a single sigmoid unit is that of the second class."""
        if outputs.shape[1] > 1:
            return super().evidence(outputs, answers)
        return outputs[:, 0] * (2 * answers - 1)

    def decided(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return whether the class (N,) that is answered is the one asked for."""
        import torch

        return torch.from_numpy(self.answers(outputs.detach().cpu())).to(answers.device) == answers

    def prediction(self, row: Rows) -> Prediction:
        """Return all classes, the most probable first."""
        return self._named((-row).argsort(kind="stable"), row)

    def top(self, prediction: Prediction, count: int) -> Prediction:
        """Return the `count` most probable classes."""
        return replace(prediction, scores=prediction.scores[:count])

    def best(self, row: Rows, count: int) -> Prediction:
        """Return the `count` most probable classes of a row (K,): of thousands the others are not sorted or named."""
        if count >= len(row):
            return self.prediction(row)
        high = np.flatnonzero(row >= np.partition(row, -count)[-count])
        return self._named(high[(-row[high]).argsort(kind="stable")][:count], row)

    def _named(self, order: NDArray[np.int64], row: Rows) -> Prediction:
        probabilities = row[order].tolist()
        return Prediction(
            scores=tuple(LabelScore(self.names[i], p) for i, p in zip(order.tolist(), probabilities, strict=True))
        )

    def matched(self, labels: Labels, classes: Sequence[str]) -> Labels:
        """Return the labels as indices into our names."""
        matched: Labels = np.array([self.index[name] for name in classes])[labels]
        return matched

    def answers(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the index (N,) of the class that is answered for each of outputs (N, K)."""
        answers: NDArray[np.int64] = chosen_classes(outputs).numpy()
        return answers

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the class that is answered for outputs (1, K), and the true one."""
        found = super().asked(outputs)
        return found if label is None else list(dict.fromkeys((*found, int(label))))

    def figures(self, outputs: "Tensor", labels: Labels) -> ClassFigures:
        """Return accuracy with its interval, calibration, the figures per class and the confusions."""
        return ClassFigures(**self.class_figures(outputs, labels))

    def class_figures(self, outputs: "Tensor", labels: Labels) -> dict[str, Any]:
        """Return the fields of `ClassFigures`."""
        rows, answers, scaled = self.decode(outputs), self.answers(outputs), self.temperature != 1
        correct = int((answers == labels).sum())
        scores = metrics.class_scores(labels, answers, classes=len(self.names))
        columns = zip(*(column.tolist() for column in scores), strict=True)
        return {
            "accuracy": correct / len(labels),
            "interval": metrics.wilson_interval(correct, len(labels)),
            "top5": metrics.top_k_accuracy(rows, labels, k=5) if len(self.names) > 5 else None,
            "nll": metrics.negative_log_likelihood(rows, labels),
            "ece": metrics.calibration_error(rows, labels),
            "temperature": self.temperature if scaled else None,
            "ece_unscaled": self.at_temperature(1.0).reliability(outputs, labels).error if scaled else None,
            "uncalibrated": self.uncalibrated or None,
            "per_class": {
                name: dict(zip(metrics.ClassScores._fields, row, strict=True))
                for name, row in zip(self.names, columns, strict=True)
            },
            "confusion": metrics.confusion_matrix(labels, answers, classes=len(self.names)).tolist(),
        }

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the accuracy with its Wilson interval."""
        right = self.right(outputs, labels)
        return Measured(float(right.mean()), metrics.wilson_interval(int(right.sum()), len(right)))

    def reliability(self, outputs: "Tensor", labels: Labels) -> metrics.CalibrationBins:
        """Return confidence and accuracy of the most probable class."""
        return metrics.calibration_bins(self.decode(outputs), labels)

    def right(self, outputs: "Tensor", labels: Labels) -> NDArray[np.bool_]:
        """Return for which images (N,) the most probable class is the right one."""
        right: NDArray[np.bool_] = self.answers(outputs) == labels
        return right

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the most confident wrong answers."""
        rows, answers = self.decode(outputs), self.answers(outputs)
        wrong = np.flatnonzero(~self.right(outputs, labels))
        surest = wrong[np.argsort(-rows[wrong, answers[wrong]], kind="stable")][:most]
        return [
            Mistake(image, self.names[truth], self.names[answer], float(rows[image, answer]), float(rows[image, truth]))
            for image, truth, answer in ((int(i), int(labels[i]), int(answers[i])) for i in surest)
        ]

    def log_probabilities(self, outputs: "Tensor") -> "Tensor":
        """Return those (N, classes) of outputs (N, K) at temperature 1."""
        import torch

        if outputs.shape[1] == 1:
            outputs = torch.cat([torch.zeros_like(outputs), outputs], 1)
        return outputs.log_softmax(1)

    def calibrated(self, outputs: "Tensor", labels: Labels) -> Self:
        """Return the task with the temperature that fits outputs (N, K), those of the validation split, best."""
        import torch

        from fovea.tasks.temperature import fit_temperature, smoothed

        targets = smoothed(torch.from_numpy(np.array(labels)), len(self.names))
        temperature = fit_temperature(outputs, lambda z: -(targets * self.log_probabilities(z)).sum(1).mean())
        return self.fitted_to(temperature, outputs, labels)

    def facts(self, labels: Labels) -> list[tuple[str, str]]:
        """Return how many classes there are, and the fewest and most images of one."""
        counts = self.counts(labels, self.names)
        low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        fewest, most = (f"{counts[name]:,} ({name})" for name in (low, high))
        return [("classes", str(len(counts))), ("training images per class", f"{fewest} to {most}")]

    def probe_targets(self, labels: "Tensor") -> "Tensor":
        """Return one-hot rows (N, classes)."""
        from torch.nn import functional as F

        return F.one_hot(labels, len(self.names))


def chosen_classes(outputs: "Tensor") -> "Tensor":
    """Return the (N,) class each row of logits (N, K) chooses; with K = 1 that is 1 where the sigmoid exceeds 1/2."""
    if outputs.shape[1] == 1:
        return (outputs.squeeze(1) > 0).long()
    return outputs.argmax(1)


def probabilities(outputs: "Tensor", *, temperature: float = 1.0) -> "Tensor":
    """Return (N, classes) probabilities of logits (N, K): softmax; for K = 1 the sigmoid, for the second of two."""
    import torch

    if outputs.shape[1] == 1:
        # not 1 - sigmoid, which loses what is near 0
        return torch.cat([-outputs, outputs], dim=1).div(temperature).sigmoid()
    # differences first: divided by a small temperature, large logits would lose their last digits in float32
    return ((outputs - outputs.amax(1, keepdim=True)) / temperature).softmax(1)
