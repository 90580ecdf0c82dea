"""Temperature: a worked value, a known answer, the two forms of two classes, and outputs of any size."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional as F

from fovea.metrics import calibration_error
from fovea.tasks.classes import Classes, probabilities
from fovea.tasks.temperature import LIMITS, RANGE, fit_temperature, smoothed


def overconfident(count=4000, *, factor=3.0, classes=5):
    """Return logits `factor` times as large as those that the labels were drawn from, and the labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    return logits * factor, labels


def fitted(logits, labels):
    """Return the temperature against labels as they are."""
    return fit_temperature(logits, lambda z: F.cross_entropy(z, labels))


def named(count, **fields):
    return Classes(names=tuple(map(str, range(count))), **fields)


def test_worked_value():
    # three of four are right at a margin of 2: the likelihood is largest where sigmoid(2 / T) = 3/4, T = 2 / log 3
    logits = torch.tensor([[2.0, 0.0]]).expand(4, 2)
    assert fitted(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(2 / math.log(3), rel=1e-4)


def test_logits_that_are_too_large_are_brought_back_and_become_calibrated():
    logits, labels = overconfident()
    temperature = named(5).calibrated(logits, labels.numpy()).temperature
    assert temperature == pytest.approx(3.0, rel=0.05)
    before, after = (
        calibration_error(probabilities(logits, temperature=t).numpy(), labels.numpy()) for t in (1, temperature)
    )
    assert before > 0.15 and after < 0.03


def test_the_likelihood_has_its_minimum_there():
    logits, labels = overconfident(500)
    found = minimize(lambda t: F.cross_entropy(logits / float(t[0]), labels).item(), x0=[1.0], method="Nelder-Mead")
    assert fitted(logits, labels) == pytest.approx(found.x[0], rel=1e-3)


def test_a_single_sigmoid_unit_has_the_temperature_of_two_classes():
    logits, labels = overconfident(300, classes=2)
    single = (logits[:, 1] - logits[:, 0])[:, None]
    one = named(2, loss="binary").calibrated(single, labels.numpy())
    two = named(2).calibrated(logits, labels.numpy())
    assert one.temperature == pytest.approx(two.temperature, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_temperature_follows_the_size_of_the_outputs(scale):
    logits, labels = overconfident(300)
    assert fitted(logits * scale, labels) == pytest.approx(scale * fitted(logits, labels), rel=1e-3)


def test_targets_are_smoothed_by_the_number_of_images():
    # e = 1 / (2 + 2)
    assert smoothed(torch.tensor([2, 0]), 3).tolist() == [[0.125, 0.125, 0.75], [0.75, 0.125, 0.125]]
    assert smoothed(torch.arange(9) % 4, 4).sum(1).tolist() == pytest.approx([1.0] * 9)
    assert smoothed(torch.tensor([0]), 1).tolist() == [[pytest.approx(2 / 3)]]


@pytest.mark.parametrize("count", [1, 3, 200])
def test_a_temperature_is_always_there(count):
    logits, _ = overconfident(count)
    cases = {"all right": logits.argmax(1), "all wrong": logits.argmin(1), "one class": torch.zeros(count).long()}
    for name, labels in cases.items():
        for scale in (1e-30, 1e-3, 1.0, 1e3, 1e30):
            found = named(5).calibrated((logits * scale).float(), labels.numpy())
            assert LIMITS[0] <= found.temperature <= LIMITS[1], name
            assert np.isfinite(list(found.calibration.values())[1:]).all()


def test_outputs_that_say_nothing_keep_their_temperature():
    assert fitted(torch.zeros(3, 2), torch.tensor([0, 1, 1])) == 1.0
    assert fitted(torch.full((3, 2), math.inf), torch.tensor([0, 1, 1])) == 1.0


def test_a_network_worse_than_chance_becomes_next_to_indifferent():
    logits, _ = overconfident(50)
    temperature = fitted(logits, logits.argmin(1))
    assert temperature == pytest.approx(RANGE[1] * logits.abs().max().item(), rel=0.01)
    assert probabilities(logits, temperature=temperature).max() < 0.25


def test_a_network_that_claims_80_percent_and_is_right_in_99_5_is_believed_after_a_flawless_validation():
    # ten classes, learned with a label smoothing of 0.2: softmax near 0.82 on the answer, 0.02 elsewhere
    def smoothly(count, wrong):
        logits = torch.randn(count, 10, generator=torch.Generator().manual_seed(count)) * 0.3
        answers = torch.arange(count) % 10
        logits[torch.arange(count), answers] += math.log(0.82 / 0.02)
        labels = answers.clone()
        labels[:wrong] = (labels[:wrong] + 1) % 10
        return logits, labels.numpy()

    task = named(10).calibrated(*smoothly(150, wrong=0))
    test = smoothly(1000, wrong=5)
    assert named(10).reliability(*test).error > 0.15
    assert task.reliability(*test).error < 0.03
