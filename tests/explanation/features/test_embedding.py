"""Embeddings, neighbours and maps of a data set, and the influence of training images, against their definitions."""

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.explanation.features.embedding import embed, last_dense, nearest, planar
from fovea.explanation.features.influence import Checkpoint, Known, errors_of, known, most_influential, tracin


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def class_errors(outputs, labels):
    return errors_of(outputs.detach(), labels, nn.functional.cross_entropy)


def small():
    torch.manual_seed(0)
    body = (nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(4, 3))


def test_features_are_what_the_last_dense_layer_weighs():
    model, x = small(), noise(5, 1, 8, 8, dtype=torch.float32)
    found = embed(model, x.split(2))
    assert found.layer == "4" and model.training
    torch.testing.assert_close(found.features, model[:4](x).detach())
    torch.testing.assert_close(found.outputs, model(x).detach())
    torch.testing.assert_close(embed(model, [x], layer="0").features, model[0](x).mean((2, 3)).detach())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "lenet5", "cifar_resnet20"])
def test_the_last_dense_layer_of_networks(name):
    model = registry.build(name, classes=3).eval()
    C, H, _ = registry.entry(name).input
    x = torch.rand(1, C, min(H, 64), min(H, 64)) if name != "lenet5" else torch.rand(1, C, H, H)
    layer = last_dense(model, x)
    assert isinstance(model.get_submodule(layer), nn.Linear)
    assert embed(model, [x]).features.shape == (1, model.get_submodule(layer).in_features)


def test_a_network_without_a_dense_end_is_refused():
    with pytest.raises(UsageError, match="ends in a dense layer; the last layer here is `0`"):
        embed(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            [torch.rand(1, 1, 8, 8)],
        )
    with pytest.raises(UsageError, match="the last layer here is `1`"):
        last_dense(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Sigmoid()), torch.rand(1, 1, 2, 2))
    with pytest.raises(UsageError, match="at least one batch"):
        embed(small(), [])


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_duplicate_is_its_own_nearest_neighbour(metric):
    features = noise(50, 16)
    found = nearest(features, features[[7, 31]], count=3, metric=metric)
    assert found.rows[:, 0].tolist() == [7, 31] and (found.distances[:, 0] < 1e-7).all()
    assert (found.distances.diff(dim=1) >= 0).all()


def test_neighbours_by_hand():
    features = torch.tensor([[0.0, 1.0], [3.0, 4.0], [10.0, 0.0], [0.0, 0.0]])
    l2 = nearest(features, torch.tensor([[0.0, 0.0]]), count=3)
    assert l2.rows.tolist() == [[3, 0, 1]] and l2.distances.tolist() == [[0, 1, 5]]
    cosine = nearest(features, torch.tensor([[2.0, 0.0]]), count=4, metric="cosine")
    assert cosine.rows.tolist() == [[2, 1, 0, 3]]
    assert cosine.distances[0].tolist() == pytest.approx([0, 0.4, 1, 1])
    with pytest.raises(UsageError, match=r"`metric` \(=l1\)"):
        nearest(features, features, metric="l1")


def test_a_plane_is_found_again_by_its_principal_components():
    plane = noise(40, 2) * torch.tensor([3.0, 1.0])
    plane = plane - plane.mean(0)
    axes = torch.linalg.qr(noise(10, 10, seed=1)).Q[:2]
    flat = planar(plane @ axes)
    expected, found = torch.cdist(plane, plane), torch.cdist(flat.double(), flat.double())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_groups_stay_together_on_the_map_and_a_seed_gives_the_same():
    groups = torch.cat([noise(20, 8) * 0.1, noise(20, 8, seed=1) * 0.1 + 3])
    before = torch.get_rng_state()
    first, second = planar(groups, "tsne"), planar(groups, "tsne")
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), before)
    rows = nearest(first, first, count=5).rows
    assert (rows[:20] < 20).all() and (rows[20:] >= 20).all()


def test_maps_of_few_images_and_of_one_feature():
    assert planar(noise(4, 1), "tsne").shape == planar(noise(4, 1)).shape == (4, 2)
    assert planar(torch.ones(5, 3)).abs().max() == 0
    with pytest.raises(UsageError, match="at least 3 images, not 2"):
        planar(noise(2, 5))
    with pytest.raises(UsageError, match=r"`method` \(=umap\)"):
        planar(noise(5, 5), "umap")


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (nn.functional.cross_entropy, torch.tensor([0, 2, 1, 1, 0, 2])),
        (nn.functional.binary_cross_entropy_with_logits, (noise(6, 3, seed=1) > 0).double()),
        (nn.functional.mse_loss, noise(6, 3, seed=2)),
    ],
)
def test_errors_are_the_gradients_of_the_loss_of_each_row(loss, labels):
    outputs = noise(6, 3).requires_grad_()
    (expected,) = torch.autograd.grad(sum(loss(outputs[[row]], labels[[row]]) for row in range(6)), outputs)
    torch.testing.assert_close(errors_of(outputs.detach(), labels, loss), expected)


@pytest.mark.parametrize("bias", [True, False])
def test_tracin_is_the_product_of_the_gradients(bias):
    head = nn.Linear(5, 3, bias=bias).double()
    h, labels = noise(7, 5), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    gradients = []
    for row, label in zip(h, labels, strict=True):
        loss = nn.functional.cross_entropy(head(row[None]), label[None])
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*head.parameters()])]))
    product = torch.stack(gradients) @ torch.stack(gradients).T
    seen = Known(h, class_errors(head(h), labels))
    found = tracin([Checkpoint(seen, seen, 0.1), Checkpoint(seen, seen, 0.4)], bias=bias)
    torch.testing.assert_close(found, (0.5 * product).float())


def test_tracin_is_leave_one_out_on_a_linear_head_to_first_order():
    head = nn.Linear(5, 3).double()
    h, labels = noise(20, 5), torch.arange(20) % 3
    other, truth = noise(4, 5, seed=1), torch.tensor([0, 1, 2, 0])

    @torch.no_grad()
    def losses_after_a_step(left_out, lr):
        """The loss of the tests after one step on the sum over all training images but one."""
        kept = [row for row in range(20) if row != left_out]
        errors = class_errors(head(h[kept]), labels[kept])
        weight, bias = errors.T @ h[kept], errors.sum(0)
        outputs = other @ (head.weight - lr * weight).T + head.bias - lr * bias
        return nn.functional.cross_entropy(outputs, truth, reduction="none")

    def gap(lr):
        change = torch.stack([losses_after_a_step(row, lr) - losses_after_a_step(None, lr) for row in range(20)], 1)
        train = Known(h, class_errors(head(h), labels))
        test = Known(other, class_errors(head(other), truth))
        return float((tracin([Checkpoint(train, test, lr)]) / lr - change / lr).abs().max())

    assert gap(1e-5) < 1e-3
    assert gap(1e-3) / gap(1e-4) == pytest.approx(10, rel=0.2)  # what remains is of second order


def test_the_most_influential_images():
    found = most_influential(torch.tensor([[1.0, -2.0, 3.0, 0.0]]), count=2)
    assert found.helping.tolist() == [[2, 0]] and found.harming.tolist() == [[1, 3]]
    assert found.helped.tolist() == [[3, 1]] and found.harmed.tolist() == [[-2, 0]]


def test_an_image_in_the_training_data_helps_itself_most():
    model, x = small(), noise(9, 1, 8, 8, dtype=torch.float32)
    seen = known(embed(model, [x]), torch.arange(9) % 3)
    influence = tracin([Checkpoint(seen, seen, 1.0)])
    assert (influence.diagonal() > 0).all()
    with pytest.raises(ShapeError, match="2 labels for 9 images"):
        known(embed(model, [x]), torch.arange(2))
    with pytest.raises(UsageError, match="at least one checkpoint"):
        tracin([])
