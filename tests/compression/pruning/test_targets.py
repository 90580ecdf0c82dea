import pytest
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.compression.pruning.clock import FEWEST, EagerClock, Form, least_time
from fovea.compression.pruning.targets import MAC_PJ, MEMORY_PJ, Costs, layers_at
from fovea.errors import UsageError


def test_layers_are_found_with_what_they_cost():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10))
    conv, dense = layers_at(model, (3, 8, 8)).values()
    assert conv.form == Form(3, 8, 1, (3, 3), (2, 2), (1, 1), (1, 1), (8, 8))
    assert (conv.inputs, conv.outputs, conv.parameters, conv.macs) == (64, 16, 216, 216 * 16)
    assert (dense.form, dense.macs) == (Form(128, 10), 1280)


@pytest.mark.parametrize("name", ["cifar_resnet20", "mobilenet_v2", "shufflenet_v2_05", "resnext50_32x4d"])
def test_the_layers_add_up_to_the_network(name):
    model, shape = registry.build(name), registry.entry(name).input
    assert sum(layer.macs for layer in layers_at(model, shape).values()) == registry.entry(name).macs


def test_a_layer_that_runs_twice_costs_twice():
    shared = nn.Conv2d(4, 4, 1)
    (layer,) = layers_at(nn.Sequential(shared, shared), (4, 2, 2)).values()
    assert (layer.calls, layer.macs) == (2, 2 * 16 * 4)


def test_convolutions_that_keep_the_size_by_name_have_a_padding():
    (layer,) = layers_at(nn.Sequential(nn.Conv2d(2, 2, 5, padding="same")), (2, 8, 8)).values()
    assert layer.form.padding == (2, 2)


def test_a_transposed_convolution_costs_what_its_inputs_spread():
    (layer,) = layers_at(nn.Sequential(nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)), (4, 5, 5)).values()
    assert (layer.inputs, layer.outputs, layer.parameters, layer.macs) == (25, 100, 4 * 3 * 4, 25 * 4 * 3 * 4)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_form_gives_the_layer_it_describes(transposed):
    form = Form(4, 8, 2, (3, 3), (2, 2), (1, 1), (1, 1), (6, 6), transposed)
    (layer,) = layers_at(nn.Sequential(form.layer()), form.input_shape).values()
    assert layer.form == form


def test_energy_is_that_of_products_and_of_words_that_move():
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    # 6 products; 6 weights are read, 3 inputs and 2 outputs written and read
    assert Costs(target="energy").network(model, (3,)) == pytest.approx(6 * MAC_PJ + (6 + 2 * 5) * MEMORY_PJ)


@pytest.mark.parametrize(("target", "expected"), [("macs", 36 * 4), ("params", 42), ("bytes", 4 * (42 + 4))])
def test_a_network_costs_what_is_in_it(target, expected):
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2))
    assert Costs(target=target).network(model, (2, 2, 2)) == expected


def test_a_larger_layer_takes_longer():
    clock = EagerClock(batch=4, seconds=0.02)
    small = clock.layer(Form(8, 8, 1, (3, 3), (1, 1), (1, 1), (1, 1), (8, 8)))
    large = clock.layer(Form(64, 64, 1, (3, 3), (1, 1), (1, 1), (1, 1), (32, 32)))
    assert large > small > 0


def test_a_form_is_timed_once():
    clock = EagerClock(batch=1, seconds=0.0)
    assert clock.layer(Form(4, 4)) == clock.layer(Form(4, 4))


@pytest.mark.parametrize(
    ("target", "reason"), [("flops", "Unknown target `flops`"), ("latency", "The target `latency` needs a `clock`")]
)
def test_what_cannot_be_counted_says_why(target, reason):
    with pytest.raises(UsageError, match=reason):
        Costs(target=target)


def test_layers_on_large_maps_are_timed_with_fewer_inputs():
    sizes = [(), (32, 32), (128, 128), (256, 256), (512, 512)]
    assert [Form(c_in=1, c_out=1, sizes=size).timed_at(16) for size in sizes] == [16, 16, 4, 1, 1]


def test_of_long_passes_two_are_enough():
    calls = []

    def slow():
        calls.append(sum(range(300_000)))

    least_time(slow, seconds=1e-5)
    assert len(calls) == 1 + FEWEST
