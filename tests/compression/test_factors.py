import pytest
import torch
from torch import nn

from fovea.compression.factors import Factorised, Factors, best, cost, fitted, lowrank, separable, two_of
from fovea.errors import UsageError
from fovea.measurement.network import measure_network
from tests.support.refitting import small_work


def convolution(c_in=4, c_out=5, kernel=3, **more):
    torch.manual_seed(0)
    return nn.Conv2d(c_in, c_out, kernel, **{"padding": 1, **more}).double()


CASES = [("rows", 12), ("channels", 5), ("separable", 9)]


@pytest.mark.parametrize(("form", "rank"), CASES)
@pytest.mark.parametrize("more", [{}, {"stride": 2}, {"dilation": 2, "padding": 2}, {"kernel": (3, 5), "padding": 2}])
def test_full_rank_computes_the_same(form, rank, more):
    layer = convolution(**more)
    rank = {"rows": 15, "separable": 15}.get(form, rank) if "kernel" in more else rank
    fit = fitted(layer, Factors(form, rank))
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    assert fit.error < 1e-20
    assert torch.allclose(fit.layers.double()(x), layer(x), atol=1e-6)


def test_a_dense_layer_of_full_rank_computes_the_same():
    layer = nn.Linear(7, 4).double()
    x = torch.randn(3, 7, dtype=torch.float64)
    assert torch.allclose(fitted(layer, Factors("dense", 4)).layers.double()(x), layer(x), atol=1e-6)


@pytest.mark.parametrize(("form", "rank"), [("rows", 3), ("channels", 2), ("separable", 1), ("dense", 2)])
def test_the_error_is_the_distance_of_the_weights(form, rank):
    """Against the weights of the product, read off by unit inputs."""
    layer = nn.Linear(7, 4).double() if form == "dense" else convolution(bias=False)
    fit = fitted(layer, Factors(form, rank))
    pair = fit.layers.double()
    if form == "dense":
        product = pair[1].weight @ pair[0].weight
    else:
        x = torch.eye(4, dtype=torch.float64).reshape(4, 4, 1, 1)
        x = nn.functional.pad(x, (2, 2, 2, 2))
        product = pair(x)[:, :, 1:-1, 1:-1].flip(2, 3).transpose(0, 1)
    share = ((product - layer.weight).square().sum() / layer.weight.square().sum()).item()
    assert fit.error == pytest.approx(share, rel=1e-5)
    assert 0 < fit.error < 1


def test_rank_one_weights_are_found_exactly():
    layer = convolution(bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.einsum("o,i,y,x->oiyx", *(torch.randn(n).double() for n in layer.weight.shape)))
    for form in ("rows", "channels", "separable"):
        assert fitted(layer, Factors(form, 1)).error < 1e-20


@pytest.mark.parametrize(("form", "rank"), [("rows", 3), ("channels", 2), ("separable", 2), ("dense", 2)])
def test_the_cost_is_that_of_measuring(form, rank):
    shape = (7,) if form == "dense" else (4, 8, 8)
    layer = nn.Linear(7, 4) if form == "dense" else convolution(stride=2).float()
    pair = two_of(layer, Factors(form, rank))
    macs = [measure_network(nn.Sequential(each), shape).total.macs for each in (pair, layer)]
    assert cost(layer, Factors(form, rank)) == pytest.approx(macs[0] / macs[1])


def test_the_best_form_keeps_to_its_share():
    layer = convolution(16, 24)
    found = best(layer, 0.5, ("rows", "channels"))
    assert found is not None
    assert cost(layer, found[0]) <= 0.5


def network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 36, 16), nn.Linear(16, 4)).eval()


def test_lowrank_changes_inner_layers_and_says_which():
    model = network()
    done = lowrank(model, small_work(), share=0.5, epochs=1)
    (change,) = done.changes
    assert set(change["layers"]) == {"2", "7"}
    assert "unchanged are `4`:" in done.notes[1]
    built = network()
    Factorised.from_dict({"layers": change["layers"]}).apply(built)
    built.load_state_dict(done.model.state_dict())
    x = torch.randn(2, 3, 12, 12)
    assert torch.equal(built(x), done.model(x))


def test_separable_layers_are_depthwise_and_pointwise():
    model = network()
    done = separable(model, small_work(), epochs=0)
    first, second = model[2]
    assert list(done.changes[0]["layers"]) == ["2"]
    assert first.groups == first.in_channels == 8
    assert second.kernel_size == (1, 1)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ({"2": ["rows", 0]}, "must be a whole number from 1"),
        ({"2": ["rows", 10**9]}, "must be a whole number from 1"),
        ({"2": ["odd", 1]}, "one of"),
        ({"2": ["dense", 1]}, "not a form of a layer"),
        ({"4": ["rows", 1]}, "grouped convolution"),
        ({"absent": ["rows", 1]}, "does not have"),
        ({"1": ["rows", 1]}, "cannot be written as two layers"),
        ([], "no other field"),
    ],
)
def test_a_wrong_change_is_refused(layers, reason):
    with pytest.raises(UsageError, match=reason):
        Factorised.from_dict({"layers": layers}).apply(network())


def test_a_share_out_of_range_is_refused():
    with pytest.raises(UsageError, match="must be a fraction"):
        lowrank(network(), small_work(), share=1.5, epochs=1)
