"""An exported network, ready to predict with NumPy, Pillow and onnxruntime alone."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fovea import inputs
from fovea.budget import batch_within
from fovea.card import Card
from fovea.errors import BundleError, MissingDependencyError, StorageError, UsageError, unreadable
from fovea.files import open_regular
from fovea.inputs.interface import Preprocessing, Samples, Stored
from fovea.inputs.reading import Picture, check_one_tile, listed, read_sample
from fovea.inputs.views import PLAIN, Protocol
from fovea.runtime.contents import Contents, check_contents
from fovea.runtime.onnx_file import OnnxFile, read_onnx
from fovea.runtime.session import Session
from fovea.shapes import has_shape
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Rows, Task

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], None]
"""Called with the number of samples done and the number of all."""

MAX_BYTES = 2**31 - 1
"""No message of Protocol Buffers is larger."""
FIRST = b"\x08"
"""The first byte: the version of the format comes first."""
PROBABILITIES = "probabilities"
ROUNDING = 1e-3
"""So far may they lie outside of 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A network in one `.onnx` file: `load(path).predict("cat.jpg")`. A `Predictor`, and safe with threads.

    Samples are as `preprocess` stores them: images (N, H, W, C) uint8 0..255.
    """

    contents: Contents
    session: Session

    @property
    def card(self) -> Card:
        """What the file says of itself."""
        return self.contents.card

    @property
    def target(self) -> Task:
        """What the outputs mean."""
        return self.card.target

    @property
    def preprocess(self) -> Preprocessing:
        """How a sample becomes the input."""
        return self.card.preprocess

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in index order; empty if the task has none."""
        return self.target.classes

    @property
    def task(self) -> str:
        """The name of the task: `classes`, `number`, ..."""
        return self.target.name

    def read(self, image: Picture) -> Stored:
        """Return a path, the bytes of a file, a PIL image or an array as one stored sample: (H, W, C) uint8 0..255."""
        return read_sample(image, self.preprocess)

    def _read_whole(self, image: Picture) -> Stored:
        check_one_tile(image, self.preprocess)
        return self.read(image)

    def predict(self, images: Picture | Iterable[Picture], *, batch: int = 256) -> list[Prediction]:
        """Return one prediction per image; `images` as for a bundle.

        Raises:
            ImageError: a file that cannot be decoded, or an image of several tiles, for a network that sees these.
            UsageError: an array or object that is not an image.
        """
        samples = [self._read_whole(image) for image in listed(images, len(self.preprocess.stored_shape))]
        if not samples:
            return []
        return [self.target.prediction(row) for row in self.scores(np.stack(samples), batch=batch)]

    def scores(self, samples: Samples, protocol: Protocol = PLAIN, *, batch: int = 256) -> Rows:
        """Return what the network says of samples (N, ...): (N, classes) probabilities, or (N, 1) numbers.

        The mean over several views needs PyTorch.

        Raises:
            BundleError: the network fails, or says something that is not a finite number.
            UsageError: samples of another shape or type than the network takes.
        """
        if protocol != PLAIN:
            return self.target.decode(self.outputs(samples, protocol, batch=batch))
        rows: Rows = self._rows(samples, batch=batch)
        if rows.dtype != np.float32:
            return rows
        rows = rows.astype(np.float64)
        if (
            self.target.row_name == PROBABILITIES
            and rows.size
            and not -ROUNDING <= rows.min() <= rows.max() <= 1 + ROUNDING
        ):
            raise BundleError("The probabilities of the network are not between 0 and 1; export the model again.")
        return rows

    def _rows(self, samples: Samples, *, batch: int, progress: Progress | None = None) -> NDArray[Any]:
        rows = self._outputs(0, samples, batch=batch, progress=progress)
        return rows if self.target.decoded_in_graph else self.target.rows_of(rows)

    def logits(self, samples: Samples, *, batch: int = 256, progress: Progress | None = None) -> NDArray[np.float32]:
        """Return the network's outputs (N, K) float32 as they are before they are decoded; errors as `scores`."""
        return self._outputs(1, samples, batch=batch, progress=progress)

    def outputs(
        self, samples: Samples, protocol: Protocol = PLAIN, *, batch: int = 256, progress: Progress | None = None
    ) -> "Tensor":
        """Return float32 outputs (N, K) of decoded samples, their means over the views; needs PyTorch.

        Views that are resized are rounded to whole pixels again, since the file takes no others.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                "This needs PyTorch, which is not installed: `pip install fovea-cnn`. `fovea predict` works without it."
            ) from error
        if protocol == PLAIN:
            if self.target.lies_on_image:  # decoded rows are what is kept of outputs
                return torch.from_numpy(self._rows(samples, batch=batch, progress=progress))
            return torch.from_numpy(self.logits(samples, batch=batch, progress=progress))
        kind = inputs.kind_of(self.preprocess)
        found = []
        for first in range(0, len(samples), batch):
            arranged = torch.from_numpy(np.array(samples[first : first + batch])).movedim(-1, 1)
            views = [
                self.logits(_as_stored(view, self.preprocess.dtype), batch=batch)
                for view in kind.cut(arranged, self.preprocess, protocol)
            ]
            if protocol.mirrored:
                views[1::2] = [self.target.unmirrored(torch.from_numpy(view)).numpy() for view in views[1::2]]
            found.append(self.target.condensed(torch.from_numpy(np.mean(views, axis=0))))
            if progress:
                progress(min(first + batch, len(samples)), len(samples))
        return torch.cat(found)

    def first_layer(self) -> None:
        """Return None: the weights of the file are its runtime's."""

    def _outputs(self, index: int, samples: Samples, *, batch: int, progress: Progress | None = None) -> NDArray[Any]:
        if batch < 1:
            raise UsageError(f"`batch` (={batch}) must be at least 1.")
        found = []
        size = self.contents.batch or batch_within(batch, self.contents.sample_bytes)
        for first in range(0, len(samples), size):
            found.append(self._batch(index, np.ascontiguousarray(samples[first : first + size])))
            if progress:
                progress(min(first + size, len(samples)), len(samples))
        none = np.empty((0, *(length or 0 for length in self.contents.rows[index])), self._dtypes[index])
        return np.concatenate(found or [none])

    @property
    def _dtypes(self) -> tuple[str, str]:
        return self.target.row_dtype, "float32"

    def _batch(self, index: int, samples: Stored) -> NDArray[Any]:
        """Return one output of at most a batch; of a file with a fixed batch, what lacks is filled up and cut off."""
        self._check(samples)
        lacking = (self.contents.batch or 0) - len(samples)
        given = np.concatenate([samples, np.repeat(samples[-1:], lacking, axis=0)]) if lacking > 0 else samples
        self.contents.plan.check_batch(len(given))
        (rows,) = self.session.run([self.contents.outputs[index]], {self.contents.input: given})
        rows = rows[: len(samples)]
        announced = self.contents.rows[index]
        if len(rows) != len(samples) or not has_shape(rows.shape[1:], announced):
            raise BundleError(
                f"The network gives outputs {rows.shape} for {len(samples)} samples, but its card declares (N, "
                f"{', '.join(str(length or 'any') for length in announced)})."
            )
        if not np.isfinite(rows).all():
            raise BundleError("The network's outputs are not finite: its weights, or its mean and std, are corrupted.")
        return rows.astype(self._dtypes[index], copy=False)

    def _check(self, samples: Stored) -> None:
        shape, dtype = self.preprocess.stored_shape, self.preprocess.dtype
        if samples.shape[1:] != shape or samples.dtype != dtype:
            wanted, given = ("x".join(map(str, sizes)) for sizes in (shape, samples.shape[1:]))
            raise UsageError(
                f"Samples must be {dtype} (N, {wanted}), as `read` returns them; these are {samples.dtype} (N, "
                f"{given})."
            )


def load(path: str | Path, *, threads: int | None = None, providers: Sequence[str] | None = None) -> Exported:
    """Return the network in the `.onnx` file `path`, ready to predict; PyTorch is not needed.

    `threads` is how many work on one batch, as many as the machine has cores where it is not given. `providers` are
    names of onnxruntime, the first that can run a node does; CUDA where it is there and nothing is given, else the CPU.

    Raises:
        BundleError: the file is truncated, foreign, hostile, of a newer format, or contradicts its card.
        MissingDependencyError: onnxruntime is not installed.
        StorageError: the file cannot be read.
        UsageError: `threads` is out of range, or there is no such provider.
    """
    path = Path(path)
    content = _content(path)
    contents = check_contents(read_onnx(content, path.name))
    return Exported(contents=contents, session=Session(content, path.name, threads=threads, providers=providers))


def read_file(path: Path) -> OnnxFile:
    """Return what an `.onnx` file holds, without onnxruntime; errors as `load`."""
    return read_onnx(_content(path), path.name)


def _content(path: Path) -> bytes:
    """Return the bytes of a file, which is bounded in size."""
    try:
        with open_regular(path) as file:
            if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES:
                raise BundleError(f"`{path.name}` has {size:,} bytes; the limit for an `.onnx` file is {MAX_BYTES:,}.")
            if (start := file.read(1)) != FIRST:
                raise BundleError(f"`{path.name}` is not an ONNX file, or is empty.")
            return start + file.read(MAX_BYTES)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise unreadable(path, error) from error


def _as_stored(view: "Tensor", dtype: str) -> Stored:
    """Return a view (N, C, ...) as samples are stored, channels last and of their type."""
    if dtype == "uint8" and view.dtype.is_floating_point:
        view = view.round().clamp(0, 255)
    stored: Stored = view.movedim(1, -1).numpy().astype(dtype)
    return stored
