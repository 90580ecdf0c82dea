import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry

NAME = "deeplabv3_resnet50"


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build(NAME, **arguments)


def test_the_last_stages_keep_the_size_and_see_holes():
    model = on_meta()
    rates = {
        name: [m.dilation[0] for m in getattr(model, name).modules() if getattr(m, "kernel_size", 0) == (3, 3)]
        for name in model.body[1:]
    }
    assert rates == {"stage1": [1] * 3, "stage2": [1] * 4, "stage3": [1, *[2] * 5], "stage4": [2, 4, 4]}
    _, finer, last = model.maps(torch.empty(1, 3, 64, 96, device="meta"))
    assert (finer.shape, last.shape) == ((1, 1024, 8, 12), (1, 2048, 8, 12))


def test_the_auxiliary_head_answers_in_training_only():
    model = on_meta(aux=True)
    assert sum(p.numel() for p in model.parameters()) == 42_004_074
    x = torch.empty(2, 3, 33, 40, device="meta")
    assert [y.shape for y in model.train()(x)] == [(2, 21, 33, 40)] * 2
    assert model.eval()(x).shape == (2, 21, 33, 40)
    assert on_meta().train()(x).shape == (2, 21, 33, 40)


@pytest.mark.parametrize("size", [1, 9])
def test_images_of_any_size_are_answered(size):
    assert on_meta().eval()(torch.empty(1, 3, size, size, device="meta")).shape == (1, 21, size, size)
