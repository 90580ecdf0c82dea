"""With the same weights, the same logits and gradients as the libraries that have the same network."""

import warnings
from importlib.util import find_spec

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry

SAMPLE = (
    ("convnext_tiny", "torchvision", 32),
    ("densenet121", "torchvision", 32),
    ("dpn68", "timm", 32),
    ("efficientnet_b0", "timm", 32),
    ("efficientnet_b0", "torchvision", 32),
    ("efficientnet_b1", "timm", 32),
    ("efficientnet_v2_s", "torchvision", 32),
    ("googlenet_bn", "torchvision", 32),
    ("inception_resnet_v2", "timm", 75),
    ("inception_v3", "timm", 75),
    ("inception_v4", "timm", 75),
    ("mnasnet_a1", "timm", 32),
    ("mnasnet_b1", "timm", 32),
    ("mnasnet_b1", "torchvision", 32),
    ("mobilenet_v1", "timm", 32),
    ("mobilenet_v2", "torchvision", 32),
    ("mobilenet_v2_05", "timm", 32),
    ("mobilenet_v3_large", "torchvision", 32),
    ("mobilenet_v3_small", "torchvision", 32),
    ("regnet_y_400mf", "torchvision", 32),
    ("repvgg_a0", "timm", 32),
    ("mc3_18", "torchvision", 16),
    ("r2plus1d_18", "torchvision", 16),
    ("r3d_18", "torchvision", 16),
    ("resnet18", "torchvision", 32),
    ("resnet50_v2", "timm", 32),
    ("resnext50_32x4d", "timm", 32),
    ("seresnet50", "timm", 32),
    ("seresnext50_32x4d", "timm", 32),
    ("shufflenet_v2_05", "torchvision", 32),
    ("squeezenet1_0", "torchvision", 33),
    ("squeezenet1_1", "torchvision", 32),
    ("xception", "timm", 16),
)
"""(network, library, size of the images, or of clips and their frames): the fastest of each family."""


@pytest.fixture(scope="module")
def make(torchvision):
    """Return what makes a network by library and name, its weights drawn at random; skip without the libraries."""
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
    makers = {"torchvision": torchvision.models.get_model, "timm": timm.create_model}

    def quietly(library, name):
        with warnings.catch_warnings():  # some announce that they will initialise otherwise one day
            warnings.simplefilter("ignore", FutureWarning)
            return makers[library](name)

    return quietly


def with_lively_batch_norm(model: nn.Module) -> nn.Module:
    """Draw what is 0 or 1 in new batch norms, so that a mistaken one shows."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1)
    return model


@pytest.mark.parametrize(("name", "library", "size"), SAMPLE)
def test_same_weights_same_logits_and_gradients(name, library, size, make):
    torch.manual_seed(0)
    peer = registry.entry(name).peers[library]
    theirs = with_lively_batch_norm(make(library, peer.name)).double().eval()
    aux = {"aux": True} if any(key.startswith("aux") for key in theirs.state_dict()) else {}
    ours = registry.build(name, size=size, **aux).double().eval()
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    renamed = {peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()}
    assert renamed.keys() == shapes.keys()
    # a dense layer is a 1x1 convolution in some libraries
    ours.load_state_dict({key: tensor.reshape(shapes[key]) for key, tensor in renamed.items()})

    c_in, *axes = registry.entry(name).input
    images = torch.randn(2, c_in, *[size] * len(axes), dtype=torch.float64)
    logits, expected = ours(images), theirs(images)
    assert (logits - expected).abs().max() < 1e-9 * expected.abs().max()
    weights = torch.randn_like(logits)
    for out in (logits, expected):
        (out * weights).sum().backward()
    own = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        if key.startswith("aux"):
            assert own[peer.renamed(key)].grad is None
            continue
        gradient = own[peer.renamed(key)].grad.reshape(parameter.shape)
        assert (gradient - parameter.grad).abs().max() <= 1e-9 * parameter.grad.abs().max(), key


def test_auxiliary_heads_answer_as_theirs(make):
    torch.manual_seed(0)
    peer = registry.entry("googlenet_bn").peers["torchvision"]
    theirs = with_lively_batch_norm(make("torchvision", peer.name)).double().train()
    ours = registry.build("googlenet_bn", size=32, aux=True).double().train()
    ours.load_state_dict({peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()})
    for module in (*ours.modules(), *theirs.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    logits, second, first = theirs(images)
    for out, expected in zip(ours(images), (logits, first, second), strict=True):
        assert (out - expected).abs().max() < 1e-9 * expected.abs().max()


def test_deeplab_answers_every_pixel_as_theirs(torchvision):
    torch.manual_seed(0)
    peer = registry.entry("deeplabv3_resnet50").peers["torchvision"]
    theirs = torchvision.models.get_model(peer.name, weights=None, weights_backbone=None, aux_loss=True)
    theirs = with_lively_batch_norm(theirs).double().eval()
    ours = registry.build("deeplabv3_resnet50", aux=True).double().eval()
    ours.load_state_dict({peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()})
    images = torch.randn(1, 3, 33, 40, dtype=torch.float64)
    expected, logits = theirs(images), ours(images)
    auxiliary = nn.functional.interpolate(ours.aux1(ours.maps(images)[1]), images.shape[2:], mode="bilinear")
    for out, other in ((logits, expected["out"]), (auxiliary, expected["aux"])):
        assert (out - other).abs().max() < 1e-9 * other.abs().max()
    weights = torch.randn_like(logits)
    for out in (logits, expected["out"]):
        (out * weights).sum().backward()
    own = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        if not key.startswith("aux"):
            gradient = own[peer.renamed(key)].grad
            assert (gradient - parameter.grad).abs().max() <= 1e-9 * parameter.grad.abs().max(), key


def test_retinanet_says_of_the_same_anchors_what_theirs_says(torchvision):
    torch.manual_seed(0)
    peer = registry.entry("retinanet").peers["torchvision"]
    theirs = torchvision.models.get_model(peer.name, weights=None, weights_backbone=None, num_classes=3)
    theirs = with_lively_batch_norm(theirs).double().eval()
    ours = registry.build("retinanet", classes=3, frozen_norm=False).double().eval()
    ours.load_state_dict({peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()})
    images = torch.randn(1, 3, 70, 96, dtype=torch.float64)
    maps = list(theirs.backbone(images).values())
    heads = theirs.head(maps)
    expected, answers = torch.cat([heads["cls_logits"], heads["bbox_regression"]], dim=2), ours(images)
    assert (answers - expected).abs().max() < 1e-9 * expected.abs().max()
    (anchors,) = theirs.anchor_generator(torchvision.models.detection.image_list.ImageList(images, [(70, 96)]), maps)
    assert torch.equal(ours.anchors((70, 96)).double(), anchors)
    weights = torch.randn_like(answers)
    for out in (answers, expected):
        (out * weights).sum().backward()
    own = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        gradient = own[peer.renamed(key)].grad
        assert (gradient - parameter.grad).abs().max() <= 1e-9 * parameter.grad.abs().max(), key


@pytest.mark.parametrize(("name", "size"), [("alexnet_owt", 64), ("vgg11", 32), ("vgg11_bn", 32)])
def test_same_features_and_gradients_where_dense_layers_are_large(name, size, make):
    torch.manual_seed(0)
    peer = registry.entry(name).peers["torchvision"]
    with torch.device("meta"):
        theirs, ours = make("torchvision", peer.name), registry.build(name)
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    assert {peer.renamed(key): tensor.shape for key, tensor in theirs.state_dict().items()} == shapes
    convolutions = theirs.features.to_empty(device="cpu").double()
    for tensor in convolutions.state_dict().values():
        tensor.copy_(torch.rand_like(tensor, dtype=torch.float64) - 0.4 * (tensor.ndim > 1))
    ours.head = nn.Identity()
    ours.to_empty(device="cpu").double()
    ours.load_state_dict({peer.renamed(f"features.{key}"): t for key, t in convolutions.state_dict().items()})
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    maps, expected = ours.eval()(images), convolutions.eval()(images)
    assert expected.any()
    assert (maps - expected).abs().max() < 1e-9 * expected.abs().max()
    weights = torch.randn_like(maps)
    for out in (maps, expected):
        (out * weights).sum().backward()
    own = dict(ours.named_parameters())
    for key, parameter in convolutions.named_parameters():
        gradient = own[peer.renamed(f"features.{key}")].grad
        assert (gradient - parameter.grad).abs().max() <= 1e-9 * parameter.grad.abs().max(), key
