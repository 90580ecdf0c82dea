"""The function mode that puts rules in the place of derivatives, and functions written out for it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.explanation.attribution.propagation import CURVES, RECTIFIERS, SMOOTH, Call, Rules, depends, replaced, secant
from fovea.explanation.attribution.written_out import (
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    scale_and_shift,
    scaled_dot_product_attention,
)


def same(x):
    return x


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_functions_written_out_are_those_of_pytorch():
    x, weight, bias = drawn(2, 6, 4, 5), drawn(6, seed=1), drawn(6, seed=2)
    pairs = [
        (local_response_norm(x, size, 2.0, 0.7, 1.5, hold=same), F.local_response_norm(x, size, 2.0, 0.7, 1.5))
        for size in (1, 2, 3, 5)
    ]
    pairs += [
        (group_norm(x, 3, weight, bias, 0.1, hold=same), F.group_norm(x, 3, weight, bias, 0.1)),
        (instance_norm(x, weight=weight, bias=bias, hold=same), F.instance_norm(x, weight=weight, bias=bias)),
        (layer_norm(x, (4, 5), drawn(4, 5), hold=same), F.layer_norm(x, (4, 5), drawn(4, 5))),
        (scaled_dot_product_attention(x, x, x, scale=0.3), F.scaled_dot_product_attention(x, x, x, scale=0.3)),
    ]
    scale, shift = scale_and_shift(x, bias, weight.abs(), weight, bias, eps=0.1)
    pairs.append((x * scale + shift, F.batch_norm(x, bias, weight.abs(), weight, bias, eps=0.1)))
    for found, expected in pairs:
        torch.testing.assert_close(found, expected)


def test_what_is_not_written_out_is_refused():
    x = drawn(1, 2, 3)
    with pytest.raises(UsageError, match="Attention with a mask"):
        scaled_dot_product_attention(x, x, x, is_causal=True)
    with pytest.raises(UsageError, match="statistics of the batch"):
        scale_and_shift(x, None, None)


def test_a_secant_is_the_derivative_where_there_is_no_step():
    x, start = torch.tensor([2.0, 3.0, 0.0]).double(), torch.tensor([1.0, 3.0, 0.0]).double()
    assert secant(torch.square, x, start, x**2 - start**2).tolist() == [3.0, 6.0, 0.0]


def doubled(call):
    """Return the value of a call, and let twice of what comes back go on."""
    return replaced(lambda x: (call.on(x),), lambda gradient: (2 * gradient,), call.inputs[0])


def back(function, x, rules=None, **options):
    given = x.clone().requires_grad_()
    with Rules("test", {"relu": doubled} if rules is None else rules, **options):
        value = function(given.clone())
    return torch.autograd.grad(value.sum(), given)[0].tolist()


X = torch.tensor([-1.0, 2.0])

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Hardswish, nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.LogSigmoid),
    *(nn.Sigmoid, nn.Hardsigmoid, nn.Tanh),
)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_are_known_by_the_names_that_pytorch_calls_them(kind):
    activation = kind().eval()
    assert len(back(activation, X, {}, native=RECTIFIERS | SMOOTH | CURVES | {"clone"})) == 2


@pytest.mark.parametrize(
    "relu",
    [
        torch.relu,
        F.relu,
        nn.ReLU(inplace=True),
        lambda x: F.relu(input=x),
        lambda x: torch.relu(input=x),
        lambda x: [x.relu_(), x][1],
        lambda x: [F.relu(x, inplace=True), x][1],
        lambda x: [x[1:].relu_(), x][1][1:],
    ],
)
def test_a_rule_stands_in_wherever_its_function_is_called(relu):
    found = back(relu, X)
    assert found[1] == 2.0 and found[0] in (2.0, 0.0)


def test_in_place_calls_change_the_tensor_itself():
    seen = []
    back(lambda x: [x.relu_(), seen.append(x.tolist()), x][2], X)
    assert seen == [[0.0, 2.0]]


def test_what_weights_alone_make_is_no_part_of_the_graph():
    weight = nn.Parameter(torch.ones(2))
    made = []

    def function(x):
        made.extend([weight * 2, weight.view(2, 1), weight.relu(), weight])
        return x * made[0] + made[1].sum()

    assert back(function, X) == [2.0, 2.0]
    assert not any(map(depends, made)) and made[3] is weight and weight.requires_grad and weight.grad is None


def test_grad_mode_set_by_the_network_is_kept():
    def function(x):
        with torch.no_grad():
            scale = x.abs().sum()
        torch.zeros(2).add_(1)
        return x * scale

    assert back(function, X) == [3.0, 3.0]


def test_without_a_rule_there_is_an_error_that_names_the_function():
    with pytest.raises(UsageError, match="`test` has no rule for `torch.sinh`, which this network uses; `gradcam` and"):
        back(lambda x: torch.sinh(x), X, native=frozenset({"clone"}))
    assert back(lambda x: x * len(x) * x.shape[0] + (x > 0), X, native=frozenset({"clone", "mul", "add"})) == [4.0, 4.0]


def test_the_mode_ends_with_the_block():
    with pytest.raises(KeyboardInterrupt):
        back(lambda x: (_ for _ in ()).throw(KeyboardInterrupt), X)
    assert not torch.overrides._get_current_function_mode_stack()


def test_a_call_can_be_made_on_other_tensors():
    x, y = X.clone().requires_grad_(), X.clone()
    call = Call.of(torch.Tensor.add_, (y, x), {"alpha": 3})
    assert (call.name, call.inplace, call.inputs[0] is x) == ("add", True, True)
    assert call.on(torch.ones(2)).tolist() == [2.0, 5.0] and y.tolist() == X.tolist()
    assert Call.of(torch.Tensor.__rsub__, (x, 1), {}).name == "rsub"
    assert Call.of(F.relu, (), {"input": x, "inplace": True}).args[0] is x
