"""The contract that every registered network keeps.

Networks of up to `MOST_PARAMETERS` and `MOST_MACS` (at the size they are tried at) run really; larger ones run on the
meta device, which knows shapes and which parameters get a gradient, but no values. All are tried at 32 and 33 pixels;
those that refuse 32, at the size of their card and one pixel more. Those that answer masks, boxes or points keep the
same contract, with outputs in the form of their card; what their heads see may be maps of several stages.
"""

import re
from ast import literal_eval
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fovea.zoo  # noqa: F401  registers them
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.zoo.backbones import Pyramid

MOST_PARAMETERS = 5_000_000
MOST_MACS = 100_000_000

SLOW = ("cifar_resnet1202",)  # twenty times the layers of most: counted here, otherwise `cifar_resnet110` stands for it

every_model = pytest.mark.parametrize("name", [name for name in registry.names() if name not in SLOW])


class Normalised(torch.autograd.Function):
    """What batch norm does on the meta device: a shape, and a gradient for its scale and shift."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        assert all(p is None or p.shape == x.shape[1:2] for p in (weight, bias))
        ctx.save_for_backward(weight, bias)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, gradient):
        return torch.empty_like(gradient), *(p if p is None else torch.empty_like(p) for p in ctx.saved_tensors)


@pytest.fixture(autouse=True)
def fast_on_meta(monkeypatch):
    """PyTorch's own batch norm on the meta device is Python, and takes most of the time of these tests."""
    own = nn.functional.batch_norm

    def batch_norm(x, mean, var, weight=None, bias=None, *further, **named):
        if x.is_meta:
            return Normalised.apply(x, weight, bias)
        return own(x, mean, var, weight, bias, *further, **named)

    monkeypatch.setattr(nn.functional, "batch_norm", batch_norm)


class Trial(NamedTuple):
    size: int
    device: str


@cache
def trial(name: str) -> Trial:
    """Return the smaller of the two sizes the network is tried at, and the device."""
    card, size = registry.entry(name), 32
    try:
        build(name, device="meta", size=size)
    except ShapeError:
        size = card.input[-1]
    # side by side over all axes but the frames of clips, which stay
    macs = card.macs * (size / card.input[-1]) ** min(len(card.input) - 1, 2)
    small = card.params <= MOST_PARAMETERS and macs <= MOST_MACS
    return Trial(size, "cpu" if small else "meta")


def build(name: str, *, device: str, **arguments: object) -> nn.Module:
    if device == "meta":
        return on_meta(registry.resolve(name), repr(registry.arguments_of(name, **arguments))).eval()
    torch.manual_seed(0)
    return registry.build(name, **arguments).eval()


@cache
def on_meta(name: str, arguments: str) -> nn.Module:
    with torch.device("meta"):
        return registry.build(name, **literal_eval(arguments))


def inputs(name: str, batch: int, c_in: int, size: int, *, device: str) -> torch.Tensor:
    """Return images, series or clips of `size`, whatever the network sees; clips have as many frames as on its card."""
    _, *sizes = registry.entry(name).input
    sizes = [*sizes[:-2], *[size] * len(sizes[-2:])]
    x = torch.randn(batch, c_in, *sizes, generator=torch.Generator().manual_seed(1)).to(device)
    return x.to(memory_format=torch.channels_last) if len(sizes) == 2 else x


def answer_shape(name: str, classes: int, size: int) -> tuple[int, ...]:
    """Return the shape of the answer for one image, in the form of the network's card."""
    quarter, grid = -(-size // 4), -(-(-(-size // 2) // 16) // 2)  # strides round up, pooling does not
    if name == "yolo_v1_tiny":
        grid = size // 64
    return {
        "": (classes,),
        "logits": (classes, size, size),
        "centres": (classes + 4, quarter, quarter),
        "heat maps": (classes, quarter, quarter),
        "one": (classes + 4,),
        "coordinates": (2 * classes,),
        "yolo": (2 * 5 + classes, grid, grid),
        "yolo2": (5 * (5 + classes), size // 32, size // 32),
        "anchors": (9 * sum((-(-size // stride)) ** 2 for stride in (8, 16, 32, 64, 128)), classes + 4),
    }[registry.entry(name).form]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in registry.names()]
)
def test_parameters_and_macs_equal_the_card(name):
    card, model = registry.entry(name), build(name, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *card.input, device="meta"))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == card.params
    assert counter.get_total_flops() == 2 * card.macs  # a multiply-add is two operations


@every_model
def test_the_card_says_what_the_defaults_build(name):
    defaults, card = registry.arguments_of(name), registry.entry(name)
    assert tuple(defaults.get(key, size) for key, size in registry.axes_of(card.input)) == card.input
    assert len(card.input) in registry.KINDS
    assert len(set(card.input[-2:])) == 1 or len(card.input) == 2
    assert re.fullmatch(r"(arXiv:\d{4}\.\d{4,5}|doi:10\..+|NIPS \d{4}|https://.+|this project)", card.paper)
    assert card.title
    assert card.answers in registry.ANSWERS
    assert card.form in registry.FORMS.get(card.answers, ("",))
    assert card.year >= 1980
    assert set(card.decks) <= {"000", "001", "002", "003", "004"}
    assert set(card.peers) <= {"torchvision", "timm", "keras", "akamaster"}
    assert (card.top1 is None and card.top5 is None) == (not card.published)


@every_model
def test_logits_are_batch_by_classes_at_even_and_odd_sizes(name):
    size, device = trial(name)
    trials = [(3, size + 1, 4, 5)] if device == "meta" else [(1, size, 1, 2), (3, size + 1, 4, 5)]
    for batch, pixels, c_in, classes in trials:  # other tests pass one image of other sizes through the larger networks
        model = build(name, device=device, c_in=c_in, classes=classes, size=pixels)
        x = inputs(name, batch, c_in, pixels, device=device)
        with torch.no_grad():
            features = model.features(x)
            logits = model.head(*model.maps(x)) if isinstance(model, Pyramid) else model.head(features)
            if name != "unet":  # of valid convolutions: its tests say how much smaller
                assert logits.shape == (batch, *answer_shape(name, classes, pixels))
            assert features.ndim == (2 if name == "mlp" else x.ndim)
            if device != "meta":
                assert logits.isfinite().all()
                assert torch.equal(model(x), logits)  # evaluation is deterministic


@every_model
def test_every_parameter_gets_a_finite_gradient(name):
    size, device = trial(name)
    model = build(name, device=device, classes=5, c_in=4, size=size).train()
    x, labels, loss = (
        inputs(name, 4, 4, size, device=device),
        torch.arange(4, device=device),
        nn.functional.cross_entropy,
    )
    if registry.entry(name).answers != "classes":
        cost = model(x).square().mean()
    elif hasattr(model, "learn"):
        cost = model.learn(x, labels, loss=loss, progress=0.0)[0]
    else:
        cost = loss(model(x), labels)
    if not cost.requires_grad:  # it learns without
        return
    cost.backward()
    for path, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, path
        assert device == "meta" or (parameter.grad.isfinite().all() and parameter.grad.any()), path


@every_model
def test_the_state_dict_round_trips_through_the_resolved_arguments(name):
    size, device = trial(name)
    first = build(name, device=device, classes=2, c_in=1, size=size)
    with torch.device(device):
        second = registry.build(name, **registry.arguments_of(name, classes=2, c_in=1, size=size)).eval()
    second.load_state_dict(first.state_dict())
    x = inputs(name, 2, 1, size, device=device)
    with torch.no_grad():
        assert device == "meta" or torch.equal(first(x), second(x))


@every_model
def test_children_are_stem_stages_head_in_order(name):
    children = [child for child, _ in build(name, device="meta").named_children()]
    stages = [f"stage{i}" for i in range(1, len(children) + 1)]
    expected = ["stem"] * ("stem" in children) + stages[: len(children) - 1 - ("stem" in children)] + ["head"]
    assert children == expected
    assert "stage1" in children


@every_model
def test_an_input_too_small_is_told_the_layer_and_the_smallest_size_that_works(name):
    def answer(size):
        model = build(name, device="meta", classes=2, c_in=1, size=size)
        return model(inputs(name, 1, 1, size, device="meta"))

    try:
        assert len(answer(1)) == 1
    except ShapeError as error:
        message = re.fullmatch(
            rf"Network `{name}`: Layer `(\S+)` .* `size` \(=1\) must be at least (\d+)\.", str(error)
        )
        layer, smallest = message[1], int(message[2])
        assert layer in dict(build(name, device="meta").named_modules())
        assert len(answer(smallest)) == 1
        with pytest.raises(ShapeError, match=rf"must be at least {smallest}\."):
            answer(smallest - 1)


@every_model
def test_arguments_that_are_not_allowed_are_told_what_is(name):
    for key in ("classes", "c_in", "size"):
        with pytest.raises(UsageError, match=rf"`{key}` \(=0\) must be an integer of at least 1\."):
            registry.build(name, **{key: 0})
    with pytest.raises(UsageError, match=rf"`{name}` has no argument `clases`; did you mean `classes`\?"):
        registry.build(name, clases=3)
    for key, value in registry.arguments_of(name).items():
        wrong = -1 if type(value) is int else {float: -1.0, str: "wrong"}.get(type(value))
        if key not in ("classes", "c_in", "size") and wrong is not None:
            with pytest.raises(UsageError, match=rf"^(Network `{name}`: |`{key}` ).*{wrong}"):
                build(name, device="meta", **{key: wrong})


@every_model
def test_a_misspelt_name_is_told_near_ones(name):
    with pytest.raises(UsageError, match=rf"Unknown network `{name}x`; did you mean .*`{name}`"):
        registry.build(f"{name}x")
