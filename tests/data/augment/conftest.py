"""What the tests of augmentations compare with."""

import warnings

import pytest


@pytest.fixture(scope="session")
def transforms(torchvision):
    """Return torchvision's transforms of tensors, version 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchvision.transforms import v2
    return v2
