import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from fovea.errors import BundleError
from fovea.exporting.assembly import assembled
from fovea.exporting.core import float_core
from fovea.exporting.proof import agreement, prove
from fovea.exporting.reference import ProofError, Reference, reference
from fovea.exporting.samples import Samples, generated
from fovea.exporting.settings import PLAIN
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

GREY = Preprocess(size=(2, 2), channels=1, mean=(0.0,), std=(1.0,))


class FirstPixels(nn.Module):
    """The first K pixels are the logits."""

    def __init__(self, outputs, offset=0.0):
        super().__init__()
        self.outputs = outputs
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, x):
        return x.flatten(1)[:, : self.outputs] + self.offset


@pytest.fixture
def refer(make_loaded):
    """Return a function of rows of pixels 0..255 and a target that gives what `FirstPixels` says of them."""

    def make(pixels, target=None, **given):
        target = target or Classes(names=("a", "b"))
        stored = np.zeros((len(pixels), 2, 2, 1), np.uint8)
        stored.reshape(len(pixels), 4)[:, : len(pixels[0])] = pixels
        loaded = make_loaded(FirstPixels(target.outputs, **given), target=target, preprocess=GREY)
        return reference(loaded, Samples(stored, "pixels"))

    return make


def said(expected, change=0.0, **rows):
    """Return outputs of a graph that are off by `change`, with the rows that belong to them."""
    logits = expected.logits + torch.as_tensor(change, dtype=torch.float32)
    target = expected.bundle.target
    return {target.row_name: target.decode(logits).astype(np.float32), "logits": logits.numpy(), **rows}


def test_the_scale_is_how_much_logits_vary_from_sample_to_sample(refer):
    expected = refer([[0, 255], [255, 255]])
    # the first logit is 0 and 1, the second 1 and 1: deviations 1/2, 1/2, 0, 0
    assert expected.scale == pytest.approx((0.5 / 4) ** 0.5)


def test_equal_outputs_agree(refer):
    proof = agreement(said(refer([[0, 255], [255, 0]])), refer([[0, 255], [255, 0]]))
    assert (proof.images, proof.largest_difference, proof.changed_decisions, proof.decisions) == (2, 0, 0, 2)
    assert proof.line == "2 pixels: logits differ by at most 0, 0.0e+00 of their scale, 0 of 2 decisions changed"


@pytest.mark.parametrize("change", [2e-4, -2e-4, float("nan")])
def test_what_is_off_by_more_than_the_tolerance_fails(refer, change):
    expected = refer([[0, 255], [255, 0]])
    assert expected.scale == 0.5
    with pytest.raises(ProofError, match="No file is written"):
        agreement(said(expected, change), expected)


def test_what_is_off_by_less_is_said(refer):
    expected = refer([[0, 255], [255, 0]])
    assert agreement(said(expected, 2e-5), expected).largest_difference == pytest.approx(2e-5, rel=1e-2)


def test_a_decision_that_hangs_on_nothing_may_change(refer):
    expected = refer([[0, 255], [255, 0], [100, 100]])
    change = torch.tensor([[0, 0], [0, 0], [0, 1e-5]])
    proof = agreement(said(expected, change), expected)
    assert (proof.changed_decisions, proof.decisions) == (1, 3)


def test_a_firm_decision_may_not_change_even_in_half_precision(refer):
    expected = refer([[0, 255], [255, 0], [107, 100]])
    change = torch.tensor([[0, 0], [0, 0], [-0.02, 0.02]])
    with pytest.raises(ProofError, match="1 of 3 decisions"):
        agreement(said(expected, change), expected, precision="float16")


def test_half_precision_may_be_further_off(refer):
    expected = refer([[0, 255], [255, 0]])
    assert agreement(said(expected, 0.01), expected, precision="float16").largest_difference == pytest.approx(0.01)


def test_rows_that_are_not_those_of_the_logits_fail(refer):
    expected = refer([[0, 255], [255, 0]])
    with pytest.raises(ProofError, match="decoded probabilities"):
        agreement(said(expected, probabilities=np.full((2, 2), 0.5, np.float32)), expected)


@pytest.mark.parametrize(
    "target",
    [SeveralLabels(names=("a", "b"), loss="bce", thresholds=(0.4, 0.6)), Number(mean=30.0, std=5.0)],
    ids=["labels", "number"],
)
def test_other_targets_are_compared_by_what_they_decide(refer, target):
    expected = refer([[0, 255][: target.outputs], [255, 0][: target.outputs]], target)
    proof = agreement(said(expected), expected)
    assert proof.decisions == {"labels": 4, "number": 0}[target.name]


@pytest.mark.parametrize("pixels", [[[7, 9], [7, 9]], [[7, 9]]])
def test_a_network_that_says_the_same_of_all_cannot_be_proven(refer, pixels):
    with pytest.raises(ProofError, match="predicts the same for every image"):
        refer(pixels)


def test_logits_that_vary_next_to_nothing_beside_their_size_cannot_be_proven(refer):
    with pytest.raises(ProofError, match="Train the network first"):
        refer([[0, 255], [255, 0]], offset=1e6)


def test_a_network_that_says_what_is_no_number_is_spoilt(refer):
    with pytest.raises(BundleError, match="not finite"):
        refer([[0, 255], [255, 0]], offset=float("inf"))


class Rounding(nn.Module):
    """Differences of large numbers: in float32 they are off by as much as the sum's last digit."""

    def __init__(self):
        super().__init__()
        self.large = nn.Parameter(torch.tensor(3000.3))

    def forward(self, x):
        return (x.flatten(1)[:, :2] * 0.1 + self.large) - self.large


@pytest.fixture
def rounded(make_loaded):
    stored = np.random.default_rng(0).integers(0, 256, (32, 2, 2, 1), np.uint8)
    loaded = make_loaded(Rounding(), target=Classes(names=("a", "b")), preprocess=GREY)
    return reference(loaded, Samples(stored, "pixels"))


def test_rounding_that_the_network_has_itself_is_no_fault(rounded: Reference):
    assert (rounded.logits - rounded.exact).abs().max() > 1e-4 * rounded.scale
    exact = {"logits": rounded.exact.float().numpy()}
    proof = agreement(exact, rounded)
    assert proof.rounding["graph"] < proof.rounding["network"]
    assert "rounding" in proof.line


def test_the_last_digit_of_large_logits_is_no_fault(refer):
    expected = refer([[0, 255], [255, 0]], offset=1000.0)
    assert (expected.logits == expected.exact).all()
    digit = np.spacing(np.float32(1000))
    assert digit > 1e-4 * expected.scale
    assert agreement(said(expected, digit), expected).rounding == {"graph": pytest.approx(digit), "network": 0}


def test_a_fault_among_rounding_is_one(rounded: Reference):
    own = (rounded.logits - rounded.exact).abs().max()
    faulty = (rounded.exact + 5 * own).float().numpy()
    with pytest.raises(ProofError, match="differs from the network"):
        agreement({"logits": faulty}, rounded)


def test_a_graph_with_one_changed_weight_is_not_proven(loaded):
    model = assembled(float_core(loaded.model, loaded.preprocess.shape), loaded.card, PLAIN)
    expected = reference(loaded, generated(loaded.preprocess, count=16))
    assert prove(model.SerializeToString(), expected, PLAIN).changed_decisions == 0
    (tensor,) = [tensor for tensor in model.graph.initializer if list(tensor.dims) == [3, 8]]
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(ProofError):
        prove(model.SerializeToString(), expected, PLAIN)


@pytest.mark.parametrize("content", [b"", b"no graph", onnx.ModelProto().SerializeToString()])
def test_what_is_no_graph_is_not_proven(loaded, content):
    expected = reference(loaded, generated(loaded.preprocess, count=4))
    with pytest.raises(ProofError, match="ONNX Runtime cannot load"):
        prove(content, expected, PLAIN)
