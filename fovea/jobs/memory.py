"""`fovea measure --memory`: peak memory of inference and training."""

from collections.abc import Sequence

from fovea.errors import UsageError
from fovea.jobs.measure import Measurable, found
from fovea.measurement.memory import Memory, estimate_memory

MOST_IMAGES = 1_000_000


def memory(model: Measurable, input_shape: Sequence[int] | None = None, *, batch: int = 1) -> Memory:
    """Return an estimate of the peak memory of inference and of training on batches of `batch` images.

    `model` and `input_shape` are those of `measure`. Nothing runs on data.

    Raises:
        UsageError: a batch that is not from 1 to 1,000,000; and the errors of `measure`.
        ShapeError: the forward pass fails, or needs data.
    """
    if not 1 <= batch <= MOST_IMAGES:
        raise UsageError(f"`batch` (={batch}) must be from 1 to {MOST_IMAGES:,} images.")
    network, _, shape = found(model, input_shape)
    return estimate_memory(network, shape, batch=batch)
