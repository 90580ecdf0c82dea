"""The forms in which networks answer boxes: how each learns, is decoded and mirrored, and the score of a class.

They are those of `fovea.registry.FORMS`. Outputs are (N, ...) float32, K the number of classes; true boxes (N, M, 6)
float32: class, x0, y0, x1, y1 in pixels of the input, 1 for a crowd; class -1 where there is none.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.anchors import Anchored, levels, mirrored_order, pyramid_anchors
from fovea.decoding.boxes import SIDES
from fovea.decoding.centres import Centres
from fovea.decoding.grids import PARTS, VOC_PRIORS, Grid, Kept, OneBox, PriorGrid

if TYPE_CHECKING:
    from torch import Tensor

MOST = 100
"""Objects that are kept of an image."""
LEAST = 0.01
"""Score from which on an object is kept, 0 to 1: average precision counts what is found late too."""
ANCHORED = ("size", "most", "candidates", "least", "overlap")
Priors = tuple[tuple[float, float], ...]


class Decoder(Protocol):
    """How outputs of one form become boxes."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def decoded(self, outputs: NDArray[np.floating]) -> list[NDArray[np.float64]]:
        """Return what was found in each image: (D, 6) float64 of class, x0, y0, x1, y1, score; the best first."""
        ...


@dataclass(frozen=True, kw_only=True)
class BoxForm(ABC):
    """A form of the answers of networks with so many classes, for inputs of one size."""

    classes: int
    size: tuple[int, int]
    """Height and width of the input in pixels; 0 and 0 while they are not known."""
    priors: Priors = VOC_PRIORS
    """Widths and heights in cells that boxes begin with, where the form has such."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the answer for one image; None if it depends on the network."""

    @property
    @abstractmethod
    def decoder(self) -> Decoder:
        """How answers become boxes."""

    def score_of(self, logits: "Tensor") -> "Tensor":
        """Return the score, 0 to 1, that `decoder` makes of each of `class_logits`."""
        return logits.sigmoid()

    def decoder_fields(self) -> dict[str, Any]:
        """Return what `decoder` goes by as JSON values, for pages that decode in a browser."""
        return asdict(self.decoder)

    @abstractmethod
    def loss(self, outputs: "Tensor", boxes: "Tensor") -> "Tensor":
        """Return the loss of outputs for true boxes (N, M, 6), a scalar."""

    @abstractmethod
    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return outputs for mirror images as those for the images."""

    @abstractmethod
    def class_logits(self, outputs: "Tensor") -> "Tensor":
        """Return the score of each class at each place, (N, K, places)."""


class CentreForm(BoxForm):
    """(N, K + 4, h, w): logits of centres, and log distances to the sides (`fovea.decoding.centres`)."""

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(K + 4, h, w)."""
        return (self.classes + SIDES, None, None)

    @property
    def decoder(self) -> Centres:
        """Peaks of the maps."""
        return Centres(most=MOST, least=LEAST)

    def loss(self, outputs: "Tensor", boxes: "Tensor") -> "Tensor":
        """Return the loss of centres and boxes."""
        from fovea.tasks.criteria.centres import centres_loss

        return centres_loss(outputs, boxes, stride=self.decoder.stride)

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return maps mirrored back, left and right exchanged."""
        import torch

        K = self.classes
        order = torch.tensor([*range(K), K + 2, K + 1, K, K + 3], device=outputs.device)
        return outputs.flip(3)[:, order]

    def class_logits(self, outputs: "Tensor") -> "Tensor":
        """Return the logits of centres."""
        return outputs[:, : self.classes].flatten(2)


class AnchorForm(BoxForm):
    """(N, A, K + 4): logits and deltas of each anchor (`fovea.decoding.anchors`)."""

    @cached_property
    def anchors(self) -> NDArray[np.float32]:
        """The anchors (A, 4) of the input."""
        return pyramid_anchors(self.size)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(A, K + 4)."""
        return (len(self.anchors) if self.size[0] else None, self.classes + SIDES)

    @property
    def decoder(self) -> Anchored:
        """Deltas of the anchors with the highest scores, and suppression."""
        return Anchored(anchors=self.anchors, size=self.size, most=MOST, least=LEAST)

    def decoder_fields(self) -> dict[str, Any]:
        """Return the fields of `decoder` with the maps that have anchors instead of these."""
        maps = [{"cells": cells, "step": step, "shapes": shapes.tolist()} for cells, step, shapes in levels(self.size)]
        return {"levels": maps, **{name: getattr(self.decoder, name) for name in ANCHORED}}

    def loss(self, outputs: "Tensor", boxes: "Tensor") -> "Tensor":
        """Return the focal loss, and L1 of the deltas."""
        import torch

        from fovea.tasks.criteria.anchors import anchors_loss

        return anchors_loss(outputs, boxes, torch.from_numpy(self.anchors).to(outputs.device))

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return what anchors say, each of the one in the mirrored column, and its box relative to its own place."""
        import torch

        order = mirrored_order(self.size)
        middles = (self.anchors[:, 0] + self.anchors[:, 2]) / 2
        apart = (self.size[1] - middles[order] - middles) / (self.anchors[:, 2] - self.anchors[:, 0])
        found = outputs[:, torch.from_numpy(order).to(outputs.device)].clone()
        at = self.classes
        found[..., at] = torch.from_numpy(apart).to(found) - found[..., at]
        return found

    def class_logits(self, outputs: "Tensor") -> "Tensor":
        """Return the logits of all anchors."""
        return outputs[..., : self.classes].transpose(1, 2)


class GridForm(BoxForm):
    """(N, 5 B + K, h, w): B boxes and their confidence, and scores, of each cell (`fovea.decoding.grids`)."""

    boxes = 2
    """B, of a cell."""

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(5 B + K, h, w)."""
        return (self.boxes * PARTS + self.classes, None, None)

    @property
    def decoder(self) -> Grid:
        """Boxes of all cells, and suppression."""
        return Grid(size=self.size, boxes=self.boxes, kept=Kept(most=MOST, least=LEAST))

    def loss(self, outputs: "Tensor", boxes: "Tensor") -> "Tensor":
        """Return the squared errors of YOLO."""
        from fovea.tasks.criteria.grids import grid_loss

        return grid_loss(outputs, boxes, size=self.size, per_cell=self.boxes)

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return maps mirrored back, x counted from the other side of each cell."""
        found = outputs.flip(3).clone()
        x = slice(0, self.boxes * PARTS, PARTS)
        found[:, x] = 1 - found[:, x]
        return found

    def score_of(self, logits: "Tensor") -> "Tensor":
        """Return them as they are."""
        return logits

    def class_logits(self, outputs: "Tensor") -> "Tensor":
        """Return the scores: confidence of each box times that of the class in its cell."""
        confidence = outputs[:, None, PARTS - 1 : self.boxes * PARTS : PARTS]
        scores = confidence * outputs[:, self.boxes * PARTS :, None]
        return scores.flatten(2)


class PriorGridForm(BoxForm):
    """(N, B (5 + K), h, w): of each cell and prior a box, its confidence and logits (`fovea.decoding.grids`)."""

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(B (5 + K), h, w)."""
        return (len(self.priors) * (PARTS + self.classes), None, None)

    @property
    def decoder(self) -> PriorGrid:
        """Boxes of all cells and priors, and suppression."""
        return PriorGrid(size=self.size, priors=self.priors, kept=Kept(most=MOST, least=LEAST))

    def loss(self, outputs: "Tensor", boxes: "Tensor") -> "Tensor":
        """Return the loss of YOLO's second version."""
        from fovea.tasks.criteria.grids import prior_grid_loss

        return prior_grid_loss(outputs, boxes, size=self.size, priors=self.priors)

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return maps mirrored back, x counted from the other side of each cell: sigmoid(-x) is 1 - sigmoid(x)."""
        found = outputs.flip(3).clone()
        each = PARTS + self.classes
        found[:, ::each] = -found[:, ::each]
        return found

    def score_of(self, logits: "Tensor") -> "Tensor":
        """Return what they are logarithms of."""
        return logits.exp()

    def class_logits(self, outputs: "Tensor") -> "Tensor":
        """Return the logarithms of the scores: confidence times the probability of the class."""
        from torch.nn.functional import logsigmoid

        N, C, h, w = outputs.shape
        parts = outputs.reshape(N, len(self.priors), C // len(self.priors), h, w)
        scores = logsigmoid(parts[:, :, PARTS - 1 : PARTS]) + parts[:, :, PARTS:].log_softmax(2)
        return scores.transpose(1, 2).flatten(2)


class OneBoxForm(BoxForm):
    """(N, K + 4): logits, and the corners of one box in sides of the input (`fovea.decoding.grids`)."""

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(K + 4,)."""
        return (self.classes + SIDES,)

    @property
    def decoder(self) -> OneBox:
        """The most probable class, and the box."""
        return OneBox(size=self.size)

    def loss(self, outputs: "Tensor", boxes: "Tensor") -> "Tensor":
        """Return cross-entropy, and what the overlap lacks."""
        from fovea.tasks.criteria.grids import one_box_loss

        return one_box_loss(outputs, boxes, size=self.size)

    def unmirrored(self, outputs: "Tensor") -> "Tensor":
        """Return the box counted from the other side."""
        found = outputs.clone()
        left, right = self.classes, self.classes + 2
        found[:, left], found[:, right] = 1 - outputs[:, right], 1 - outputs[:, left]
        return found

    def score_of(self, logits: "Tensor") -> "Tensor":
        """Return the probabilities of the classes."""
        return logits.softmax(1)

    def class_logits(self, outputs: "Tensor") -> "Tensor":
        """Return the logits."""
        return outputs[:, : self.classes, None]


BOX_FORMS: dict[str, type[BoxForm]] = {
    "centres": CentreForm,
    "anchors": AnchorForm,
    "yolo": GridForm,
    "yolo2": PriorGridForm,
    "one": OneBoxForm,
}
"""By their names in `fovea.registry.FORMS`."""
BOX_LOSSES = {"centres": "centres", "anchors": "anchors", "yolo": "yolo", "yolo2": "yolo2", "one": "one-box"}
"""What a network of each form learns by."""
