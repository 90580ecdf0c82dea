import pytest
import torch
from torch import nn

from fovea.compression.recording import recorded
from fovea.errors import UsageError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.again = nn.Conv2d(1, 2, 1), nn.Identity()
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(2, 1, 1))

    def forward(self, x):
        return self.head(self.again(self.conv(x) + 1))


def test_steps_and_calls_come_in_order_with_the_module_that_ran():
    recording = recorded(Net(), (1, 2, 2))
    assert [(step.name, step.path) for step in recording.steps] == [
        ("convolution", "conv"),
        ("add", ""),
        ("relu", "head.0"),
        ("convolution", "head.1"),
    ]
    spans = {call.path: (call.start, call.stop) for call in recording.calls}
    assert spans == {"": (0, 4), "conv": (0, 1), "again": (2, 2), "head": (2, 4), "head.0": (2, 3), "head.1": (3, 4)}


def test_tensors_are_known_by_identity_and_have_no_values():
    recording = recorded(Net(), (1, 2, 2))
    conv, add = recording.steps[:2]
    assert add.reads[0] is conv.made[0]
    assert recording.calls_of("conv")[0].outputs[0] is conv.made[0]
    assert recording.outputs[0] is recording.steps[-1].made[0]
    assert all(tensor.is_meta for step in recording.steps for tensor in step.reads + step.made)


@pytest.mark.parametrize("mode", [True, False])
def test_the_network_is_left_as_it_was(mode):
    model = Net().train(mode)
    model.conv.eval()
    recorded(model, (1, 2, 2))
    assert [module.training for module in (model, model.conv, model.head)] == [mode, False, mode]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not model.conv.weight.is_meta


def test_heads_of_training_are_asked_while_layers_evaluate():
    class Helped(nn.Sequential):
        def forward(self, x):
            return (x, self[0](x)) if self.training else x

    layer = nn.BatchNorm2d(1)
    assert recorded(Helped(layer), (1, 1, 1)).steps == []
    assert [call.path for call in recorded(Helped(layer), (1, 1, 1), heads=True).calls] == ["", "0"]
    assert layer.training


@pytest.mark.parametrize(
    ("model", "shape", "reason"),
    [
        (Net(), (2, 4, 4), "on the `meta` device in `conv`: "),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 1)), (1, 2, 2), "on the `meta` device in `1`: "),
    ],
)
def test_a_network_that_fails_is_refused_and_has_no_hook_left(model, shape, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        recorded(model, shape)
    assert len(str(caught.value).splitlines()) == 1
    assert not any(module._forward_hooks for module in model.modules())


def test_constants_of_the_code_lose_their_values_too():
    class Constant(nn.Module):
        def forward(self, x):
            return x + torch.ones(3) + torch.tensor([1.0, 2, 3], device="cpu")

    assert recorded(Constant(), (1, 2, 3)).outputs[0].is_meta
