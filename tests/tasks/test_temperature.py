"""Temperature: a worked value, a known answer, the two forms of two classes, and where there is none."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional as F

from fovea.metrics import calibration_error
from fovea.tasks.classes import probabilities
from fovea.tasks.temperature import RANGE, fit_temperature


def overconfident(count=4000, *, factor=3.0, classes=5):
    """Return logits `factor` times as large as those that the labels were drawn from, and the labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    return logits * factor, labels


def test_worked_value():
    # three of four are right at a margin of 2: the likelihood is largest where sigmoid(2 / T) = 3/4, T = 2 / log 3
    logits = torch.tensor([[2.0, 0.0]]).expand(4, 2)
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(2 / math.log(3), rel=1e-4)


def test_logits_that_are_too_large_are_brought_back_and_become_calibrated():
    logits, labels = overconfident()
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(3.0, rel=0.05)
    before, after = (
        calibration_error(probabilities(logits, temperature=t).numpy(), labels.numpy()) for t in (1, temperature)
    )
    assert before > 0.15 and after < 0.03


def test_the_likelihood_has_its_minimum_there():
    logits, labels = overconfident(500)
    found = minimize(lambda t: F.cross_entropy(logits / float(t[0]), labels).item(), x0=[1.0], method="Nelder-Mead")
    assert fit_temperature(logits, labels) == pytest.approx(found.x[0], rel=1e-3)


def test_a_single_sigmoid_unit_has_the_temperature_of_two_classes():
    logits, labels = overconfident(300, classes=2)
    single = (logits[:, 1] - logits[:, 0])[:, None]
    assert fit_temperature(single, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_no_mistake_no_temperature():
    logits, _ = overconfident(20)
    assert fit_temperature(logits, logits.argmax(1)) is None


def test_a_network_worse_than_chance_gets_the_highest_and_no_more():
    logits, _ = overconfident(50)
    temperature = fit_temperature(logits, logits.argmin(1))
    assert RANGE[1] * 0.99 < temperature <= RANGE[1] and np.isfinite(temperature)
