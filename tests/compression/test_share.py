"""Shared weights: k-means by hand and by its law, gradients of centroids, zeros that stay, and files that are small."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.card import Card
from fovea.compression.coding.tensors import decode, encode
from fovea.compression.share import Centroids, Share, clustered, scattered, shareable, shared
from fovea.compression.step import Work
from fovea.errors import UsageError
from fovea.model.bundle import load, save_bundle
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes


def chosen(centroids, indices):
    return torch.cat([centroids, torch.zeros(1)])[indices]


def sparse(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(*shape, generator=generator)
    return torch.where(torch.rand(*shape, generator=generator) < 0.3, weight, 0.0)


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 4, 5, bias=False)
    )


def work(refit=None):
    return Work(input_shape=(2, 4, 4), refit=refit, batches=lambda count: iter(()), score=lambda model: 0.0)


def test_clusters_by_hand():
    # centroids begin at 0, 5, 10; the middle one is nearest to 4 and 6 only
    centroids, indices = clustered(torch.tensor([[1.0, 10.0, 4.0], [2.0, 0.0, 6.0]]), 3)
    assert centroids.tolist() == [1.5, 5.0, 10.0]
    assert indices.tolist() == [[0, 2, 1], [0, 3, 1]]


@pytest.mark.parametrize("values", [2, 7, 32])
def test_each_weight_has_its_nearest_centroid_and_each_centroid_is_the_mean_of_its_weights(values):
    weight = sparse(40, 30)
    centroids, indices = clustered(weight, values)
    kept = weight[weight != 0]
    nearest = (kept[:, None] - centroids).abs().argmin(1)
    assert torch.equal(indices[weight != 0], nearest)
    for index, centroid in enumerate(centroids):
        assert centroid == pytest.approx(float(weight[indices == index].double().mean()), abs=1e-6)


def test_the_error_falls_from_that_of_an_even_grid():
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    grid = torch.linspace(float(weight.min()), float(weight.max()), 16)
    rounded = grid[(weight[:, None] - grid).abs().argmin(1)]
    found = chosen(*clustered(weight, 16))
    assert (found - weight).square().mean() < 0.8 * (rounded - weight).square().mean()


def test_a_weight_far_from_the_others_leaves_no_centroid_unused():
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    weight[7] = 300.0
    found = clustered(weight, 16)
    assert len(found[0]) == 16 and torch.bincount(found[1]).min() > 0
    assert (chosen(*found) - weight).square().mean() < 0.05 * weight[weight < 100].square().mean()


def test_fewer_weights_than_centroids_stay_as_they_are():
    weight = torch.tensor([0.5, 0.0, -3.0, 0.5, 2.0])
    centroids, indices = clustered(weight, 256)
    assert torch.equal(chosen(centroids, indices), weight) and len(centroids) == 3


def test_zeros_stay_zero_and_lose_their_sign():
    centroids, indices = clustered(torch.tensor([-0.0, 1.0, 0.0, -1.0]), 2)
    found = chosen(centroids, indices)
    assert found.tolist() == [0.0, 1.0, 0.0, -1.0] and not found.signbit()[0]


def test_the_gradient_of_a_centroid_is_the_sum_of_those_of_its_weights():
    weight = sparse(6, 5).double()
    sharing = Centroids(weight, 4)
    centroids = sharing.right_inverse(weight).requires_grad_()
    downstream = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (sharing(centroids) * downstream).sum().backward()
    for index, gradient in enumerate(centroids.grad):
        assert gradient == pytest.approx(float(downstream[sharing.indices == index].sum()))
    assert torch.autograd.gradcheck(sharing, (centroids.detach().requires_grad_(),))


def test_only_centroids_are_trained_and_plain_weights_are_left():
    model = net()
    names = [name for name, _ in model.named_parameters()]
    with shared(model, {"0": 4, "4": 8}):
        sizes = {name: tuple(p.shape) for name, p in model.named_parameters() if "original" in name}
        assert sizes == {"0.parametrizations.weight.original": (4,), "4.parametrizations.weight.original": (8,)}
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(3, 2, 4, 4)).square().sum().backward()
        optimiser.step()
    assert [name for name, _ in model.named_parameters()] == names
    assert [len(model[index].weight.unique()) for index in (0, 4)] == [4, 8]


def test_plain_weights_are_left_where_training_fails():
    model = net()
    with pytest.raises(RuntimeError, match="stopped"), shared(model, {"0": 4}):
        raise RuntimeError("stopped")
    assert "0.weight" in dict(model.named_parameters())


def test_tied_and_empty_layers_are_left_alone():
    model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3), "c": nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    assert [name for name, _ in shareable(model)] == ["c"]
    nn.init.zeros_(model["c"].weight)
    assert not list(shareable(model))


def test_the_step_says_what_it_left_and_trains_as_long_as_it_is_told():
    seen = []
    refit = SimpleNamespace(for_values=lambda: lambda model, **given: seen.append(given))
    done = Share(bits=2, convolution_bits=3, epochs=1.5)(net(), work(refit))
    assert [len(done.model[index].weight.unique()) for index in (0, 4)] == [8, 4]
    assert seen == [{"epochs": 1.5, "lr": None, "teacher": None}] and done.changes == ()
    assert done.notes == ["2 layers have at most 8 distinct values each, including zero"]


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(UsageError, match="`share` found no convolution or dense layer"):
        Share(epochs=0)(nn.Sequential(nn.ReLU()), work())
    for bits in (0, 9):
        with pytest.raises(UsageError, match=rf"`bits` \(={bits}\) must be from 1 to 8"):
            Share(bits=bits)


@pytest.mark.parametrize("name", ["cifar_resnet20", "shufflenet_v2_05", "mobilenet_v2_035", "lenet5_1998", "fcn_1d"])
def test_networks_of_every_form_are_shared_and_come_back_from_a_small_file(name, tmp_path):
    torch.manual_seed(0)
    model = registry.build(name)
    done = Share(bits=4, epochs=0)(model, work())
    tensors = {key: tensor.contiguous() for key, tensor in done.model.state_dict().items()}
    stored, coding = encode(tensors)
    back = decode(stored, coding)
    assert all(torch.equal(back[key], tensor) for key, tensor in tensors.items())
    assert sum(t.nbytes for t in stored.values()) < 0.25 * sum(t.nbytes for t in tensors.values())


def test_a_shared_network_answers_from_its_file_as_before(tmp_path):
    torch.manual_seed(0)
    model = Share(bits=3, epochs=0)(registry.build("mlp", classes=3, c_in=3, size=4, widths=[40]), work()).model
    preprocess = Preprocess(size=(4, 4), channels=3, mean=(0.5,) * 3, std=(0.2,) * 3)
    arguments = registry.arguments_of("mlp", classes=3, c_in=3, size=4, widths=[40])
    card = Card(architecture="mlp", arguments=arguments, target=Classes(names=("a", "b", "c")), preprocess=preprocess)
    save_bundle(tmp_path / "m.safetensors", model, card, coded=True)
    images = torch.randn(5, 3, 4, 4)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "m.safetensors").model(images), model(images))


@pytest.mark.parametrize("values", [2, 4, 32, 256])
def test_weights_of_one_scale_are_not_scattered(values):
    assert not scattered(torch.randn(30, 40, generator=torch.Generator().manual_seed(0)), values)


def test_a_layer_whose_channels_lie_on_scales_too_far_apart_keeps_its_own_values():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 40))
    with torch.no_grad():
        model[2].weight[:, :20] *= 1000  # as a batch norm leaves channels that hardly vary
    before = model[2].weight.detach().clone()
    assert scattered(before, 32) and scattered(before.t(), 32)
    done = Share(bits=5, epochs=0)(model, work())
    assert torch.equal(done.model[2].weight, before)
    assert len(torch.unique(done.model[0].weight)) <= 33
    assert done.notes[0].startswith("1 layers") and done.notes[1].startswith("`2` keeps its own values")
