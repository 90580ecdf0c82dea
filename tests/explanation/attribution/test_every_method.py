"""The contract of all methods: any network, shape, type and wrapping, and nothing of the network changed."""

import inspect

import pytest
import torch
from small_networks import Residual, built, images, same_state, state
from torch import nn

from fovea.errors import UsageError
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.objective import Objective

NAMES = tuple(METHODS)
OF_MANY = ("smoothgrad", "integrated_gradients", "rise", "scorecam", "ablationcam", "occlusion", "counterfactual")
"""Methods of many samples."""
RECTIFYING = ("guided", "deconvnet", "guided_gradcam")
"""Methods of ReLUs."""
QUICK = {
    "smoothgrad": {"n": 6},
    "integrated_gradients": {"most_steps": 64},
    "rise": {"masks": 40},
    "occlusion": {"patch": 3},
    "counterfactual": {"steps": 6, "fill": "mean"},
}
NOT_A_NUMBER = ("counterfactual",)
"""Figures of these may say that there is nothing to say."""


def explained(name, model, x, *, answer=3, **options):
    given = {"batch": 8, **QUICK.get(name, {}), **options}
    return METHODS[name](model, x, Objective(answers=torch.tensor([answer])), **given)


class Wrapped(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.module = model

    def forward(self, images):
        return self.module(images)


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


WRAPPINGS = {
    "a module around it": Wrapped,
    "frozen": lambda model: model.requires_grad_(False),
    "data parallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "compiled in place": compiled_in_place,
    "parametrised": lambda model: (nn.utils.parametrizations.weight_norm(model.dense), model)[1],
    "channels last": lambda model: model.to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", NAMES)
def test_wrapped_networks_give_the_same(name, wrapping):
    x, model = images(), WRAPPINGS[wrapping](built(Residual))
    model(x)  # compiled now, if at all
    expected, before, kept = explained(name, built(Residual), x), state(model), x.clone()
    with torch.no_grad():
        found = explained(name, model, x)
    torch.testing.assert_close(found.values, expected.values)
    assert found.layer.rpartition(".")[2] == expected.layer
    assert same_state(before, state(model)) and torch.equal(x, kept)


class Separate(Residual):
    """The same network with a ReLU of its own at each place, and nothing in place."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ModuleList(nn.ReLU() for _ in range(3))

    def forward(self, x):
        x = self.relu[0](self.stem(x))
        x = self.relu[1](self.first(x) + x)
        x = self.relu[2](self.second(x) + x)
        return self.dense(x.mean((2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_shared_modules_in_place_give_the_same_as_others(name):
    x = images()
    layers = (None, "stem", "second") if METHODS[name].layered and name != "cam" else (None,)
    for layer in layers:  # behind the named ones something works in place
        found, expected = (explained(name, built(kind), x, layer=layer).values for kind in (Residual, Separate))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def one_place():
    """Grey images, and maps of one place only."""
    return nn.Sequential(nn.Conv2d(1, 4, 6), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 3))


def to_one_place():
    """Grey images, pooled and convolved to a single place."""
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Linear(4, 3)),
    )


@pytest.mark.parametrize("network", [one_place, to_one_place])
@pytest.mark.parametrize("name", NAMES)
def test_grey_images_and_maps_of_a_single_place(name, network):
    torch.manual_seed(0)
    model, x = network().eval(), torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    if name == "cam" and network is to_one_place:
        with pytest.raises(UsageError, match="one dense layer; this one has more"):
            explained(name, model, x, answer=1)
        return
    found = explained(name, model, x, answer=1)
    assert found.at((6, 6)).shape == (2, 6, 6) and found.values.isfinite().all()
    assert name in NOT_A_NUMBER or all(figure.isfinite().all() for figure in found.figures.values())
    assert all(figure.shape == (2,) and figure.device.type == "cpu" for figure in found.figures.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_fewer_bits_give_nearly_the_same_map_in_float32(name, dtype):
    x = images()
    expected = explained(name, built(Residual), x).values
    found = explained(name, built(Residual).to(dtype), x.to(dtype)).values
    assert found.dtype == torch.float32
    likeness = nn.functional.cosine_similarity(found.flatten(1), expected.flatten(1))
    assert (likeness > (0.999 if dtype == torch.float32 else 0.9)).all(), likeness


@pytest.mark.parametrize("name", NAMES)
def test_what_is_signed_is_said(name):
    found = explained(name, built(Residual), images()).values
    assert METHODS[name].signed == bool((found < 0).any())


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_may_be_a_difference_and_each_image_is_by_itself(name):
    model, x = built(Residual), images()
    both = Objective(answers=torch.tensor([1, 2]), against=torch.tensor([2, 1]))
    options = QUICK.get(name, {})
    one, other = METHODS[name](model, x, both, **options), METHODS[name](model, x.flip(0), both.of(0), **options)
    assert one.values.shape == other.values.shape == (2, 12, 12)
    torch.testing.assert_close(one.values[0], other.values[1])


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_has_more_rows_than_were_allowed(name):
    assert (name in OF_MANY) == ("batch" in inspect.signature(METHODS[name].explain).parameters)
    model, x, rows = built(Residual), images(6), []
    for module in (model, model.second, model.dense):  # what stands before and behind the layer
        module.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    explained(name, model, x, batch=4)
    allowed = {"deeplift": 2 * 6}.get(name, 4 if name in OF_MANY else 6)
    assert max(rows) <= allowed and len(rows) > (9 if name in OF_MANY else 0)


class Failing(Residual):
    """Fails in the middle of a pass, when it has passed so often."""

    def __init__(self, error=KeyboardInterrupt):
        super().__init__()
        self.left, self.error = 0, error

    def forward(self, x):
        if self.left == 0:
            self.second(self.relu(self.stem(x)))
            raise self.error
        self.left -= 1
        return super().forward(x)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", NAMES)
def test_an_interruption_in_any_pass_leaves_nothing_behind(name, error):
    model = built(Failing)
    model.error, before, passes = error, state(model), 0
    while passes < 40:
        model.left = passes
        try:
            explained(name, model, images(1))
        except error:
            assert same_state(before, state(model)) and torch.is_grad_enabled()
            assert not torch.overrides._get_current_function_mode_stack()
            passes += 1
        else:
            break
    assert passes >= 1 and same_state(before, state(model))


# networks that can be worked by hand

W = torch.tensor([[[3.0, -1, 2], [0, 5, 1], [-2, 4, -3]]]).double()
X = torch.tensor([[[[1.0, 2, -1], [4, 2, 1], [3, -1, 2]]]]).double()
LINEAR = {
    "saliency": ({}, W.abs()),
    "smoothgrad": ({"n": 3}, W.abs()),
    "gradient_x_input": ({}, W * X[0]),
    "integrated_gradients": ({}, W * X[0]),
    "deeplift": ({}, W * X[0]),
    "lrp": ({"epsilon": 0.0}, W * X[0]),
    "occlusion": ({"patch": 1}, W * X[0]),
    # a place that is kept with probability 1/4 adds its share where it is not
    "rise": ({"exact": True, "grid": 3, "keep": 0.25}, 0.75 * W * X[0]),
}
"""What is due to each pixel of a linear network with a bias."""


@pytest.mark.parametrize("name", [name for name in NAMES if not METHODS[name].layered and name != "counterfactual"])
def test_linear_networks_by_hand(name):
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()
    with torch.no_grad():
        model[1].weight[1] = W.flatten()
    if name in RECTIFYING:
        with pytest.raises(UsageError, match="changes the gradient of ReLUs, and this network has none"):
            explained(name, model, X, answer=1)
        return
    options, expected = LINEAR[name]
    torch.testing.assert_close(explained(name, model, X, answer=1, **options).values, expected.float())


DRAWN = ("smoothgrad", "rise", "counterfactual")
"""What these draw lies at places of its own."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DRAWN])
def test_what_moves_in_the_image_moves_in_the_map(name):
    """Circular and of stride 1, then the mean of all places: nothing knows where the borders are."""
    torch.manual_seed(0)
    conv = {"padding": 1, "padding_mode": "circular"}
    body = (nn.Conv2d(1, 4, 3, **conv), nn.ReLU(), nn.Conv2d(4, 4, 3, **conv), nn.ReLU())
    model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)).double().eval()
    model[-1].weight.data.abs_()  # so that something comes back
    x, by = torch.randn(1, 1, 8, 10, dtype=torch.float64), {"shifts": (3, -2), "dims": (1, 2)}
    options = {"patch": 1} if name == "occlusion" else {}
    here = explained(name, model, x, **options).values
    there = explained(name, model, x.roll((3, -2), (2, 3)), **options).values
    largest = float(here.abs().max())
    torch.testing.assert_close(there, here.roll(**by), rtol=1e-4, atol=1e-4 * largest)
    # without pools, whose switches it needs, the deconvnet says the same everywhere
    assert largest > 0 and (here.std() > 0.01 * largest or name == "deconvnet")
