"""A deeper network that gives the answers of the trained one it grew from."""

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.errors import ShapeError
from fovea.layers import Classifier
from fovea.training.growth import first_and_last, grow

GROWING = [
    ("cifar_resnet20", {}, "cifar_resnet56", {}, 18),
    ("cifar_plain20", {}, "cifar_plain32", {}, 6),
    ("cifar_resnet20", {"shortcut": "B"}, "cifar_resnet32", {"shortcut": "B"}, 6),
    ("pattern", {"pattern": "CRP CRP", "widths": (4, 6)}, "pattern", {"pattern": "CRCRP CRCRCRP", "widths": (4, 6)}, 3),
    ("mlp", {"widths": (6,), "size": 16}, "mlp", {"widths": (6, 6), "size": 16}, 1),
]
LARGE = [
    ("vgg11", {"size": 32}, "vgg13", {"size": 32}, 2),
    ("vgg13_bn", {"size": 32}, "vgg16_c_bn", {"size": 32}, 3),
    ("resnet18", {}, "resnet34", {}, 8),
    ("resnet50", {}, "resnet101", {}, 17),
    ("resnet50_v2", {}, "resnet101_v2", {}, 17),
]


def as_trained(name, images, **arguments):
    """Return a network whose norms have scales, shifts and statistics of their own."""
    torch.manual_seed(0)
    model = registry.build(name, classes=3, c_in=3, **arguments).to(images)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight, 1, 0.2)
        nn.init.normal_(norm.bias, 0, 0.2)
    with torch.no_grad():
        model.train()(images)
    return model.eval()


def noise(*shape, dtype=torch.float32, seed=1):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def chain(*layers):
    return Classifier(stages=[nn.Sequential(*layers)], head=nn.Sequential(nn.Flatten(1), nn.LazyLinear(2)))


def conv(c_in=2, c_out=2, **options):
    return nn.Conv2d(c_in, c_out, 3, **{"padding": 1, **options})


# by hand


def test_a_new_convolution_copies_each_channel_of_its_input():
    old, new, images = chain(conv(), nn.ReLU()), chain(conv(), nn.ReLU(), conv(), nn.ReLU()), noise(2, 2, 4, 4)
    old(images), new(images)
    assert grow(old, new, images=images) == ["stage1.2"]
    expected = torch.zeros(2, 2, 3, 3)
    expected[0, 0, 1, 1] = expected[1, 1, 1, 1] = 1
    assert torch.equal(new.stage1[2].weight, expected) and torch.equal(new.stage1[2].bias, torch.zeros(2))
    assert torch.equal(new.stage1[0].weight, old.stage1[0].weight)


def test_a_new_norm_has_gamma_sigma_and_beta_mu_of_the_activations():
    layers = [conv(), nn.BatchNorm2d(2), nn.ReLU()]
    old, new, images = chain(*layers), chain(*layers, conv(), nn.BatchNorm2d(2), nn.ReLU()), noise(4, 2, 4, 4)
    old(images), new(images)
    grow(old, new, images=images)
    x = old.eval().stage1(images)
    norm = new.stage1[4]
    assert torch.allclose(norm.bias, x.mean((0, 2, 3))) and torch.equal(norm.bias, norm.running_mean)
    assert torch.allclose(norm.weight, (x.var((0, 2, 3), correction=0) + norm.eps).sqrt())
    assert torch.allclose(norm.train()(x), x, atol=1e-5)


# networks of the zoo


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(
    ("shallow", "given", "deep", "wanted", "further"),
    [*GROWING, *(pytest.param(*case, marks=pytest.mark.slow) for case in LARGE)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_deeper_network_keeps_the_logits(shallow, given, deep, wanted, further, dtype, bound):
    size = given.get("size", 32)
    images = noise(3, 3, size, size, dtype=dtype)
    trained, deeper = as_trained(shallow, images, **given), registry.build(deep, classes=3, c_in=3, **wanted).to(dtype)
    new = grow(trained, deeper, images=images)
    unseen = noise(2, 3, size, size, dtype=dtype, seed=2)
    assert len(new) == further and deeper.training
    assert (deeper.eval()(unseen) - trained(unseen)).abs().max() < bound * trained(unseen).abs().max().clamp(min=1)


def test_a_grown_residual_network_keeps_its_answers_in_training_too():
    images = noise(4, 3, 16, 16)
    trained, deeper = as_trained("cifar_resnet20", images), registry.build("cifar_resnet32", classes=3)
    grow(trained, deeper, images=images)
    assert torch.equal(deeper.train()(images), trained.train()(images))


@pytest.mark.parametrize("case", GROWING, ids=lambda case: case[2])
def test_every_new_layer_can_learn(case):
    shallow, given, deep, wanted, _ = case
    size = given.get("size", 32)
    images = noise(4, 3, size, size)
    deeper = registry.build(deep, classes=3, c_in=3, **wanted)
    new = grow(as_trained(shallow, images, **given), deeper, images=images)
    deeper.train()(images).square().sum().backward()
    for path in new:
        gradients = [p.grad for p in deeper.get_submodule(path).parameters()]
        assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients), path


# as VGG did


def test_vgg_takes_the_first_four_convolutions_and_the_dense_layers():
    images = noise(2, 3, 16, 16)
    given = {"size": 16, "widths": (4, 4, 6, 6, 5)}
    trained = as_trained("pattern", images, pattern="CRP CRP CRCRP CRCRP FRF", **given)
    deeper = registry.build("pattern", classes=3, c_in=3, pattern="CRCRP CRCRP CRCRP CRCRP FRF", **given)
    before = {name: tensor.clone() for name, tensor in deeper.state_dict().items()}
    random = first_and_last(trained, deeper)
    assert random == ["stage4.conv1", "stage4.conv2", "stage1.conv2", "stage2.conv2"]
    theirs, ours = trained.state_dict(), deeper.state_dict()
    weights = [name for name in theirs if name.endswith("weight")]
    taken = {name.removesuffix(".weight") for name in weights if torch.equal(ours[name], theirs[name])}
    first = {"stage1.conv1", "stage2.conv1", "stage3.conv1", "stage3.conv2"}
    assert taken == first | {"head.dense1", "head.logits"}
    assert all(torch.equal(ours[f"{path}.weight"], before[f"{path}.weight"]) for path in random)


# what cannot grow


def refused(old, new, *, c_in=2, size=8):
    images = noise(2, c_in, size, size)
    with torch.no_grad():
        old(images), new(images)
    with pytest.raises(ShapeError) as caught:
        grow(old, new, images=images)
    return str(caught.value)


def test_a_layer_of_another_width_is_named():
    message = refused(chain(conv(2, 3), nn.ReLU()), chain(conv(2, 4), nn.ReLU(), conv(4, 4), nn.ReLU()))
    assert message.startswith("`stage1.0` is Conv2d(2, 3, ") and "and Conv2d(2, 4, " in message


def test_a_bottleneck_is_no_basic_block():
    message = refused(registry.build("resnet34"), registry.build("resnet50"), c_in=3, size=32)
    assert message.startswith("`stage1.block1.residual.conv1` is Conv2d(64, 64, kernel_size=(3, 3)")


def test_a_shallower_network_has_no_place_for_all():
    message = refused(registry.build("cifar_resnet32"), registry.build("cifar_resnet20"), c_in=3)
    assert message == "`stage1.block4` of the trained network has no place in the deeper one."


def test_the_same_network_is_no_deeper_one():
    assert refused(chain(conv()), chain(conv())).startswith("The network to grow into has no additional layers")


def test_another_pooling_is_named():
    message = refused(chain(conv(), nn.MaxPool2d(2)), chain(conv(), conv(), nn.AvgPool2d(2)))
    assert message.startswith("`stage1.1` is MaxPool2d") and message.endswith("not there in the deeper one.")


@pytest.mark.parametrize(
    ("old", "further"),
    [
        ([conv(), nn.Tanh()], [conv(), nn.Tanh()]),  # tanh(tanh(x)) is not tanh(x)
        ([conv()], [conv(), nn.ReLU()]),  # a first ReLU after values below zero
        ([conv(), nn.ReLU()], [conv(stride=2), nn.ReLU()]),
        ([conv(), nn.ReLU()], [conv(2, 2, padding=0), nn.ReLU()]),
    ],
    ids=["tanh", "below zero", "stride", "unpadded"],
)
def test_a_layer_that_cannot_copy_its_input_is_refused(old, further):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    shallow, deep = (Classifier(stages=[nn.Sequential(*layers)], head=head) for layers in (old, [*old, *further]))
    message = refused(shallow, deep)
    assert message.startswith(f"`stage1.{len(old)}` cannot be made the identity: that takes equal channels")


def test_a_block_whose_shortcut_is_a_projection_is_refused():
    old, new = (registry.build(f"cifar_resnet{layers}", shortcut="C") for layers in (20, 32))
    assert refused(old, new, c_in=3, size=16).startswith("`stage1.block4` cannot be made the identity")
