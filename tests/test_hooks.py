"""Hooks see what flows and are gone afterwards, whatever happens."""

import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.hooks import capture, changed, uncompiled, watch


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


def hooks_of(model):
    return [hook for module in model.modules() for hook in module._forward_hooks.values()]


def test_outputs_and_inputs_of_named_layers(net):
    x = torch.randn(4, 2)
    with capture(net, ["0", "1"]) as outputs, capture(net, ["1", "2"], inputs=True) as inputs:
        result = net(x)
    assert torch.equal(outputs["0"], net[0](x)) and torch.equal(outputs["1"], net[1](net[0](x)))
    assert inputs["1"] is outputs["0"] and inputs["2"] is outputs["1"]
    assert torch.equal(result, net(x)) and outputs["0"].requires_grad


def test_of_a_layer_that_runs_twice_the_last_stands():
    relu = nn.ReLU()
    net = nn.Sequential(relu, nn.Linear(2, 2), relu)
    with capture(net, ["0"]) as outputs:
        assert net(torch.randn(3, 2)) is outputs["0"]


def test_no_hook_remains(net):
    with capture(net, ["0", "2"]):
        assert len(hooks_of(net)) == 2
    assert hooks_of(net) == []
    with pytest.raises(RuntimeError), capture(net, ["0"]):
        net(torch.randn(4, 7))
    assert hooks_of(net) == []


def test_an_unknown_layer_is_an_error_and_leaves_no_hook(net):
    with pytest.raises(UsageError, match="Unknown layer `3`"), capture(net, ["0", "3"]):
        pass
    assert hooks_of(net) == []


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 1)

    def forward(self, x, *, scale):
        return {"halves": (self.first(x), scale), "name": "x"}


def test_watching_sees_every_call_from_outside_in_and_the_tensors_in_what_holds_them():
    x, scale, events = torch.randn(3, 2), torch.ones(1), []
    net = Nested()
    with watch(
        net,
        enter=lambda path, module, inputs: events.append(("enter", path, type(module), inputs)),
        leave=lambda path, module, outputs: events.append(("leave", path, type(module), outputs)),
    ):
        half = net(x, scale=scale)["halves"][0]
    assert [event[:3] for event in events] == [
        ("enter", "", Nested),
        ("enter", "first", nn.Linear),
        ("leave", "first", nn.Linear),
        ("leave", "", Nested),
    ]
    entered, left = events[0][3], events[-1][3]
    assert entered[0] is x and entered[1] is scale and left[0] is half and left[1] is scale


def test_watching_leaves_no_hook_whatever_happens(net):
    def fail(path, module, tensors):
        raise KeyError(path)

    with pytest.raises(KeyError), watch(net, enter=fail, leave=fail):
        net(torch.randn(4, 2))
    assert hooks_of(net) == []
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize(
    "compile_", [lambda net: torch.compile(net, backend="eager"), lambda net: net.compile(backend="eager")]
)
def test_compiled_networks_are_seen_through_and_stay_compiled(net, compile_):
    x = torch.randn(4, 2)
    compiled = compile_(net) or net
    expected, seen = compiled(x), []
    before = torch._dynamo.eval_frame._stance
    prefix = "" if compiled is net else "_orig_mod."
    with capture(compiled, [f"{prefix}1"]) as outputs:
        assert torch.equal(compiled(x), expected)
    assert torch.equal(outputs[f"{prefix}1"], net[1](net[0](x)))
    with changed(compiled, f"{prefix}2", torch.zeros_like):
        assert not compiled(x).any()
    with watch(compiled, enter=lambda path, *_: seen.append(path), leave=lambda *_: None):
        compiled(x)
    assert f"{prefix}1" in seen
    with pytest.raises(KeyboardInterrupt), uncompiled():
        raise KeyboardInterrupt
    assert torch._dynamo.eval_frame._stance == before and hooks_of(net) == []
