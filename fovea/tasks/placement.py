"""What is asked of a kind of target that may lie on an image; the answers here are those of targets that do not.

A class of an image is the same wherever the image is moved; a mask, a box or a point moves with it.

Outputs are (N, K, ...) float32 or what is kept of them, labels (N, ...) int64, uint8 or float32.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.tasks.focus import Focus, Wanted
from fovea.tasks.places import Frame, Movement, StoredTarget
from fovea.tasks.prediction import Prediction
from fovea.tasks.usual import UsualPlan

if TYPE_CHECKING:
    from torch import Tensor


class Placement:
    """Where a target lies, how it moves, and what is kept of a network's answer to it."""

    noun: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]
    asks: ClassVar[str] = "classes"
    """What a network of the zoo must answer to learn it: one of `fovea.registry.ANSWERS`."""
    forms: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The forms of that answer which it can read, of `fovea.registry.FORMS`, with the loss of each; empty if all."""
    lies_on_image: ClassVar[bool] = False
    """Whether a target has its place on the image, and moves with it: `laid`, `moved`."""
    of_objects: ClassVar[bool] = False
    """Whether an answer is of one object, which is searched for in its box where an image shows several."""
    decoded_in_graph: ClassVar[bool] = True
    """Whether an exported file holds the decoded rows beside the logits; else `rows_of` makes them in NumPy."""

    def check_whole(self, what: str) -> None:
        """Raise UsageError, which names `what` cannot be done, where answers lie on an image."""
        if self.lies_on_image:
            raise UsageError(f"{what} needs one prediction for a whole image, and this model predicts {self.noun}.")

    @classmethod
    def loss_of(cls, form: str) -> str:
        """Return the loss by which networks whose answers have this form learn; the usual one where it is not known."""
        return cls.forms.get(form, cls.losses[0])

    def for_input(self, size: Sequence[int]) -> Self:
        """Return the task of a network for inputs of this `size` (H, W), where its answers are read by that."""
        return self

    @classmethod
    def stored(cls, frame: Frame) -> StoredTarget | None:
        """Return how targets that are files are kept beside their samples; None if labels are arrays already."""
        return None

    @classmethod
    def laid(cls, labels: NDArray[Any], sizes: Sequence[tuple[int, int]], frame: Frame) -> NDArray[Any]:
        """Return labels (N, ...) as they lie on preprocessed samples of images that had these `sizes`, (H, W)."""
        return labels

    @classmethod
    def usual(cls, size: tuple[int, ...] | None) -> UsualPlan | None:
        """Return how the kind is learned from images of this `size` (H, W), if all share one, where it is not set.

        None leaves it to the kind of input.
        """
        return None

    def moved(self, labels: "Tensor", movement: Movement) -> "Tensor":
        """Return labels (N, ...) as they lie on images that were moved."""
        return labels

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return outputs (N, K, ...) for mirror images as those for the images."""
        return outputs

    def condensed(self, outputs: "Tensor") -> "Tensor":
        """Return what is kept of outputs (N, K, ...) until all images have theirs; here the outputs themselves.

        All that is called `outputs` in `score`, `decode`, `figures`, `measured` and `mistakes` is this.
        """
        return outputs

    def drawn(self, label: NDArray[Any], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (H, W, C) uint8 of the input's size with its label on it."""
        return image

    def at_least(self, score: float) -> Self:
        """Return the task that tells of what has a `score` at least. Raises: UsageError if answers have none."""
        raise UsageError(f"`min_score` (={score:g}) works only for models that find objects; leave it out.")

    def rows_of(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """Return the decoded rows (N, ...) of outputs (N, K, ...), where files do not hold them."""
        return outputs

    def watched(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return (N, k) float64 of rows (N, K, ...), whose largest number says how sure each answer is, for drift."""
        return rows

    def focus(self, outputs: "Tensor", wanted: Wanted) -> Focus:
        """Return one thing that a network's own outputs (1, K, ...) show: a region, a box or a point.

        Raises: UsageError if answers have no place, or there is none such.
        """
        raise UsageError(
            f"`at` and `object` work only for objects, masks and points, and this model predicts {self.noun}."
        )

    def on_page(self) -> dict[str, Any]:
        """Return how a page in a browser decodes and draws outputs, as JSON values; empty if they have no place.

        `kind`, `colours` of the classes, `lead` and `remark` for the terminal, and what the scripts of the kind read.
        """
        return {}

    def in_image(self, prediction: Prediction, frame: Frame, size: tuple[int, int]) -> Prediction:
        """Return a prediction in the pixels of an upright image of `size` (H, W), where it lies on the input."""
        return prediction
