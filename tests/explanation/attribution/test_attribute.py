"""`fovea.attribute`: any network and inputs, in one function; the network is left as it was."""

import re
from pathlib import Path

import pytest
import torch
from small_networks import Residual, built, images, same_state, state
from torch import nn

import fovea
from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.attribute import attribute
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.objective import Objective

PAGE = (Path(__file__).parents[3] / "docs" / "explain.md").read_text()


def small():
    torch.manual_seed(0)
    body = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(6, 4))


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("name", METHODS)
def test_a_network_in_training_is_explained_as_in_evaluation_and_trains_on(name):
    model, x = small().train(), images().float()
    model[1].eval()  # not all of one mode
    mode, before, kept = modes(model), state(model), x.clone()
    found = fovea.attribute(model, x, name, batch=16)
    assert modes(model) == mode and same_state(before, state(model)) and torch.equal(x, kept)
    model.eval()
    answers = model(x).argmax(1)
    expected = METHODS[name](model, x, Objective(answers=answers), batch=16)
    torch.testing.assert_close(found.values, expected.values)
    assert (found.layer, found.figures.keys()) == (expected.layer, expected.figures.keys())


def test_the_mode_comes_back_after_an_error_too():
    model = small().train()
    with pytest.raises(UsageError, match="Unknown layer `relu`"):
        attribute(model, images().float(), layer="relu")
    assert all(modes(model))


def test_the_answer_is_the_largest_output_or_the_one_named():
    model, x = built(Residual), images(3)
    said = model(x).argmax(1)
    named = attribute(model, x, answer=said.tolist()).values
    assert torch.equal(attribute(model, x).values, named) and torch.equal(
        attribute(model, x, answer=said).values, named
    )
    one = attribute(model, x, "saliency", answer=2).values
    torch.testing.assert_close(one, attribute(model, x, "saliency", answer=[2, 2, 2]).values)
    both = attribute(model, x, "gradient_x_input", answer=2, against=[0, 1, 3]).values
    apart = attribute(model, x, "gradient_x_input", answer=[0, 1, 3]).values
    torch.testing.assert_close(both, attribute(model, x, "gradient_x_input", answer=2).values - apart)


@pytest.mark.parametrize("name", ["gradcam", "integrated_gradients", "rise", "counterfactual"])
def test_a_few_inputs_at_a_time_give_the_same(name):
    model, x, told, seen = built(Residual), images(5), [], []
    whole = attribute(model, x, name, answer=[0, 1, 2, 3, 0])
    hook = model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    few = attribute(model, x, name, answer=[0, 1, 2, 3, 0], batch=2, progress=lambda *numbers: told.append(numbers))
    hook.remove()
    torch.testing.assert_close(few.values, whole.values)
    torch.testing.assert_close(dict(few.figures), dict(whole.figures), equal_nan=True)
    shares = [done / total for done, total in told]
    assert max(seen) == 2 and shares == sorted(shares) and shares[-1] == 1


def test_inputs_of_another_type_and_callers_without_gradients():
    model, x = small().eval(), images().float()
    expected = attribute(model, x, "integrated_gradients").values
    for without in (torch.no_grad, torch.inference_mode):
        with without():
            found = attribute(model, images(), "integrated_gradients").values
            assert not torch.is_grad_enabled()
        torch.testing.assert_close(found, expected)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_what_does_not_fit_is_refused():
    model, x = small(), images().float()
    for wrong, message in (
        ((x[0], "gradcam"), r"`x` has shape \(3, 12, 12\), and must be \(N, C, H, W\)"),
        ((x[:0], "gradcam"), r"`x` has shape \(0, 3, 12, 12\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            attribute(model, *wrong)
    with pytest.raises(UsageError, match="`x` is of uint8; it must be float"):
        attribute(model, x.byte())
    with pytest.raises(UsageError, match="Unknown method `gradcm`; did you mean `gradcam`"):
        attribute(model, x, "gradcm")
    with pytest.raises(
        UsageError,
        match=(
            r"`layer` \(=2\) works only for methods that weigh feature maps; "
            r"saliency explains"
        ),
    ):
        attribute(model, x, "saliency", layer="2")
    with pytest.raises(UsageError, match=r"The output of `6` is \(1, 4\), not a feature map"):
        attribute(model, x, layer="6")
    with pytest.raises(UsageError, match=r"`answer` \(=4\) must be from 0 to 3: the network's outputs"):
        attribute(model, x, answer=4)
    with pytest.raises(ShapeError, match="`against` has 3 answers for 2 inputs"):
        attribute(model, x, against=[0, 1, 2])
    with pytest.raises(UsageError, match=r"`batch` \(=0\) must be at least 1"):
        attribute(model, x, batch=0)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: x, r"The network's output is \(2, 3, 12, 12\); it must be a tensor \(N, K\)"),
        (lambda x: {"logits": x}, "The network's output is of type `dict`"),
    ],
)
def test_a_network_of_other_outputs_is_refused(outputs, message):
    class Other(nn.Module):
        def forward(self, x):
            return outputs(x)

    with pytest.raises(ShapeError, match=message):
        attribute(Other(), images(), "saliency")


def test_the_example_of_the_page_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "docs/explain.md", "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()
