"""What turns images into outputs, whatever runs it: a network here, an exported graph elsewhere."""

from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from fovea.card import Card
from fovea.data.dataset import Images
from fovea.inputs.interface import Preprocessing, Stored
from fovea.inputs.views import PLAIN
from fovea.inputs.views import Protocol as Views
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Task
from fovea.training.inference import Progress


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
        self, pixels: Images, protocol: Views = PLAIN, *, batch: int = 256, progress: Progress | None = None
    ) -> Tensor:
        """Return float32 outputs (N, K), on the CPU, for stored samples: images (N, h, w, C) uint8 0..255.

        They are the mean over the views that `protocol` cuts from each image, decoded as its `geometry` says.
        """
        ...

    def predict(self, images: Any, *, batch: int = 256) -> list[Prediction]:
        """Return one prediction per image."""
        ...

    def first_layer(self) -> NDArray[Any] | None:
        """Return the weights of the first layer as images, (F, C, k, k) float32; None where they are none."""
        ...

    def read(self, image: Any) -> Stored:
        """Return a path, a PIL image or an array as one stored sample: (H, W, C) uint8 0..255."""
        ...
