"""Which device a network runs on."""

import torch

from fovea.errors import UsageError


def device_named(name: str) -> torch.device:
    """Return the device called `name`, as `cpu` or `cuda:1`, or for `auto` the best one here: `cuda`, `mps` or `cpu`.

    Raises:
        UsageError: this machine does not have it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [kind for kind, found in there.items() if found]
    if name == "auto":
        return torch.device(here[0])
    if name.partition(":")[0] not in here:
        raise UsageError(f"`--device {name}` is not there; this machine has {', '.join(here)}.")
    return torch.device(name)
