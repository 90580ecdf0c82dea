"""`fovea measure --latency`: how long a forward pass takes here."""

from collections.abc import Sequence

import torch

from fovea.devices import device_named
from fovea.display import Display
from fovea.jobs.measure import Measurable, found
from fovea.layers import copied
from fovea.measurement.latency import Latency, time_forward
from fovea.measurement.network import measure_network


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
    measured = measure_network(network, shape, name=name)
    macs = None if "macs" in measured.missing else measured.total.macs
    progress = (display or Display(quiet=True)).counter("timing")
    return time_forward(copied(network).to(place), shape, macs=macs, progress=progress)
