import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.measurement.network import measure_network
from fovea.zoo.causal import receptive_field


def steps_that_matter(model: torch.nn.Module, x: torch.Tensor, t: int) -> list[int]:
    """Return the steps of a series (1, C, T) on which the features at step t depend, by their gradient."""
    x = x.clone().requires_grad_()
    model.features(x)[0, :, t].sum().backward()
    return x.grad.abs().sum((0, 1)).nonzero().flatten().tolist()


def lively(**arguments: object) -> torch.nn.Module:
    """Return a network in which no ReLU is shut: all weights and biases above 0."""
    model = registry.build("causal_1d", **arguments).double().eval()
    for parameter in model.parameters():
        parameter.data.abs_()
    return model


@pytest.mark.parametrize(("kernel", "levels"), [(2, 1), (2, 3), (3, 2), (3, 3), (5, 2)])
def test_a_step_sees_itself_and_as_many_before_it_as_the_formula_says(kernel, levels):
    seen, model = receptive_field(kernel, levels), lively(kernel=kernel, levels=levels, width=3)
    for t in (0, 5, 39):
        x = torch.rand(1, 1, 40, dtype=torch.float64)
        assert steps_that_matter(model, x, t) == list(range(max(0, t - seen + 1), t + 1))


@pytest.mark.parametrize("training", [False, True])
def test_no_output_changes_with_what_comes_after_it(training):
    torch.manual_seed(0)
    model = registry.build("causal_1d", c_in=2, levels=4, width=8).double().train(training)
    x = torch.randn(2, 2, 30, dtype=torch.float64)
    for t in (0, 7, 28):
        other = x.clone()
        other[..., t + 1 :] = torch.randn_like(other[..., t + 1 :])
        assert torch.equal(model.features(x)[..., : t + 1], model.features(other)[..., : t + 1])
        assert not torch.equal(model.features(x)[..., t + 1 :], model.features(other)[..., t + 1 :])


def test_the_measured_field_is_that_of_the_formula():
    for arguments in ({}, {"kernel": 3, "levels": 4}):
        (axis,) = measure_network(registry.build("causal_1d", **arguments), (1, 784)).groups[0].field
        resolved = registry.arguments_of("causal_1d", **arguments)
        seen = receptive_field(resolved["kernel"], resolved["levels"])
        assert (axis.lo, axis.hi) == (784 - seen, 784)  # the last step, unclipped


def test_parameters_of_table_2_by_hand():
    # Bai et al. 2018, Table 1: about 70 K for sequential MNIST
    first = (7 * 25 + 25 + 25) + (25 * 7 * 25 + 25 + 25) + (25 + 25)  # direction, length and bias; the projection
    others = 7 * 2 * (25 * 7 * 25 + 25 + 25)
    assert registry.entry("causal_1d").params == first + others + 25 * 10 + 10 == 66_910
    assert receptive_field(7, 8) > 784


def test_the_logits_are_those_of_the_last_step():
    torch.manual_seed(0)
    model, x = registry.build("causal_1d", levels=2).eval(), torch.randn(3, 1, 20)
    assert torch.equal(model(x), model.head.logits(model.features(x)[..., -1]))


@pytest.mark.parametrize("name", ["kernel", "levels", "width"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(UsageError, match=rf"`{name}` \(=0\) must be at least 1"):
        registry.build("causal_1d", **{name: 0})
