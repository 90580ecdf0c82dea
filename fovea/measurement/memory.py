"""Peak memory of a network, from a run on tensors that have sizes and no values: how long each lives is what counts.

Tensors of any shape and dtype count by their bytes; a batch is (N, C, H, W) in the floating type of the weights.
"""

import math
import textwrap
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from fovea.errors import ShapeError, first_line
from fovea.hooks import tensors_in
from fovea.measurement.network import without_values
from fovea.measurement.result import sample_name

COUNTED = (
    "Peak memory: all tensors alive at once. Inference: weights, buffers, input, activations. Training, a step of SGD "
    "with momentum in the precision of the weights: also gradients, momentum and what the backward pass needs. Not "
    "counted: workspaces inside an operation, what the allocator keeps free, the loader, the program itself."
)
"""Printed with every estimate."""
WIDTH = 100
"""Characters of a line of text."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The most bytes of tensors that live at once."""

    batch: int
    weight_bytes: int
    """Of parameters and buffers; part of both peaks."""
    inference_bytes: int
    training_bytes: int | None
    """None if it could not be estimated: see `missing`."""
    missing: str = ""
    sample: str = "image"
    """What one input is: `image`, `series`, `clip` or `input`."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        plural = "" if self.batch == 1 or self.sample.endswith("s") else "s"
        images = f"{self.batch:,} {self.sample}{plural}"
        training = f"unknown: {self.missing}" if self.training_bytes is None else _size(self.training_bytes)
        return [
            f"Inference  {_size(self.inference_bytes)} for {images}, {_size(self.weight_bytes)} of which are weights",
            f"Training   {training}",
            *textwrap.wrap(COUNTED, WIDTH),
        ]


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts, while active, the bytes of tensors that come and go; each memory once, however many tensors view it."""

    def __init__(self, tensors: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak_bytes = 0
        self._sizes: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}
        for tensor in tensors:
            self.add(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the compiler, whose import takes seconds, has no part in this

    def add(self, tensor: Tensor) -> None:
        """Count the memory of a tensor until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._sizes:
            # the weak reference calls back when the last tensor on this memory is gone
            self._sizes[key] = self.size_of(tensor), weakref.ref(storage, partial(self._freed, key))
            self.bytes += self._sizes[key][0]
            self.peak_bytes = max(self.peak_bytes, self.bytes)

    @staticmethod
    def size_of(tensor: Tensor) -> int:
        """Return the bytes of the memory that the tensor lies on."""
        return tensor.untyped_storage().nbytes()

    def _freed(self, key: int, _: object) -> None:
        self.bytes -= self._sizes.pop(key)[0]

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operation, and count what it made."""
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            self.add(tensor)
        return result


class LiveOfOne(Live):  # type: ignore[no-untyped-call]
    """Counts on a batch of no images, (0, C, H, W), what one image would take."""

    @staticmethod
    def size_of(tensor: Tensor) -> int:
        """Return the bytes of the memory of the tensor, or those that it would have with 1 for each size of 0."""
        return Live.size_of(tensor) or math.prod(size or 1 for size in tensor.shape) * tensor.itemsize


def one_input_bytes(model: nn.Module, shape: Sequence[int]) -> int:
    """Return about how many bytes of activations live at once for one image of `shape` (C, H, W), its own included.

    A batch of no images passes through the network, which takes neither memory nor arithmetic, and no import of the
    compiler as the device `meta` does. It is right to a factor of two: on such a batch PyTorch copies in batch norm,
    and leaves out the steps of local response normalisation. The network is then in evaluation mode.

    Raises:
        Exception: whatever the network raises where such an image does not pass.
    """
    weights = [*model.parameters(), *model.buffers()]
    device = weights[0].device if weights else None
    x = torch.empty((0, *shape), device=device)
    live = LiveOfOne(weights)
    held = live.bytes
    live.add(x)
    with live:
        infer(model, x)
    return live.peak_bytes - held


def estimate_memory(model: nn.Module, input_shape: Sequence[int], *, batch: int) -> Memory:
    """Return the peak memory of inference and of training on `batch` images of `input_shape`, (C, H, W).

    A copy of the network runs on the device `meta`, which takes neither memory nor arithmetic; `COUNTED` says what
    counts.

    Raises:
        ShapeError: the forward pass fails, or needs values.
    """
    twin = without_values(model)
    weights = [*twin.parameters(), *twin.buffers()]
    floating = [tensor.dtype for tensor in weights if tensor.is_floating_point()]
    x = torch.empty((batch, *input_shape), dtype=next(iter(floating), None), device="meta")
    # SGD with momentum keeps one buffer of the same size for each trainable parameter
    momentum = [torch.empty_like(parameter) for parameter in twin.parameters() if parameter.requires_grad]
    training, missing = None, ""
    with torch.device("meta"):
        try:
            inference = peak_bytes(partial(infer, twin, x), held=[*weights, x])
        except Exception as error:  # a network may raise anything
            reason = (
                f"the network fails on {batch} images of {tuple(input_shape)} on the `meta` device: {first_line(error)}"
            )
            raise ShapeError(f"Memory cannot be estimated: {reason}") from error
        try:
            training = peak_bytes(partial(differentiate, twin, x), held=[*weights, *momentum, x])
        except Exception as error:  # a network may raise anything
            missing = f"the training pass fails: {first_line(error)}"
    return Memory(
        batch=batch,
        weight_bytes=Live(weights).bytes,
        inference_bytes=inference,
        training_bytes=training,
        missing=missing,
        sample=sample_name(tuple(input_shape)),
    )


def peak_bytes(step: Callable[[], object], *, held: Iterable[Tensor]) -> int:
    """Return the most bytes of tensors that live at once while `step` runs, those of `held` among them."""
    live = Live(held)
    with live:
        step()
    return live.peak_bytes


def infer(model: nn.Module, x: Tensor) -> None:
    """Pass a batch through the network in evaluation mode, without gradients."""
    model.eval()
    with torch.no_grad():
        model(x)


def differentiate(model: nn.Module, x: Tensor) -> None:
    """Pass a batch forward and backward through the network in training mode; gradients stay on the parameters."""
    model.train()
    outputs = [tensor for tensor in tensors_in(model(x)) if tensor.requires_grad]
    torch.stack([output.sum() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
