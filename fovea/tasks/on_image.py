"""What all targets share that lie on an image and have names: masks, boxes and points.

Outputs are (N, K, ...) float32 of any form. What is kept of them, `condensed`, is what was found in each image: it is
decoded by the same code as the outputs of an exported file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from fovea.errors import DataError
from fovea.tasks import check_loss
from fovea.tasks.named import Named
from fovea.tasks.task import Labels, Rows
from fovea.tasks.wording import PLAIN, Wording, Written
from fovea.texts import percent

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class OnImage(Named):
    """A target with names that lies on an image, and moves with it."""

    changed_by: ClassVar[tuple[str, ...]] = ("mixup", "cutmix")
    lies_on_image: ClassVar[bool] = True
    decoded_in_graph: ClassVar[bool] = False
    calibrates: ClassVar[bool] = False
    card_format: ClassVar[int] = 4
    mistakes_title: ClassVar[str] = "Worst images"

    data_wanted: ClassVar[str]
    """What data of the kind is, as an advice to who brings labels in words."""
    least_classes: ClassVar[int] = 1
    """So many names at least can be learned."""

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Raise DataError: what lies on an image is no text."""
        raise DataError(f"This data has class labels, and `--task {cls.name}` needs {cls.name}; {cls.data_wanted}.")

    @classmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> Self:
        """Return the task for a data set of these classes."""
        check_loss(loss, cls.name)
        return cls(names=tuple(classes), loss=loss)

    @classmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return one output or map for each name."""
        return classes if loss in cls.losses and classes >= cls.least_classes else None

    @property
    def outputs(self) -> int:
        """One output or map for each name; what else a form has is not counted."""
        return len(self.names)

    def condensed(self, outputs: "Tensor") -> "Tensor":
        """Return what was found in each image, float32, of outputs (N, K, ...): `rows_of`."""
        import torch

        return torch.from_numpy(self.rows_of(outputs.detach().float().cpu().numpy()))

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return the outputs as they are: they are decoded in NumPy, by `rows_of`."""
        return outputs

    def decode(self, outputs: "Tensor") -> Rows:
        """Return condensed outputs as they are."""
        return cast(Rows, outputs.numpy())

    @classmethod
    def scores_text(cls, result: Mapping[str, Any], first: tuple[str, str], second: tuple[str, str]) -> str:
        """Return two figures of a result, each a name and a key, the first with its interval."""
        low, high = result["interval"]
        (name, key), (other, other_key) = first, second
        interval = f"{100 * low:.2f} to {percent(high, 2)}"
        return (
            f"{name} {percent(result[key], 2)} ({interval}), {other} {percent(result[other_key], 2)} on "
            f"{result['split']}"
        )
