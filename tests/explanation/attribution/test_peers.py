"""Maps against those of other libraries, where they are installed: torchcam, pytorch-grad-cam, captum.

    pip install torchcam grad-cam captum

What a peer does otherwise than the paper is printed: `pytest -rP` shows it.
"""

import importlib
import warnings

import numpy as np
import pytest
import torch
from small_networks import Dense, Residual, built, images
from torch import nn

from fovea.explanation.attribution.cam import cam, grad_cam, grad_cam_plus_plus, hires_cam, layer_cam
from fovea.explanation.attribution.gradients import gradient_x_input, saliency
from fovea.explanation.attribution.masking import ablation_cam
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.rectified import brought_back
from fovea.explanation.attribution.relevance import layer_wise_relevance
from tests.explanation.attribution.test_cam import CURVED_X, answers, curved, equation_19


def library(name):
    """Return a library; skip without it. What it warns of when it is imported is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name, reason=f"{name} is not installed")
        return importlib.import_module(name)


@pytest.fixture
def torchcam(torchvision):
    return library("torchcam.methods")


@pytest.fixture
def grad_cam_package(torchvision):
    return library("pytorch_grad_cam")


@pytest.fixture
def captum():
    return library("captum.attr")


def by_torchcam(kind, model, x, indices, *, layer="3", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with kind(model, target_layer=layer, **options) as peer:
            (found,) = peer(list(indices), model(x.clone().requires_grad_()), normalized=False)
    return found.detach()


def by_grad_cam_package(kind, model, x, indices, *, layer):
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(index) for index in indices]
    with kind(model, [layer]) as peer:
        peer(x, targets)
        seen = peer.activations_and_grads
        arrays = [one[0].detach().numpy() for one in (seen.activations, seen.gradients)]
        return torch.from_numpy(peer.get_cam_image(x, layer, targets, *arrays, eigen_smooth=False))


def over_its_largest(maps):
    return maps / maps.abs().amax()


def relative(found, expected):
    return float((found.double() - expected.double()).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("explain", "name"), [(grad_cam, "GradCAM"), (layer_cam, "LayerCAM")])
def test_torchcam_agrees(torchcam, explain, name):
    found = explain(curved(), CURVED_X, answers(1, 2), layer="3").values
    off = relative(found, by_torchcam(getattr(torchcam, name), curved(), CURVED_X, (1, 2)))
    print(f"torchcam's {name}: {off:.1e} of the largest value off")
    assert off < 4e-7


def test_torchcam_agrees_on_cam(torchcam):
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    model, x = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), *head).double().eval(), images()
    expected = by_torchcam(torchcam.CAM, model, x, (1, 2), layer="1", fc_layer="4")
    assert relative(cam(model, x, answers(1, 2)).values, expected) < 4e-7


@pytest.mark.parametrize(("explain", "name"), [(grad_cam, "GradCAM"), (layer_cam, "LayerCAM"), (hires_cam, "HiResCAM")])
def test_pytorch_grad_cam_agrees(grad_cam_package, explain, name):
    model = curved()
    found = explain(curved(), CURVED_X, answers(1, 2), layer="3").values
    expected = by_grad_cam_package(getattr(grad_cam_package, name), model, CURVED_X, (1, 2), layer=model[3])
    off = relative(found, expected if name == "HiResCAM" else expected.relu())
    print(f"pytorch-grad-cam's {name}: {off:.1e} of the largest value off")
    assert off < 4e-7


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_grad_cam_plus_plus_follows_its_formula_whatever_peers_say(torchcam, grad_cam_package, scale):
    """Of gradients of usual size, and of small ones, which an epsilon swallows."""

    def model():
        found = curved()
        with torch.no_grad():
            found[5].weight.mul_(scale)
        return found

    expected, theirs = equation_19(model(), CURVED_X, [1, 2]), model()
    maps = {
        "torchcam": by_torchcam(torchcam.GradCAMpp, model(), CURVED_X, (1, 2)),
        "pytorch-grad-cam": by_grad_cam_package(
            grad_cam_package.GradCAMPlusPlus, theirs, CURVED_X, (1, 2), layer=theirs[3]
        ).relu(),
        "fovea": grad_cam_plus_plus(model(), CURVED_X, answers(1, 2), layer="3").values,
    }
    # a factor is not seen in a picture
    off = {name: relative(over_its_largest(found), over_its_largest(expected)) for name, found in maps.items()}
    for name, value in off.items():
        print(f"Grad-CAM++, weights times {scale:g}: {name} is {value:.2g} of the largest value off")
    assert off["fovea"] < 4e-7 and relative(maps["fovea"], expected) < 4e-7


def test_pytorch_grad_cam_ablates_alike(grad_cam_package):
    """Behind a ReLU, where it hides a channel by 0 as the paper does."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, x = curved(), CURVED_X[:1]
    index = int(model(x).argmax())
    found = ablation_cam(curved(), x, answers(index), layer="1").values
    with warnings.catch_warnings(), grad_cam_package.AblationCAM(model, [model[1]]) as peer:
        warnings.simplefilter("ignore")
        theirs = torch.from_numpy(np.asarray(peer(x, [ClassifierOutputTarget(index)])))
    ours = (found - found.amin()) / (found.amax() - found.amin())
    assert relative(ours, theirs) < 1e-5


@pytest.mark.parametrize("kind", [Residual, Dense])
def test_captum_agrees_on_gradients(captum, kind):
    model, x, wanted = built(kind), images(), torch.tensor([1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slopes = captum.Saliency(model).attribute(x.clone(), wanted)
        products = captum.InputXGradient(model).attribute(x.clone().requires_grad_(), wanted)
    assert relative(saliency(model, x, answers(1, 2)).values, slopes.amax(1)) < 4e-7
    assert relative(gradient_x_input(model, x, answers(1, 2)).values, products.sum(1).detach()) < 4e-7


class Flat(nn.Module):
    """The body, and the dense layer of its places; captum knows no relevance of `nn.Flatten`."""

    def __init__(self, body, features):
        super().__init__()
        self.body, self.dense = body, nn.Linear(features, 4)

    def forward(self, x):
        return self.dense(self.body(x).flatten(1))


def relu_net(*, pooled):
    torch.manual_seed(0)
    pool = (nn.MaxPool2d(2),) if pooled else ()
    body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), *pool, nn.Conv2d(6, 6, 3), nn.ReLU())
    return Flat(body, 6 * (9 if pooled else 64)).double().eval()


@pytest.mark.parametrize(("rule", "name"), [("guided", "GuidedBackprop"), ("deconvnet", "Deconvolution")])
@pytest.mark.parametrize("pooled", [False, True])
def test_captum_agrees_on_what_rectifiers_bring_back(captum, rule, name, pooled):
    x = images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = getattr(captum, name)(relu_net(pooled=pooled))
        expected = peer.attribute(x.clone().requires_grad_(), torch.tensor([1, 2]))
    assert relative(brought_back(relu_net(pooled=pooled), x, answers(1, 2), rule), expected.detach()) < 1e-12


@pytest.mark.parametrize("pooled", [False, True])
def test_captum_agrees_on_relevance(captum, pooled):
    """Its rule has an epsilon of 1e-9 of no unit; ours is 0 here."""
    x = images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = captum.LRP(relu_net(pooled=pooled)).attribute(x.clone().requires_grad_(), torch.tensor([1, 2]))
    found = layer_wise_relevance(relu_net(pooled=pooled), x, answers(1, 2), epsilon=0.0)
    assert relative(found.values, expected.sum(1).detach()) < 1e-6


def test_captum_agrees_on_grad_cam_and_occlusion(captum):
    model, x = curved(), CURVED_X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coarse = captum.LayerGradCam(model, model[3]).attribute(x, torch.tensor([1, 2]), relu_attributions=True)
        hidden = captum.Occlusion(model).attribute(x, (3, 1, 1), (3, 1, 1), baselines=0, target=torch.tensor([1, 2]))
    assert relative(grad_cam(model, x, answers(1, 2), layer="3").values, coarse[:, 0].detach()) < 4e-7
    assert relative(METHODS["occlusion"](model, x, answers(1, 2), patch=1).values, hidden[:, 0].detach()) < 4e-7
