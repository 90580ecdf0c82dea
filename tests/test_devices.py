"""Which device a network runs on."""

import torch

from fovea.devices import device_named


def test_the_best_device_is_the_default():
    assert device_named("auto").type in ("cpu", "cuda", "mps")
    assert device_named("cpu") == torch.device("cpu")
