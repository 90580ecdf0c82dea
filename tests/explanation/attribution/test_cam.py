"""Class activation maps against hand-computed ones, their formulas in float64, and each other."""

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.explanation.attribution.cam import cam, eigen_cam, grad_cam, grad_cam_plus_plus, hires_cam, layer_cam
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.objective import Objective

LAYERED = [method for method in METHODS.values() if method.layered]


class Pooled(nn.Module):
    """A 1x1 convolution to two channels, their mean, and two logits."""

    def __init__(self, *, inplace=False):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.relu = nn.ReLU(inplace=inplace)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.dense.weight.copy_(torch.tensor([[2.0, 1.0], [-1.0, 3.0]]))
            self.dense.bias.copy_(torch.tensor([0.5, -0.5]))

    def forward(self, x):
        return self.dense(self.pool(self.relu(self.conv(x))).flatten(1))


def answers(*indices, **against):
    return Objective(answers=torch.tensor(indices), **against)


X = torch.tensor([[1.0, -2.0], [3.0, 0.0]])[None, None]
POSITIVE, NEGATIVE = X[0, 0].relu(), (-X[0, 0]).relu()


def test_maps_of_a_network_by_hand():
    model = Pooled().eval()
    assert torch.equal(cam(model, X, answers(0)).values[0], 2 * POSITIVE + NEGATIVE)
    assert torch.equal(cam(model, X, answers(1)).values[0], -POSITIVE + 3 * NEGATIVE)
    assert torch.equal(grad_cam(model, X, answers(0)).values[0], (2 * POSITIVE + NEGATIVE) / 4)
    assert torch.equal(grad_cam(model, X, answers(1)).values[0], (3 * NEGATIVE - POSITIVE).relu() / 4)
    assert torch.equal(layer_cam(model, X, answers(1)).values[0], 3 * NEGATIVE / 4)
    assert torch.equal(hires_cam(model, X, answers(1)).values[0], (3 * NEGATIVE - POSITIVE) / 4)
    assert grad_cam(model, X, answers(0)).layer == "relu"


def test_the_difference_of_two_answers():
    model = Pooled().eval()
    found = cam(model, X, answers(0, against=torch.tensor([1]))).values[0]
    assert torch.equal(found, 3 * POSITIVE - 2 * NEGATIVE)


def test_grad_cam_is_cam_on_a_pooled_head():
    model = registry.build("resnet18", classes=5).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    objective = answers(1, 3)
    expected = cam(model, x, objective).values.relu() / 4  # 2 x 2 places
    torch.testing.assert_close(grad_cam(model, x, objective).values, expected, rtol=1e-4, atol=1e-6)


def test_what_hires_cam_adds_up_to_is_the_evidence_less_the_bias():
    model = Pooled().eval()
    value = model(X)[0, 0] - 0.5
    assert float(hires_cam(model, X, answers(0)).values.sum()) == pytest.approx(float(value.detach()))


def curved():
    """A network of curved evidence, whose layer `3` is as large as its input, in float64."""
    torch.manual_seed(0)
    body = (nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.Tanh())
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(8 * 100, 4), nn.Tanh()).double().eval()


CURVED_X = torch.randn(2, 3, 10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def equation_19(model, x, answers):
    """Return Grad-CAM++ of layer `3` as the paper has it, with the derivatives of exp(Y), over that factor."""
    maps = model[:4](x).detach().requires_grad_()
    y = model[4:](maps)[range(len(answers)), answers]
    (g,) = torch.autograd.grad(y.sum(), maps)
    scale = y.exp().view(-1, 1, 1, 1)
    second, third = scale * g**2, scale * g**3
    alpha = second / (2 * second + maps.sum((2, 3), keepdim=True) * third)
    weights = (alpha * (scale * g).relu()).sum((2, 3), keepdim=True)
    return ((weights * maps).sum(1).relu() / scale[:, 0]).detach()


def test_grad_cam_plus_plus_is_its_formula_in_float64():
    expected = equation_19(curved(), CURVED_X, [1, 2])
    found = grad_cam_plus_plus(curved(), CURVED_X, answers(1, 2), layer="3").values
    torch.testing.assert_close(found, expected.float(), rtol=1e-6, atol=1e-9)


def test_gradients_too_small_to_be_squared_count():
    model = Pooled().eval()
    with torch.no_grad():
        model.dense.weight.mul_(1e-30)
    found = grad_cam_plus_plus(model, X, answers(0)).values
    assert float(found.max()) > 0


def test_eigen_cam_is_the_first_principal_map():
    model = Pooled().eval()
    places = torch.stack([POSITIVE.flatten(), NEGATIVE.flatten()], 1)
    vector = torch.linalg.eigh(places.T @ places).eigenvectors[:, -1].abs()
    expected = (places @ vector).view(2, 2)
    torch.testing.assert_close(eigen_cam(model, X, answers(0)).values[0], expected)


def test_cam_is_refused_where_more_stands_behind_the_map():
    model = registry.build("lenet5", c_in=1).eval()
    with pytest.raises(UsageError, match="one dense layer; this one has more"):
        cam(model, torch.zeros(1, 1, 32, 32), answers(0))


@pytest.mark.parametrize("method", LAYERED, ids=lambda method: method.name)
@pytest.mark.parametrize("name", ["lenet5", "resnet18", "mobilenet_v2", "googlenet", "cifar_densenet40"])
def test_any_network_is_left_as_it_was(method, name):
    if name not in registry.names() or (method.name == "cam" and name == "lenet5"):
        pytest.skip("not for this network")
    if method.name == "scorecam" and name in ("resnet18", "mobilenet_v2", "googlenet"):
        pytest.skip("hundreds of channels, each a pass of the whole network")
    C, H, _ = registry.entry(name).input
    side = min(H, 64)
    arguments = {"size": side} if "size" in registry.arguments_of(name) else {}
    model = registry.build(name, c_in=C, classes=3, **arguments).eval()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    x = torch.rand(2, C, side, side, generator=torch.Generator().manual_seed(0))
    kept = x.clone()
    found = method(model, x, answers(0, 2), batch=64).values
    assert found.shape[0] == 2 and found.isfinite().all() and (method.signed or (found >= 0).all())
    assert torch.equal(x, kept) and not model.training
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_no_hook_remains_after_an_error():
    model = Pooled().eval()

    def broken(outputs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grad_cam(model, X, broken)
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.is_grad_enabled()


def test_a_layer_that_works_in_place_changes_nothing():
    plain, inplace = Pooled().eval(), Pooled(inplace=True).eval()
    for layer in ("conv", "relu"):
        expected = grad_cam(plain, X, answers(0), layer=layer).values
        assert torch.equal(grad_cam(inplace, X, answers(0), layer=layer).values, expected)


def test_an_unknown_layer_lists_its_neighbours():
    with pytest.raises(UsageError, match="Unknown layer `rellu`; did you mean `relu`"):
        grad_cam(Pooled().eval(), X, answers(0), layer="rellu")


def test_a_batch_is_explained_image_by_image():
    torch.manual_seed(0)
    model = registry.build("resnet18", classes=5).eval()
    x = torch.randn(3, 3, 64, 64)
    objective = answers(0, 1, 2)
    together = grad_cam(model, x, objective).values
    apart = torch.cat([grad_cam(model, x[i : i + 1], objective.of(i)).values for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-6)
