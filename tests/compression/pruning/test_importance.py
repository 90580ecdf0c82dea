import pytest
import torch
from torch import nn

from fovea.compression.pruning.importance import Samples, channel_scores, magnitude, norm_scale, taylor
from fovea.compression.pruning.sensitivity import silenced
from fovea.errors import UsageError


def first_output(outputs, labels):
    """A loss that is linear in the outputs, so that first-order changes are exact."""
    return (outputs[:, 0] - 2 * outputs[:, 1]).mean()


@pytest.fixture
def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(3, 2)).eval()
    with torch.no_grad():
        for tensor in (model[1].weight, model[1].bias, model[1].running_mean, model[1].running_var):
            tensor.copy_(torch.rand(4) + 0.5)
    return model


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(8, 2, 6, 6, generator=generator), torch.zeros(8)) for _ in range(2)]
    return Samples(batches=tuple(batches), loss=first_output)


def loss_of(model, batch):
    with torch.no_grad():
        return first_output(model(batch[0]), batch[1])


def test_magnitude_is_the_sum_of_absolute_weights_by_the_mean_of_the_layer():
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 4.0], [3.0, 3.0]]))
    assert magnitude(nn.Sequential(layer), None)["0"].tolist() == [0.5, 1.0, 1.5]


def test_the_outputs_of_a_transposed_convolution_are_its_second_axis():
    layer = nn.ConvTranspose2d(4, 6, 2, groups=2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[3, 1] = 1.0  # the second group: outputs 3, 4, 5
    assert magnitude(nn.Sequential(layer), None)["0"].nonzero().flatten().tolist() == [4]


def test_scales_that_are_not_trained_are_left_out():
    frozen = nn.BatchNorm2d(2)
    frozen.weight.requires_grad_(False)
    trained = nn.BatchNorm2d(2)
    with torch.no_grad():
        trained.weight.copy_(torch.tensor([-3.0, 2.0]))
    scores = norm_scale(nn.Sequential(frozen, trained), None)
    assert {path: values.tolist() for path, values in scores.items()} == {"1": [3.0, 2.0]}


@pytest.mark.parametrize("path", ["1", "2"])
def test_to_first_order_is_what_the_loss_loses_where_the_loss_is_linear(net, samples, path):
    rows = taylor(net, samples)[path]
    for row, batch in zip(rows, samples.batches, strict=True):
        before = loss_of(net, batch)
        for channel, expected in enumerate(row):
            with silenced(net, {path: [[c] for c in range(len(row))]}, [channel]):
                assert before - loss_of(net, batch) == pytest.approx(expected.item(), abs=1e-5)


def test_the_network_is_left_as_it_was(net, samples):
    net.train()
    net[1].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    taylor(net, samples)
    assert net.training
    assert not net[1].weight.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_magnitudes_of_joined_layers_are_averaged():
    scores = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([5.0, 1.0])}
    outputs = {"a": [[0], [1]], "b": [[0], [1]], "unknown": [[0], [1]]}
    assert channel_scores(scores, outputs, kind="magnitude").tolist() == [3.0, 2.0]


def test_changes_of_the_loss_are_summed_before_they_are_squared():
    # two batches, two channels; what one layer gains the other loses
    scores = {"a": torch.tensor([[1.0, 1.0], [2.0, 1.0]]), "b": torch.tensor([[-1.0, 1.0], [0.0, 1.0]])}
    outputs = {"a": [[0], [1]], "b": [[0], [1]]}
    assert channel_scores(scores, outputs, kind="taylor").tolist() == [2.0, 4.0]


def test_a_channel_that_is_several_outputs_counts_with_all():
    scores = {"dense": torch.tensor([1.0, 2.0, 4.0, 8.0])}
    found = channel_scores(scores, {"dense": [[0, 1], [2, 3]]}, kind="magnitude")
    assert found.tolist() == [3.0, 12.0]


@pytest.mark.parametrize(
    ("kind", "reason"), [("norm", "no normalisation with a trained scale"), ("magnitude", "no weights of their own")]
)
def test_what_cannot_be_judged_says_why(kind, reason):
    with pytest.raises(UsageError, match=reason):
        channel_scores({}, {"a": [[0]]}, kind=kind)


def test_taylor_needs_samples(net):
    with pytest.raises(UsageError, match="needs data"):
        taylor(net, None)
