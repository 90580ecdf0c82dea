"""Data-parallel training: several processes, started by `torchrun`, train one network on the same steps.

Each process runs its share of a batch through the network; then all of them exchange their outputs, compute the loss of
the whole batch, go back through their own share, and add up their gradients. The sum is the gradient that one process
would have, whatever the loss divides by (class weights, mixed labels, a batch that does not divide evenly), which the
mean that DistributedDataParallel takes is not. Accumulated steps, frozen and unused parameters, auxiliary heads and
compiled networks need no care either. The price: nothing is sent while the backward pass still runs.

Alone, every function here returns what it was given.

Images are (N, C, H, W), indices (N,) int64.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from fovea.data.dataset import Images, Rows
from fovea.errors import TrainingError, UsageError
from fovea.training.losses import Outputs

LONGEST_WAIT = timedelta(days=1)
"""The others wait while the first decodes a large data set; whom a dead process leaves waiting, `torchrun` ends."""


def rank() -> int:
    """Return the number of this process among all, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes train together; 1 outside of `joined`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextmanager
def joined() -> Iterator[None]:
    """Make a group of the processes that `torchrun` started, by the variables it sets, while the body runs.

    Tensors of the CPU travel by Gloo, those of GPUs by NCCL.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    import torch._dynamo  # an optimiser would, and keep the threads of the group for ever; they may crash the exit

    with _all_there():
        nccl = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """Return `device`; for GPUs the one of this process, whose number is that of the process on its machine.

    Raises:
        UsageError: this machine has fewer GPUs than processes, or a device that processes cannot share.
    """
    if world_size() == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UsageError(f"`--device {device.type}` serves one process; use --device cpu, or train without torchrun.")
    here, there = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if here > there:
        raise UsageError(f"`--nproc-per-node` (={here}) needs as many GPUs; this machine has {there}.")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def agreed(value: Any) -> Any:
    """Return, in every process, the `value` of the first one; anything that can be pickled."""
    if world_size() == 1:
        return value
    values = [value]
    with _all_there():
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def greatest(*values: float) -> tuple[float, ...]:
    """Return each value's maximum over all processes, which go on from here together."""
    if world_size() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64)
    with _all_there():
        dist.all_reduce(shared, dist.ReduceOp.MAX)
    return tuple(shared.tolist())


def own_rows(count: int) -> NDArray[np.int64]:
    """Return which of `count` rows are this process's share: as many in each, the last ones filled up from the start.

    Of 5 rows among 2 processes these are 0, 1, 2 and 3, 4, 0; `gathered` drops the repeated one.
    """
    size = -(-count // world_size())
    return np.arange(rank() * size, (rank() + 1) * size) % count


def own_share(images: Tensor) -> Tensor:
    """Return this process's images (n, C, H, W) of all (N, C, H, W)."""
    return images if world_size() == 1 else images[torch.from_numpy(own_rows(len(images)))]


def own_part(images: Images) -> Images:
    """Return this process's images of a decoded split, still to be read."""
    return images if world_size() == 1 else Rows(images, own_rows(len(images)))


def gathered(outputs: Outputs, count: int) -> Outputs:
    """Return the (count, K) outputs of all processes, in float32; the gradient goes back to the own share alone."""
    if world_size() == 1:
        return outputs
    if isinstance(outputs, tuple):
        return tuple(_gathered(output, count) for output in outputs)
    return _gathered(outputs, count)


def _gathered(output: Tensor, count: int) -> Tensor:
    own = output.float().contiguous()
    shares = [torch.empty_like(own) for _ in range(world_size())]
    with _all_there():
        dist.all_gather(shares, own.detach())
    shares[rank()] = own
    return torch.cat(shares)[:count]


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its sum over all processes; None where no process has one."""
    if world_size() == 1:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    used = gradients[0].new_tensor([p.grad is not None for p in parameters])
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), used])
    with _all_there():
        dist.all_reduce(flat)
    *sums, users = torch.split(flat, [*(p.numel() for p in parameters), len(parameters)])
    for parameter, gradient, total, some in zip(parameters, gradients, sums, users.tolist(), strict=True):
        parameter.grad = gradient.copy_(total.view_as(gradient)) if some else None


def spread_buffers(model: nn.Module) -> None:
    """Give every process the buffers of the first one: the running statistics that its share of the batches made."""
    if world_size() == 1:
        return
    with _all_there():
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


@contextmanager
def _all_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            "Another process of this training has ended or cannot be reached. Continue the run with --resume."
        ) from error
