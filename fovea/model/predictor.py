"""What turns images into outputs, whatever runs it: a network here, an exported graph elsewhere."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.card import Card
from fovea.inputs.interface import Preprocessing, Samples, Stored
from fovea.inputs.views import PLAIN
from fovea.inputs.views import Protocol as Views
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Rows, Task

if TYPE_CHECKING:
    from torch import Tensor


class Predictor(Protocol):
    """All that evaluation, comparison and reports need of a network."""

    @property
    def card(self) -> Card:
        """What the model file says of itself."""
        ...

    @property
    def target(self) -> Task:
        """What the outputs mean."""
        ...

    @property
    def preprocess(self) -> Preprocessing:
        """How a sample becomes the input."""
        ...

    def outputs(
        self,
        pixels: Samples,
        protocol: Views = PLAIN,
        *,
        batch: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Tensor":
        """Return float32 outputs (N, K), on the CPU, for stored samples: images (N, h, w, C) uint8 0..255.

        They are the mean over the views that `protocol` cuts from each image, decoded as its `geometry` says.
        """
        ...

    def logits(self, pixels: Samples, *, batch: int = 256) -> NDArray[np.float32]:
        """Return the network's outputs (N, K, ...) float32 as they are, before anything is decoded or condensed."""
        ...

    def scores(self, pixels: Samples, protocol: Views = PLAIN, *, batch: int = 256) -> Rows:
        """Return what the network says of stored samples, decoded: (N, classes) probabilities, or (N, 1) numbers."""
        ...

    def predict(self, images: Any, *, batch: int = 256) -> list[Prediction]:
        """Return one prediction per image."""
        ...

    def first_layer(self) -> NDArray[Any] | None:
        """Return the weights of the first layer as images, (F, C, k, k) float32; None if they are none."""
        ...

    def read(self, image: Any) -> Stored:
        """Return a path, a PIL image or an array as one stored sample: (H, W, C) uint8 0..255."""
        ...
