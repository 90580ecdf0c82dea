import math

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea.errors import ShapeError
from fovea.layers import Unfilled
from fovea.measurement.memory import Live, differentiate, estimate_memory, infer, one_input_bytes, peak_bytes
from fovea.measurement.network import measure_network
from fovea.registry import build, entry, names

SCALARS = 64
"""Bytes enough for the loss and its gradient."""


def trained(model, x):
    """Return a step of SGD with momentum, and what lives before it, from the second step on."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)

    def step():
        differentiate(model, x)
        optimiser.step()
        optimiser.zero_grad()

    step()
    momentum = [state["momentum_buffer"] for state in optimiser.state.values()]
    return step, [*model.parameters(), *model.buffers(), *momentum, x]


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        x = self.body(x).relu()
        x = torch.cat([x, torch.zeros(len(x), 8, *x.shape[2:])], 1)[:, :8]
        return {"a": self.head(x.mean((2, 3))), "b": (x.argmax(1), x.amax((2, 3)))}


def test_dense_layer_lives_with_its_input_and_output():
    found = estimate_memory(nn.Linear(1000, 2000, bias=False), (1000,), batch=4)
    weight, x, y = 4 * 1000 * 2000, 4 * 4 * 1000, 4 * 4 * 2000
    assert found.weight_bytes == weight
    assert found.inference_bytes == weight + x + y
    # the weight, its momentum and its gradient
    assert 0 <= found.training_bytes - (3 * weight + x + y) <= SCALARS


def test_in_a_chain_inference_holds_two_neighbours_and_training_all():
    model = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(5)))
    weights, map_bytes = 5 * 4 * 8 * 8 * 9, 4 * 8 * 32 * 32
    found = estimate_memory(model, (8, 32, 32), batch=3)
    # the input, which the caller holds, and the input and output of one layer
    assert found.inference_bytes == weights + 3 * 3 * map_bytes
    # weights and momentum, the input and all outputs, the gradient of the last; then gradients of weights take over
    assert 0 <= found.training_bytes - (2 * weights + 3 * (6 + 1) * map_bytes) <= weights + SCALARS


def test_results_written_in_place_take_nothing():
    model = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.ReLU(inplace=True), nn.ReLU(inplace=True))
    assert estimate_memory(model, (8, 4, 4), batch=1).inference_bytes == 4 * (64 + 2 * 128)


def test_frozen_weights_have_neither_momentum_nor_gradient():
    model = nn.Sequential(nn.Linear(500, 500, bias=False), nn.Linear(500, 500, bias=False))
    model[0].requires_grad_(False)
    frozen = estimate_memory(model, (500,), batch=1)
    model[0].requires_grad_(True)
    assert estimate_memory(model, (500,), batch=1).training_bytes - frozen.training_bytes == 2 * 4 * 500 * 500


# LeNet's poolings of few channels take another way there
@pytest.mark.parametrize(("name", "c_in", "within"), [("lenet5", 1, 0.05), ("cifar_resnet20", 3, 0.01)])
def test_estimate_is_what_lives_on_the_processor(name, c_in, within):
    model, x = build(name, size=64), torch.randn(2, c_in, 64, 64)
    found = estimate_memory(model, x.shape[1:], batch=2)
    held = [*model.parameters(), *model.buffers(), x]
    assert found.inference_bytes == pytest.approx(peak_bytes(lambda: infer(model, x), held=held), rel=within)
    step, held = trained(model, x)
    assert found.training_bytes == pytest.approx(peak_bytes(step, held=held), rel=within)


def test_activations_grow_with_the_batch():
    model = build("cifar_resnet20")
    one, four = (estimate_memory(model, (3, 32, 32), batch=batch) for batch in (1, 4))
    activations = [found.inference_bytes - found.weight_bytes for found in (one, four)]
    assert activations[1] == pytest.approx(4 * activations[0], rel=0.001)
    kept = measure_network(model, (3, 32, 32)).total.kept_bytes
    assert four.training_bytes - one.training_bytes == pytest.approx(3 * kept, rel=0.1)


def test_any_outputs_and_tensors_made_on_the_way_are_followed():
    model, x = TwoHeads(), torch.randn(2, 3, 8, 8)
    found = estimate_memory(model, (3, 8, 8), batch=2)
    held = [*model.parameters(), x]
    assert found.inference_bytes == pytest.approx(peak_bytes(lambda: infer(model, x), held=held), rel=0.01)
    step, held = trained(model, x)
    assert found.training_bytes == pytest.approx(peak_bytes(step, held=held), rel=0.01) and not found.missing


def test_the_network_is_left_as_it_was():
    model = build("cifar_resnet20").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    estimate_memory(model, (3, 32, 32), batch=2)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_memory_counts_once_however_many_views_it_has_until_the_last_is_gone():
    x = torch.zeros(10)
    with Live([x]) as live:
        y = x + 1
        views = [y.view(2, 5), y[:5]]
        assert live.bytes == 80
        del y, views
        assert (live.bytes, live.peak_bytes) == (40, 80)


def test_a_network_that_needs_values_is_refused():
    class Needs(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ShapeError, match=r"Memory cannot be estimated: the network fails on 2 images of \(1, 4, 4\)"):
        estimate_memory(Needs(), (1, 4, 4), batch=2)


def test_a_training_that_cannot_be_followed_is_said():
    class OnlyForward(nn.Module):
        def forward(self, x):
            if self.training:
                raise RuntimeError("not today")
            return x + 1

    found = estimate_memory(OnlyForward(), (1, 4, 4), batch=2)
    assert found.training_bytes is None and "not today" in found.missing


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg16_bn", "cifar_resnet20", "mobilenet_v2", "googlenet"])
def test_no_image_tells_what_one_takes_to_a_factor_of_two(name):
    C, H, W = entry(name).input
    model = build(name, c_in=C)
    weights = [*model.parameters(), *model.buffers()]
    one = torch.zeros(1, C, H, W)
    lived = peak_bytes(lambda: infer(model, one), held=[*weights, one]) - Live(weights).bytes
    assert lived / 2 <= one_input_bytes(model, (C, H, W)) <= lived * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_no_image_passes_through_every_network(name):
    shape = entry(name).input
    with Unfilled():
        model = build(name, c_in=shape[0])
    assert one_input_bytes(model, shape) >= 4 * math.prod(shape)


def test_one_input_takes_nothing_and_fails_where_an_image_would():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 6 * 6, 2))
    assert one_input_bytes(model, (3, 8, 8)) == 4 * (3 * 64 + 8 * 36 + 2)
    with pytest.raises(RuntimeError):
        one_input_bytes(model, (3, 9, 9))
