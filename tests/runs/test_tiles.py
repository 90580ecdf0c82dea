"""What is settled of tiles before a training: the margin that a network leaves out, and what neighbours share."""

import pytest

from fovea import registry, tasks
from fovea.preprocess import Preprocess
from fovea.runs.preparation import _as_tiles
from fovea.zoo.unet import Form, _unet


def settled(model, size, kind, **given):
    frame = Preprocess(size=(size, size), channels=1, fit="tile", mean=(0.5,), std=(0.5,), **given)
    found = _as_tiles(frame, model, tasks.kind(kind)(names=("a", "b")))
    return found.margin, found.overlap


@pytest.mark.parametrize(("size", "margin"), [(572, 92), (220, 92)])
def test_valid_convolutions_leave_a_margin_and_their_answers_meet(size, margin):
    assert settled(_unet((2, 4, 8, 16, 32), 2, Form(1, 0.0, padding=0)), size, "masks") == (margin, 0)


def test_padded_networks_share_an_eighth_or_what_is_asked_for():
    model = registry.build("unet_padded", classes=2, c_in=1, width=2)

    assert settled(model, 256, "masks") == (0, 32)
    assert settled(model, 256, "masks", overlap=50) == (0, 50)


def test_neighbours_share_a_quarter_where_objects_are_looked_for():
    model = registry.build("centres", classes=2, c_in=1, backbone="cifar_resnet20")

    assert settled(model, 256, "boxes") == (0, 64)
