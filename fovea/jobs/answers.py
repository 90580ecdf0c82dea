"""What `fovea measure` answers besides its table: peak memory, latency, and all of it as a page."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from fovea.devices import device_named
from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.measure import Measurable, found
from fovea.measurement.latency import Latency, time_forward
from fovea.measurement.memory import Memory, estimate_memory
from fovea.measurement.network import measure_network
from fovea.measurement.result import Measurement
from fovea.measurement.tables import Choice
from fovea.report.measurement import measurement_page
from fovea.report.page import write_page

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


def latency(
    model: Measurable,
    input_shape: Sequence[int] | None = None,
    *,
    device: str = "auto",
    display: Display | None = None,
) -> Latency:
    """Return how long a forward pass of one image takes on this machine; arguments and errors as those of `measure`."""
    place = device_named(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, name, shape = found(model, input_shape, weights=True)
    macs = measure_network(network, shape, name=name).total.macs
    progress = (display or Display(quiet=True)).counter("timing")
    return time_forward(copy.deepcopy(network).to(place), shape, macs=macs, progress=progress)


def write_measurement(
    measurement: Measurement, html: str | Path, *, choice: Choice | None = None, lines: Sequence[str] = ()
) -> Path:
    """Write a measurement as a page, with further `lines` below its table; return where it is.

    Raises:
        UsageError: a choice of rows that is not allowed.
        StorageError: the page cannot be written.
    """
    page = measurement_page(measurement, choice or Choice(), lines=lines)
    write_page(Path(html), page)
    return Path(html)
