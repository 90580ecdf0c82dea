"""With the same weights, the same logits and gradients as the libraries that have the same network."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry

SAMPLE = (
    ("densenet121", "torchvision", 32),
    ("mobilenet_v1", "timm", 32),
    ("mobilenet_v2", "torchvision", 32),
    ("mobilenet_v2_05", "timm", 32),
    ("resnet18", "torchvision", 32),
    ("resnet50_v2", "timm", 32),
    ("resnext50_32x4d", "timm", 32),
    ("seresnet50", "timm", 32),
    ("shufflenet_v2_05", "torchvision", 32),
    ("squeezenet1_0", "torchvision", 33),
    ("squeezenet1_1", "torchvision", 32),
)
"""(network, library, size of the images): the fastest of each family."""

OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


@pytest.fixture(scope="module")
def make():
    """Return what makes a network by library and name, its weights drawn at random; skip without the libraries."""
    for library in ("torchvision", "timm"):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    if not _compiled_operators_load():
        for name in ("nms", "qnms"):  # the library describes these two when it is imported
            OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
        import torchvision
    makers = {"torchvision": lambda name: torchvision.models.get_model(name, weights=None), "timm": timm.create_model}
    return lambda library, name: makers[library](name)


def _compiled_operators_load() -> bool:
    compiled = list(Path(find_spec("torchvision").origin).parent.glob("_C.*"))
    try:
        torch.ops.load_library(str(compiled[0]))
    except (OSError, IndexError):
        return False
    return True


def with_lively_batch_norm(model: nn.Module) -> nn.Module:
    """Draw what is 0 or 1 in new batch norms, so that a mistaken one shows."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1)
    return model


@pytest.mark.parametrize(("name", "library", "size"), SAMPLE)
def test_same_weights_same_logits_and_gradients(name, library, size, make):
    torch.manual_seed(0)
    peer = registry.card(name).peers[library]
    theirs = with_lively_batch_norm(make(library, peer.name)).double().eval()
    ours = registry.build(name, size=size).double().eval()
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    renamed = {peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()}
    assert renamed.keys() == shapes.keys()
    # a dense layer is a 1x1 convolution in some libraries
    ours.load_state_dict({key: tensor.reshape(shapes[key]) for key, tensor in renamed.items()})

    images = torch.randn(2, registry.card(name).input[0], size, size, dtype=torch.float64)
    logits, expected = ours(images), theirs(images)
    assert (logits - expected).abs().max() < 1e-9 * expected.abs().max()
    weights = torch.randn_like(logits)
    for out in (logits, expected):
        (out * weights).sum().backward()
    own = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        gradient = own[peer.renamed(key)].grad.reshape(parameter.shape)
        assert (gradient - parameter.grad).abs().max() <= 1e-9 * parameter.grad.abs().max(), key
