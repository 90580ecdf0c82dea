"""On which images the conventions of normalisation are tried."""

import pytest

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.runs.normalising import takes_side


@pytest.mark.parametrize(("name", "size", "taken"), [("cifar_resnet20", 32, True), ("lenet5", 32, False)])
def test_a_network_that_flattens_its_maps_takes_its_own_side_alone(name, size, taken):
    model = registry.build(name, c_in=3, size=size, classes=3)
    assert takes_side(model, size) and takes_side(model, 48) == taken
