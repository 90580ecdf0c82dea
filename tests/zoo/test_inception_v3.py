import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.inception_v3 import _figure_7


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build("inception_v3", **arguments)


def shapes(model, size):
    x, found = torch.empty(1, 3, size, size, device="meta"), {}
    for child, stage in model.named_children():
        if child.startswith("st"):
            for layer, module in stage.named_children():
                x = module(x)
                found[layer] = tuple(x.shape[1:3])
    return found


def test_maps_of_the_published_network():
    found = shapes(on_meta(), 299)
    assert [found[f"conv{i}"] for i in range(1, 6)] == [(32, 149), (32, 147), (64, 147), (80, 73), (192, 71)]
    assert (found["pool1"], found["pool2"]) == ((64, 73), (192, 35))
    assert [found[f"mixed5{c}"] for c in "bcd"] == [(256, 35), (288, 35), (288, 35)]
    assert [found[f"mixed6{c}"] for c in "abcde"] == [(768, 17)] * 5
    assert [found[f"mixed7{c}"] for c in "abc"] == [(1280, 8), (2048, 8), (2048, 8)]


def kernels(module):
    return [m.kernel_size for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_factorised_kernels():
    # Szegedy et al. 2015, Figures 6 and 7: n x n as 1 x n and n x 1, one after the other, then side by side
    model = on_meta()
    assert kernels(model.stage2.mixed6b.branch7) == [(1, 1), (1, 7), (7, 1)]
    assert kernels(model.stage2.mixed6b.branch7_double) == [(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)]
    assert kernels(model.stage3.mixed7b.branch3_double) == [(1, 1), (3, 3), (1, 3), (3, 1)]
    branch, x = _figure_7(8).eval().branch3, torch.randn(1, 8, 3, 3)
    reduced = branch.conv1(x)
    assert torch.equal(branch(x), torch.cat([branch.conv2.a(reduced), branch.conv2.b(reduced)], 1))


def test_the_auxiliary_head_reads_the_last_17_by_17_maps():
    # Szegedy et al. 2015, Figure 8
    model, x = on_meta(classes=7, aux=True).train(), torch.empty(2, 3, 299, 299, device="meta")
    assert [out.shape for out in model(x)] == [(2, 7), (2, 7)]
    assert model.aux1(torch.empty(2, 768, 17, 17, device="meta")).shape == (2, 7)
    assert model.eval()(x).shape == (2, 7)


@pytest.mark.parametrize(
    ("aux", "smallest", "layer"), [(False, 75, "stage3.mixed7a.branch3.conv2.conv"), (True, 299, "aux1.conv2.conv")]
)
def test_too_small_an_input_is_told_the_layer_and_the_smallest(aux, smallest, layer):
    model, x = on_meta(classes=2, size=smallest, aux=aux), torch.empty(2, 3, smallest, smallest, device="meta")
    assert model.eval()(x).shape == (2, 2)
    assert layer in dict(model.named_modules())
    with pytest.raises(ShapeError, match=rf"Layer `{layer}`.*must be at least {smallest}\."):
        on_meta(size=smallest - 1, aux=aux)
