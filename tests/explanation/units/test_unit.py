"""A unit written out is what the network computed, and its field is what its gradient reaches."""

import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.explanation.units.layers import Layers
from fovea.explanation.units.tape import Value, record
from fovea.explanation.units.unit import arithmetic, field


class Branches(nn.Module):
    """Every kind of operation that networks are made of: windows, norms, sums, joints, moves, dense layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, (3, 1), padding=(2, 0), dilation=(2, 1), groups=4, bias=False)
        self.group_norm = nn.GroupNorm(2, 4)
        self.reflected = nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect")
        self.up = nn.ConvTranspose2d(3, 4, 2, stride=2)
        self.head = nn.Linear(8 * 2 * 2, 5)

    def forward(self, x):
        a = nn.functional.relu(self.norm(self.conv(x)), inplace=True)
        b = a + torch.sigmoid(self.group_norm(self.depthwise(a)))
        c = nn.functional.max_pool2d(b, 3, stride=2, padding=1)
        d = self.up(self.reflected(c))
        e = torch.cat([d[:, :, : a.shape[2], : a.shape[3]], nn.functional.avg_pool2d(a, 3, 1, 1)], dim=1)
        e = (
            nn.functional.interpolate(e, scale_factor=0.5, mode="bilinear")
            .unflatten(1, (2, 4))
            .transpose(1, 2)
            .flatten(1, 2)
        )
        logits = self.head(nn.functional.adaptive_avg_pool2d(e, 2).flatten(1))
        return torch.softmax(logits * (1 + e.mean(dim=(1, 2, 3))[:, None]), dim=1)


@pytest.fixture(scope="module")
def tape():
    torch.manual_seed(0)
    model = Branches()
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2)
    return record(model, torch.randn(1, 2, 13, 12))


def some_units(tensor, count=6):
    generator = torch.Generator().manual_seed(tensor.numel())
    flat = torch.randint(tensor.numel(), (count,), generator=generator)
    return [tuple(int(i) for i in torch.unravel_index(at, tensor.shape)) for at in flat]


def test_every_unit_is_what_the_network_computed(tape):
    named = set()
    for call in tape.calls[1:]:
        scale = max(1.0, float(call.outputs[0].abs().max()))
        for unit in some_units(call.outputs[0]):
            made = arithmetic(tape, Value(call.number), unit)
            assert made.exact, call.name
            assert abs(made.value - made.network) <= 1e-5 * scale, (call.name, unit)
            assert made.network == float(call.outputs[0][unit])
        named.add(call.title)
    assert {"conv2d", "conv_transpose2d", "batch_norm", "group_norm", "max_pool2d", "linear", "softmax"} <= named


def test_terms_are_read_from_where_they_say(tape):
    for call in tape.calls[1:]:
        for unit in some_units(call.outputs[0], count=2):
            made = arithmetic(tape, Value(call.number), unit)
            for term in map(made.term, range(len(made.values))):
                if term.source is None:
                    assert term.value == 0 or not term.index
                else:
                    assert float(tape.tensor(term.source)[term.index]) == pytest.approx(term.value, abs=1e-6)


def test_the_pass_is_the_networks_own_and_leaves_it_as_it_was(tape):
    model = Branches().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = torch.randn(1, 2, 13, 12)
    found = record(model, x)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model.eval()(x), found.tensor(found.output))


def test_the_field_holds_all_that_the_gradient_reaches():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3, dilation=2)
    ).eval()
    x = torch.rand(1, 1, 16, 14, requires_grad=True)
    tape = record(model, x.detach())
    reached = torch.zeros(1, 1, 16, 14, dtype=torch.bool)
    for seed in range(8):  # a maximum passes its gradient to one of its window
        torch.manual_seed(seed)
        inputs = torch.rand(1, 1, 16, 14, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(inputs)[0, 1, 1, 1], inputs)
        reached |= gradient != 0
    found = field(tape, tape.output, ((0, 1), (1, 2), (1, 2), (1, 2)))[Value(0)]
    assert found == ((0, 1), (0, 1), (1, 13), (1, 13))
    inside = torch.zeros_like(reached)
    inside[tuple(slice(low, high) for low, high in found)] = True
    assert not (reached & ~inside).any()


def test_what_ran_in_place_is_kept_as_it_was(tape):
    norm = next(call for call in tape.calls if call.title == "batch_norm")
    relu = next(call for call in tape.calls if call.title == "relu")
    assert (norm.outputs[0] < 0).any()
    assert torch.equal(relu.outputs[0], norm.outputs[0].relu())


def test_a_place_that_is_not_there_and_several_samples_are_refused(tape):
    with pytest.raises(UsageError, match="is outside the shape"):
        arithmetic(tape, tape.output, (0, 5))
    with pytest.raises(UsageError, match="one sample"):
        record(Branches(), torch.randn(2, 2, 13, 12))


def test_layers_are_what_computes_and_terms_lead_back_to_them(tape):
    layers = Layers(tape)
    titles = [layer.title for layer in layers.all]
    assert titles[0] == "input" and "conv: conv2d" in titles
    assert not any(title.endswith(("view", "transpose", "cat", "slice")) for title in titles)
    head = next(layer for layer in layers.all if layer.title == "head: linear")
    written = layers.written(head, (3,))
    assert written["lines"][-1] == f"= {written['value']:.4g}"
    pooled = {layers.all[term["layer"]].title for term in written["terms"]}
    assert len(pooled) == 1 and "adaptive_avg_pool2d" in pooled.pop()
    assert layers.marks(head, (3,))[0][-2:] == ((0, 13), (0, 12))
