"""The base of all kinds of target: what the rest of the package asks of one, and the answers most of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError, unknown
from fovea.metrics import CalibrationBins
from fovea.tasks.figures import Figures, Measured, Mistake
from fovea.tasks.placement import Placement
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import ACCURACY, Metric, Score
from fovea.tasks.wording import PLAIN, Wording, Written

if TYPE_CHECKING:
    from torch import Tensor

Labels = NDArray[Any]
"""(N,) int64 class indices, (N,) float32 numbers in the unit of the labels, or (N, L) float32 of several labels."""
Rows = NDArray[np.float64]
"""(N, K) what a network says, decoded: probabilities 0..1, or numbers in the unit of the labels."""
Criterion = Callable[["Tensor", "Tensor"], "Tensor"]
"""Outputs (N, K) float32 and labels (N,) on the network's scale -> the mean loss, a scalar."""


MISSING = ("nan", "<na>", "nat")
"""What programs write where they have no value, in any case."""


@dataclass(frozen=True, kw_only=True)
class Task(Placement, ABC):
    """A kind of target, and what one network or data set fixes of it.

    The class is the kind: what can be said before any data is seen. An instance also knows what decoding needs, as
    the names of the classes; the card of a model file holds it.

    A network has outputs (N, K) float32. Labels are (N,) int64 class indices or float32 numbers, decoded rows (N, K)
    float64.
    """

    name: ClassVar[str]
    """As after `--task`."""
    noun: ClassVar[str]
    """What is predicted, as in "this model predicts a number"."""
    losses: ClassVar[tuple[str, ...]]
    """The losses it may be trained with, the usual one first; no other kind has them."""
    metric: ClassVar[Metric] = ACCURACY
    """The score by which trainings are compared."""
    follows: ClassVar[bool] = False
    """Whether a score beside the loss is followed while a network trains, and chooses the best epoch: `per_image`."""
    followed: ClassVar[Metric] = ACCURACY
    """That score."""
    changed_by: ClassVar[tuple[str, ...]] = ()
    """Names of augmentations that change a target, whatever the data, and are left out; see `directional` for flips."""
    has_classes: ClassVar[bool] = False
    """Whether labels are the names of classes."""
    ordered: ClassVar[bool] = False
    """Whether the classes are in an order, which a `Wording` may say."""
    several: ClassVar[bool] = False
    """Whether an image has several labels, (N, L) in arrays."""
    measures: ClassVar[bool] = False
    """Whether `measured` gives the score of some of the images: of slices, or disturbed ones."""
    ranks: ClassVar[bool] = False
    """Whether an answer is one of several, in an order that may be cut after the first."""
    calibrates: ClassVar[bool] = False
    """Whether `calibrated` does something, for which outputs on the validation split are computed."""
    smooths: ClassVar[bool] = False
    """Whether smoothed labels help, where a plan is free to choose."""
    row_name: ClassVar[str] = "probabilities"
    row_dtype: ClassVar[str] = "float32"
    row_step: ClassVar[float] = 0.0
    """What decoded rows are called in an exported file, their type, and the step to which they are rounded."""
    closed_form: ClassVar[str] = ""
    """How a last layer is fitted at once: `discriminants`, `regression` (`fovea.training.probing`), or not at all."""
    sections: ClassVar[tuple[str, ...]] = ("mistakes",)
    """Names of the sections of a report that apply, in their order."""
    mistakes_title: ClassVar[str] = "Largest errors"
    mistakes_note: ClassVar[str] = "The images with the largest errors."

    figure_names: ClassVar[tuple[str, ...]]
    """The fields of what `figures` returns."""
    scores: ClassVar[tuple[Metric, ...]] = ()
    """Those of them of which a least value may be asked."""
    card_format: ClassVar[int] = 2
    """The format of cards that hold it: readers of earlier formats refuse it by that number."""

    loss: str = ""
    """One of `losses`."""

    # ---- what can be said of the kind alone

    @classmethod
    @abstractmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return the labels (N,) of each part, from the texts that stand for them, and the names of classes if any.

        `classes` are names that count even where no text has them; `wording` says how the texts are meant.

        Raises:
            DataError: a text that is not a label of this kind.
        """

    @classmethod
    def is_missing(cls, text: Written, wording: Wording) -> bool:
        """Return whether a text says nothing of its image, which is then left out."""
        return not text or (isinstance(text, str) and text.strip().lower() in MISSING)

    @classmethod  # noqa: B027 (texts are names, and any will do)
    def check_written(cls, text: Written, wording: Wording) -> None:
        """Raise DataError if a text is not a label of this kind."""

    @classmethod
    def notes(cls, labels: Mapping[str, Labels], classes: Sequence[str]) -> tuple[str, ...]:
        """Return what the user should know of the labels of each part, one line each."""
        return ()

    @classmethod  # noqa: B027 (nothing to say against most)
    def check_raw(cls, labels: Labels, key: str) -> None:
        """Raise DataError if the array `key` cannot hold labels of this kind."""

    @classmethod
    def strata(cls, labels: Labels) -> Labels | None:
        """Return the group (N,) of each label that every part should have its share of; None splits at random.

        Of images in several groups it is bool (N, L): which of the L groups each is in.
        """
        return None

    @classmethod
    def directional(cls, classes: Sequence[str], *, channels: int) -> bool:
        """Return whether the mirror image of an image has another label."""
        return False

    @classmethod  # noqa: B027 (nothing to say against most)
    def check_trainable(cls, labels: Labels, *, classes: Sequence[str], data: str) -> None:
        """Raise DataError if nothing can be learned from the training labels of the data set called `data`."""

    @classmethod
    @abstractmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> Self:
        """Return the task as it is learned from the training `labels` (N,) of the data set called `data`.

        Raises:
            UsageError: a loss that does not fit.
        """

    @classmethod
    @abstractmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return what of a card's fields contradicts the kind; empty if nothing does.

        Of their types no more is known than that `classes` is a list and `outputs` a whole number.
        """

    @classmethod
    @abstractmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return how many outputs a network needs; None if loss and number of classes contradict."""

    @classmethod
    @abstractmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self:
        """Return the task that a checked card tells of."""

    @classmethod
    def text_of(cls, label: Any, classes: Sequence[str]) -> str:
        """Return one label as a person reads it."""
        return f"{label:g}"

    @classmethod
    def counts(cls, labels: Labels, classes: Sequence[str]) -> dict[str, int]:
        """Return how many of the labels (N,) each class has; empty if there are no classes."""
        return {}

    @classmethod
    @abstractmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return in words a result that `Figures.result` made."""

    @classmethod
    def difference_interval(cls, result: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return where the difference of two results lies with 95 % confidence (`other` minus `result`), if known."""
        return None

    # ---- what a network or a data set fixes

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many outputs the network has."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in index order; empty if there are none."""
        return ()

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """The shape of one decoded row in an exported file; None if it depends on the network."""
        return (len(self.classes) or 1,)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of what the network gives out for one image; None as in `row_shape`."""
        return (self.outputs,)

    def card_fields(self) -> dict[str, Any]:
        """Return what a card holds of it beside task, outputs and loss."""
        return {"classes": [], "temperature": 1.0}

    def to_network(self, labels: Labels) -> Labels:
        """Return labels (N,) on the scale on which the network learns them."""
        return labels

    @abstractmethod
    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the loss; `weights` (K,) float32 are those of the classes."""

    def imitation(self, outputs: "Tensor", wanted: "Tensor", *, temperature: float) -> "Tensor":
        """Return how far outputs (N, K) are from those of a teacher, a scalar: here the mean squared difference.

        Kinds with probabilities compare these, at a `temperature` (Hinton et al. 2015, arXiv:1503.02531, section 2).
        """
        return (outputs - wanted).square().mean()

    def class_weights(self, labels: "Tensor") -> "Tensor":
        """Return (classes,) float32 weights, inverse to the class frequencies, with mean 1 over the images.

        Raises:
            UsageError: there are no classes.
        """
        raise UsageError(f"Class weights need classes; this network predicts {self.noun}.")

    def image_weights(self, labels: "Tensor") -> "Tensor":
        """Return float32 (N,): how often each image is drawn, so that every class is drawn equally often.

        Raises:
            UsageError: images do not have one class each.
        """
        raise UsageError(f"Balanced sampling needs one class per image; this network predicts {self.noun}.")

    def per_image(self, outputs: "Tensor", labels: "Tensor") -> "Tensor | None":
        """Return the value (N,) of `followed` for each image; None if only the loss is followed.

        `outputs` (N, K) are the network's, `labels` (N,) on its scale.
        """
        return None

    def score(self, outputs: "Tensor", labels: "Tensor", loss: Criterion) -> Score:
        """Return the score of outputs (N, K) against labels (N,) on the network's scale."""
        values = self.per_image(outputs, labels)
        mean = None if values is None else values.double().mean().item()
        return Score(loss(outputs, labels).item(), mean, self.followed)

    @abstractmethod
    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return what outputs (N, K) mean: (N, classes) probabilities, or (N, 1) numbers in the unit of the labels.

        In the type of `outputs`, by operations that an exported graph can hold: no branch on values, no NumPy.
        """

    def decode(self, outputs: "Tensor") -> Rows:
        """Return the rows of `decoded`, computed in float64."""
        rows: Rows = self.decoded(outputs.double()).numpy()
        return rows

    def exported(self, outputs: "Tensor") -> "dict[str, Tensor]":
        """Return all that an exported file says of outputs (N, K) float32, by name, the decoded rows first."""
        return {self.row_name: self.decoded(outputs)}

    def decisions(self, rows: Rows) -> NDArray[Any]:
        """Return what is decided by rows (N, K) of `decode`: integers or bool (N, D); D is 0 where nothing is."""
        return np.zeros((len(rows), 0), np.int64)

    def margins(self, outputs: "Tensor") -> NDArray[np.float64]:
        """Return how far outputs (N, K) are from deciding otherwise, on their own scale: float64 (N, D), at least 0."""
        return np.zeros((len(outputs), 0))

    @abstractmethod
    def prediction(self, row: Rows) -> Prediction:
        """Return what one row (K,) of `decode` means."""

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the score of the answer of each row of outputs (N, K), int64 (N,): (N,), differentiable.

        An answer is an index into `classes`, or 0 where there are none. The evidence is the output for it.
        """
        return outputs.gather(1, answers[:, None])[:, 0]

    def decided(self, outputs: "Tensor", answers: "Tensor") -> "Tensor | None":
        """Return whether each row of outputs (N, K) gives its answer, int64 (N,): (N,) bool on the device of both.

        None if nothing is decided, as of a number.
        """
        return None

    def answered(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the index (N,) of what is answered for each of outputs (N, K): the most probable, or 0."""
        answers: NDArray[np.int64] = self.decode(outputs).argmax(1)
        return answers

    def asked(self, outputs: "Tensor", label: Any = None) -> list[int]:
        """Return the indices of the answers that are explained where none is named, for outputs (1, K).

        They are what the network answers; where the true `label` of a mistake is given, also that.
        """
        return self.answered(outputs).tolist()  # type: ignore[no-any-return]

    def answer_text(self, answer: int) -> str:
        """Return what a person calls the answer with an index: the class, or what is predicted."""
        return self.classes[answer] if self.classes else self.noun

    def answer_named(self, name: str) -> int:
        """Return the index of the answer called `name`, or with this number.

        Raises: UsageError if there is none such.
        """
        if not self.classes:
            raise UsageError(f"`{name}` cannot be used: this model predicts {self.noun}. Leave it out.")
        if name in self.classes:
            return self.classes.index(name)
        if name.isascii() and name.isdigit() and int(name) < len(self.classes):
            return int(name)
        raise unknown("class", name, self.classes)

    def top(self, prediction: Prediction, count: int) -> Prediction:
        """Return a prediction with its `count` best answers, where it has several."""
        return prediction

    def best(self, row: Rows, count: int) -> Prediction:
        """Return what one row (K,) of `decode` means, with its `count` best answers where it has several."""
        return self.top(self.prediction(row), count)

    def columns_of(self, other: "Task") -> list[int] | None:
        """Return which column of `other.decode` stands for each of ours; None if it predicts something else."""
        return [0] if type(other) is type(self) else None

    def check_known(self, classes: Sequence[str], *, data: str) -> None:  # noqa: B027 (there are none)
        """Raise DataError if the data set called `data` has classes that the network does not know."""

    def matched(self, labels: Labels, classes: Sequence[str]) -> Labels:
        """Return the labels (N,) of a data set with these `classes` as those of the network."""
        return labels

    @abstractmethod
    def figures(self, outputs: "Tensor", labels: Labels) -> Figures:
        """Return what the outputs (N, K) of a network are worth against the labels (N,)."""

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the `metric` of outputs (N, K) against the labels (N,), with its interval.

        Raises:
            UsageError: the kind does not say it of some images.
        """
        raise UsageError(f"This model predicts {self.noun}, which has no score for a few images.")

    def reliability(self, outputs: "Tensor", labels: Labels) -> CalibrationBins:
        """Return how often answers are right by how sure the network is of them.

        Raises:
            UsageError: it says no probabilities.
        """
        raise UsageError(f"This model predicts {self.noun}, not probabilities.")

    def at_temperature(self, temperature: float) -> Self:
        """Return the task with outputs divided by another temperature, whose origin is not known."""
        return self

    @abstractmethod
    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the worst answers, at `most` so many, the worst first."""

    def calibrated(self, outputs: "Tensor", labels: Labels) -> Self:
        """Return the task with its probabilities calibrated on outputs (N, K) it was not trained on."""
        return self

    def uncalibrated_for(self, reason: str) -> Self:
        """Return the task that says why its probabilities are not calibrated."""
        return self

    def facts(self, labels: Labels) -> list[tuple[str, str]]:
        """Return what a report says of the training labels (N,)."""
        return []

    def probe_targets(self, labels: "Tensor") -> "Tensor":
        """Return what a last layer in closed form is fitted to: (N, T) float, of labels (N,) on the network's scale."""
        raise UsageError(f"`probe` has no closed-form solution for a network that predicts {self.noun}.")
