"""Several labels per image: for each of them whether it applies.

Outputs are (N, L) float32 logits, labels (N, L) float32: 1 present, 0 absent, NaN unknown. Decoded rows are (N, L)
probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fovea import metrics
from fovea.errors import DataError, listed, shortened
from fovea.tasks import check_loss, register
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.label_figures import LabelFigures, result_text
from fovea.tasks.named import Named
from fovea.tasks.prediction import LabelScore, Prediction
from fovea.tasks.score import CALIBRATION, NLL, Metric, Score, stated_difference
from fovea.tasks.task import MISSING, Criterion, Labels, Rows
from fovea.tasks.wording import PLAIN, Wording, Written
from fovea.texts import natural_key, percent

if TYPE_CHECKING:
    from torch import Tensor

MAP = Metric("map", "mean average precision", share=True)

CELLS = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0, "": np.nan, "nan": np.nan}
"""What may stand in the column of a label, in any case."""


@register
@dataclass(frozen=True, kw_only=True)
class SeveralLabels(Named):
    """Each label is a question of its own; the network has an output for each."""

    name: ClassVar[str] = "labels"
    noun: ClassVar[str] = "several labels"
    losses: ClassVar[tuple[str, ...]] = ("bce",)
    metric: ClassVar[Metric] = MAP
    followed: ClassVar[Metric] = MAP
    several: ClassVar[bool] = True
    sections: ClassVar[tuple[str, ...]] = ("labels", "mistakes", "calibration")
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(LabelFigures))
    scores: ClassVar[tuple[Metric, ...]] = (
        MAP,
        Metric("f1_micro", "micro F1", share=True),
        Metric("f1_macro", "macro F1", share=True),
        NLL,
        CALIBRATION,
    )
    mistakes_title: ClassVar[str] = "Worst mistakes"
    mistakes_note: ClassVar[str] = (
        "The images with the most wrong labels. Some of these labels may be wrong or missing."
    )

    loss: str = "bce"
    thresholds: tuple[float, ...]
    """The probability of each label above which it is answered."""

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return float32 (N, L) of each part, 1, 0 or NaN for what is not known, and the L names.

        Texts are separated labels or lists of them, names then those of all parts, in natural order; or they are the
        cells of `wording.columns`, names then these.
        """
        if wording.columns:
            return {part: _cells(values, wording.columns) for part, values in texts.items()}, wording.columns
        given = {part: [_split(text, wording.separator) for text in values] for part, values in texts.items()}
        found = (name for values in given.values() for labels in values for name in labels)
        names = tuple(sorted({*classes, *wording.known, *found}, key=natural_key))
        index = {name: position for position, name in enumerate(names)}
        labels = {part: np.zeros((len(values), len(names)), np.float32) for part, values in given.items()}
        for part, values in given.items():
            for row, present in enumerate(values):
                labels[part][row, [index[name] for name in present]] = 1
        return dict(labels), names

    @classmethod
    def is_missing(cls, text: Written, wording: Wording) -> bool:
        """Return whether no label is known; an empty text says that none applies."""
        if wording.columns:
            return all(np.isnan(CELLS.get(_plain(cell), 0)) for cell in text)
        return isinstance(text, str) and _plain(text) in MISSING

    @classmethod
    def check_written(cls, text: Written, wording: Wording) -> None:
        """Raise DataError if a cell of `wording.columns` is neither 1, 0 nor nothing."""
        for pair in zip(text, wording.columns, strict=True) if wording.columns else ():
            _cell(*pair)

    @classmethod
    def notes(cls, labels: Mapping[str, Labels], classes: Sequence[str]) -> tuple[str, ...]:
        """Return how many labels are not known, and which are the same for all training images."""
        unknown = sum(int(np.isnan(values).sum()) for values in labels.values())
        total = sum(values.size for values in labels.values())
        noted = [f"{unknown:,} of {total:,} labels are unknown; loss and scores ignore them"] if unknown else []
        train = labels.get("train", np.zeros((0, len(classes))))
        for value, what in ((1, "no training image has"), (0, "no training image lacks")):
            seen = zip(classes, (train == value).any(axis=0), strict=True)
            if len(train) and (same := [name for name, shown in seen if not shown]):
                noted.append(f"{what} the label {listed(same)}, so it cannot be learned")
        return tuple(noted)

    @classmethod
    def strata(cls, labels: Labels) -> NDArray[np.bool_]:
        """Return which labels apply to each image, (N, L): every part has its share of each."""
        present: NDArray[np.bool_] = labels == 1
        return present

    @classmethod
    def text_of(cls, label: Labels, classes: Sequence[str]) -> str:
        """Return the labels (L,) of one image that apply, and those that are not known."""
        present = ", ".join(name for name, value in zip(classes, label, strict=True) if value == 1) or "none"
        unknown = ", ".join(name for name, value in zip(classes, label, strict=True) if np.isnan(value))
        return f"{present} (unknown: {unknown})" if unknown else present

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return to how many images each label applies."""
        return dict(zip(classes, (labels == 1).sum(axis=0).tolist(), strict=True))

    @classmethod
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError if no image of the training split has any label."""
        if not (labels == 1).any():
            raise DataError(f"No image of the train split of `{data}` has a label, so there is nothing to learn.")

    @classmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> "SeveralLabels":
        """Return the task for a data set of these labels, all answered above a probability of 1/2."""
        check_loss(loss, cls.name)
        return cls(names=tuple(classes), loss=loss, thresholds=(0.5,) * len(classes))

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return which of names and thresholds cannot be used."""
        target = card.get("target")
        thresholds = target.get("thresholds") if isinstance(target, dict) else None
        if fault := super().fault(card):
            return fault
        if (
            not isinstance(thresholds, list)
            or len(thresholds) != len(card["classes"])
            or not all(map(_share, thresholds))
        ):
            return "`target` must hold the `thresholds` of the labels, one each, from 0 to 1."
        return ""

    @classmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return one output per label."""
        return classes if loss in cls.losses and classes else None

    @classmethod
    def own_fields(cls, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return the thresholds."""
        return {"thresholds": tuple(map(float, card["target"]["thresholds"]))}

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return mean average precision and F1 with the number of images."""
        mirrored = ", averaged with mirrored copies" if result.get("flip") else ""
        return (
            f"{result_text(result['map'], result['interval'])}, F1 micro {percent(result['f1_micro'], 2)} "
            f"on {result['split']} ({result['images']:,} images{mirrored})"
        )

    @classmethod
    def difference_interval(cls, result: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return the interval over the images of both, unpaired."""
        return stated_difference(result, other, metric=cls.metric)

    @property
    def outputs(self) -> int:
        """One per label."""
        return len(self.names)

    def card_fields(self) -> dict[str, Any]:
        """Return the thresholds too."""
        return {**super().card_fields(), "target": {"thresholds": list(self.thresholds)}}

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the mean binary cross-entropy of the labels (N, L) that are known; `weights` (L,) of those present."""
        from torch.nn import functional as F

        def bce(logits: "Tensor", labels: "Tensor") -> "Tensor":
            known = ~labels.isnan()
            target = labels.nan_to_num(0.0)
            losses = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none")
            return (losses * known).sum() / known.sum().clamp(min=1)

        return bce

    def imitation(self, outputs: "Tensor", wanted: "Tensor", *, temperature: float) -> "Tensor":
        """Return the divergence of the labels' probabilities, each by itself."""
        from fovea.tasks.imitation import of_sigmoids

        return of_sigmoids(outputs, wanted, temperature=temperature)

    def class_weights(self, labels: "Tensor") -> "Tensor":
        """Return float32 (L,): for each image that has a label, how many have it not."""
        present, absent = (labels == 1).sum(0), (labels == 0).sum(0)
        return absent.clamp(min=1).float() / present.clamp(min=1)

    def score(self, outputs: "Tensor", labels: "Tensor", loss: Criterion) -> Score:
        """Return loss and mean average precision."""
        value = self._precision(outputs, labels.numpy())
        return Score(loss(outputs, labels).item(), value, self.followed)

    def _precision(self, outputs: "Tensor", labels: Labels) -> float | None:
        """Return the mean average precision of outputs (N, L); None if no image has a label."""
        value = float(metrics.mean_average_precision(outputs.double().numpy(), labels)[0])
        return None if np.isnan(value) else value

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return (N, L) probabilities at the temperature."""
        return (outputs / self.temperature).sigmoid()

    def exported(self, outputs: "Tensor") -> "dict[str, Tensor]":
        """Return the probabilities (N, L) float32, and as `present` bool (N, L) which are above their thresholds."""
        import torch

        rows = self.decoded(outputs)
        return {self.row_name: rows, "present": rows > torch.tensor(self.thresholds, dtype=rows.dtype)}

    def decisions(self, rows: Rows) -> NDArray[Any]:
        """Return which labels are answered, bool (N, L), for rows (N, L) of probabilities."""
        return self.present(rows)

    def margins(self, outputs: "Tensor") -> NDArray[np.float64]:
        """Return how far each of outputs (N, L) is from that of its threshold, float64 (N, L)."""
        import torch

        thresholds = torch.tensor(self.thresholds, dtype=torch.float64)
        return (outputs.double() - self.temperature * thresholds.logit()).abs().numpy()

    def present(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which labels are answered: those of probabilities (..., L) above their thresholds."""
        return rows > np.array(self.thresholds)

    def decided(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return whether the label of each row, int64 (N,), is above its threshold: (N,) bool."""
        import torch

        present = torch.from_numpy(self.present(self.decode(outputs.detach().cpu()))).to(answers.device)
        return present.gather(1, answers[:, None])[:, 0]

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the labels above their thresholds for outputs (1, L), or the wrong ones, the most confident first.

        Where there is none, the most probable.
        """
        row = self.decode(outputs)[0]
        wanted = self.present(row)
        if label is not None:
            wanted = (wanted != (label == 1)) & ~np.isnan(label)
        order = np.argsort(-row if label is None else -np.abs(row - 0.5), kind="stable")
        return [int(index) for index in order if wanted[index]] or super().asked(outputs)

    def prediction(self, row: Rows) -> Prediction:
        """Return all labels, the most probable first, and of them those that are answered."""
        order = (-row).argsort(kind="stable").tolist()
        scores = {index: LabelScore(self.names[index], float(row[index])) for index in order}
        present = self.present(row)
        return Prediction(
            scores=tuple(scores.values()), present=tuple(score for index, score in scores.items() if present[index])
        )

    def matched(self, labels: Labels, classes: Sequence[str]) -> Labels:
        """Return the labels in the order of the network's; those that the data does not have are not known."""
        matched = np.full((len(labels), len(self.names)), np.nan, np.float32)
        matched[:, [self.index[name] for name in classes]] = labels
        return matched

    def figures(self, outputs: "Tensor", labels: Labels) -> LabelFigures:
        """Return average precision, F1 and calibration, over all labels and for each."""
        rows, logits, scaled = self.decode(outputs), outputs.double().numpy(), self.temperature != 1
        scores = metrics.label_scores(labels, self.present(rows))
        seen = scores.support > 0
        measured = self.measured(outputs, labels)
        per_label = {
            name: {
                "ap": float(metrics.average_precision(logits[:, i], labels[:, i])[0]) if seen[i] else None,
                **{key: float(getattr(scores, key)[i]) for key in ("precision", "recall", "f1")},
                "ece": metrics.presence_bins(rows[:, i], labels[:, i]).error,
                "threshold": self.thresholds[i],
                **{key: int(getattr(scores, key)[i]) for key in ("support", "known")},
            }
            for i, name in enumerate(self.names)
        }
        return LabelFigures(
            map=measured.value,
            interval=measured.interval,
            f1_micro=metrics.micro_f1(labels, self.present(rows)),
            f1_macro=float(scores.f1[seen].mean()) if seen.any() else None,
            nll=metrics.presence_likelihood(rows, labels),
            ece=self.reliability(outputs, labels).error,
            temperature=self.temperature if scaled else None,
            ece_unscaled=self.at_temperature(1.0).reliability(outputs, labels).error if scaled else None,
            uncalibrated=self.uncalibrated or None,
            per_label=per_label,
        )

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the mean average precision with its bootstrap interval; neither where no image has a label.

        One image has no interval.
        """
        value = self._precision(outputs, labels)
        known = value is not None and len(labels) > 1
        return Measured(value, metrics.map_interval(outputs.double().numpy(), labels) if known else None)

    def reliability(self, outputs: "Tensor", labels: Labels) -> metrics.CalibrationBins:
        """Return probability and frequency of all labels together."""
        return metrics.presence_bins(self.decode(outputs), labels)

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the images with the most wrong labels, of equal ones the one with the most confident wrong answer."""
        rows = self.decode(outputs)
        present = self.present(rows)
        wrong = (present != (labels == 1)) & ~np.isnan(labels)
        surest = np.where(wrong, np.abs(rows - np.where(labels == 1, 1, 0)), 0).max(axis=1)
        order = np.lexsort((-surest, -wrong.sum(axis=1)))[:most].tolist()
        return [
            Mistake(i, self.text_of(labels[i], self.names), self.text_of(present[i].astype(float), self.names))
            for i in order
            if wrong[i].any()
        ]

    def calibrated(self, outputs: "Tensor", labels: Labels) -> Self:
        """Return the task with the temperature and thresholds that fit outputs (N, L), of the validation split, best.

        A threshold is that of the highest F1; it stays at 1/2 where no image has the label.
        """
        import torch

        from fovea.tasks.temperature import fit_temperature

        truth = torch.from_numpy(np.array(labels)).double()
        e = 1 / (len(truth) + 2)  # as `smoothed`, of two classes per label
        loss = self.criterion()
        temperature = fit_temperature(outputs, lambda z: loss(z, truth * (1 - 2 * e) + e))
        found = self.fitted_to(temperature, outputs, labels)
        rows = found.decode(outputs)
        return replace(
            found, thresholds=tuple(metrics.best_threshold(rows[:, i], labels[:, i]) for i in range(len(self.names)))
        )

    def facts(self, labels: Labels) -> list[tuple[str, str]]:
        """Return how many labels there are, the fewest and most images of one, and how many an image has."""
        counts = self.counts(labels, self.names)
        low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        fewest, most = (f"{counts[name]:,} ({name})" for name in (low, high))
        return [
            ("labels", str(len(counts))),
            ("training images per label", f"{fewest} to {most}"),
            ("labels per training image", f"{(labels == 1).sum(axis=1).mean():.2f}"),
        ]


def _share(value: object) -> bool:
    """Return whether a JSON value is a number from 0 to 1."""
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= 1


def _split(text: Written, separator: str) -> list[str]:
    """Return the distinct labels in a text or list."""
    pieces = text.split(separator) if isinstance(text, str) else text
    return list(dict.fromkeys(name for piece in pieces if (name := piece.strip())))


def _cells(rows: Sequence[Written], columns: Sequence[str]) -> Labels:
    return np.array([[_cell(*pair) for pair in zip(row, columns, strict=True)] for row in rows], np.float32)


def _cell(text: str, column: str) -> float:
    """Return 1, 0, or NaN for what is not known."""
    found = CELLS.get(_plain(text))
    if found is None:
        raise DataError(
            f"`{shortened(text)}` in the column `{column}` is not a label; expected 1, 0, or an empty cell if unknown."
        )
    return found


def _plain(cell: str) -> str:
    return cell.strip().lower()
