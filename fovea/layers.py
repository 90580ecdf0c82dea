"""What PyTorch lacks: the one interface of all networks of the zoo."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn


class Classifier(nn.Module):
    """A chain of `stem`, `stage1`..`stageN` and `head`, whose names are the first part of every checkpoint key.

    `head` holds all that follows the last feature map: pooling, flattening, dense layers.

    (N, c_in, H, W) float -> (N, classes) logits
    """

    def __init__(self, *, stem: nn.Module | None = None, stages: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        body = {} if stem is None else {"stem": stem}
        body |= {f"stage{i}": stage for i, stage in enumerate(stages, start=1)}
        for name, child in body.items():
            self.add_module(name, child)
        self.head = head
        self._body = tuple(body)

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature map, (N, C, H, W): what `head` gets."""
        for name in self._body:
            x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, classes)."""
        return cast(Tensor, self.head(self.features(x)))
