import pytest
import torch
from torch import nn

from fovea.compression.pruning.importance import Samples
from fovea.compression.pruning.sensitivity import Curve, Judged, mean_loss, sensitivity, silenced, without_block


class Shifted(nn.Module):
    """A block whose branch adds so much."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def forward(self, x):
        return x + self.shift


def summed(outputs, labels):
    return (outputs.sum(1) - labels).square().mean()


@pytest.fixture
def net():
    """Four channels that hand on their input, weighed 1, 2, 3, 4."""
    model = nn.Sequential(nn.Linear(1, 4), Shifted(0.0), Shifted(0.5)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
        model[0].bias.zero_()
    return model


@pytest.fixture
def samples():
    # 10 x + 2 is what the network says of x
    x = torch.tensor([[0.0], [1.0]])
    return Samples(batches=((x[:1], torch.tensor([2.0])), (x[1:], torch.tensor([12.0]))), loss=summed)


OUTPUTS = {"0": [[0], [1], [2], [3]]}


def test_the_loss_without_channels_is_measured_least_important_first(net, samples):
    group = Judged(name="0", order=[0, 1, 2, 3], outputs=OUTPUTS)
    (curve,) = sensitivity(net, samples, [group]).curves
    # without the first k channels 1, 3, 6 of 10 x are missing, for one of two samples
    assert curve.points == ((4, 0.0), (3, 0.5), (2, 4.5), (1, 18.0))


def test_outputs_of_a_transposed_convolution_in_groups_say_nothing():
    layer = nn.ConvTranspose2d(4, 6, 2, groups=2)
    model = nn.Sequential(layer).eval()
    x = torch.randn(1, 4, 3, 3)
    was = model(x)
    with silenced(model, {"0": [[k] for k in range(6)]}, [1, 3]):
        now = model(x)
    assert not now[:, [1, 3]].any()
    assert torch.equal(now[:, [0, 2, 4, 5]], was[:, [0, 2, 4, 5]])
    assert torch.equal(model(x), was)


def test_blocks_are_measured_one_by_one(net, samples):
    found = sensitivity(net, samples, [], blocks=["1", "2"])
    assert found.blocks == (("1", 0.0), ("2", 4.0))
    assert (found.base, found.samples) == (0.0, 2)


def test_the_network_is_left_as_it_was(net, samples):
    before, blocks = net[0].weight.clone(), list(net)
    sensitivity(net, samples, [Judged(name="0", order=[3, 2, 1, 0], outputs=OUTPUTS)], blocks=["2"])
    assert torch.equal(net[0].weight, before)
    assert list(net) == blocks


def test_it_is_left_as_it_was_where_a_pass_fails(net):
    before = net[0].weight.clone()
    with pytest.raises(RuntimeError), silenced(net, OUTPUTS, [1]), without_block(net, "2"):
        net(torch.zeros(1, 7))
    assert torch.equal(net[0].weight, before)
    assert isinstance(net[2], Shifted)


def test_larger_batches_count_more(net):
    batches = ((torch.ones(3, 1), torch.full((3,), 12.0)), (torch.ones(1, 1), torch.tensor([8.0])))
    assert mean_loss(net, Samples(batches=batches, loss=summed)) == 4.0


def test_between_points_the_loss_is_on_a_line_and_never_falls():
    curve = Curve(name="a", channels=8, points=((8, 1.0), (4, 3.0), (2, 2.0), (1, 5.0)))
    assert [curve.at(kept) for kept in (8, 6, 4, 3, 2, 1)] == [1.0, 2.0, 3.0, 3.0, 3.0, 5.0]


def test_a_loss_without_bound_is_a_large_number(net, samples):
    broken = Samples(batches=samples.batches, loss=lambda outputs, labels: outputs.sum() / 0)
    (curve,) = sensitivity(net, broken, [Judged(name="0", order=[0, 1, 2, 3], outputs=OUTPUTS)]).curves
    assert all(loss == 1e6 for _, loss in curve.points[1:])
