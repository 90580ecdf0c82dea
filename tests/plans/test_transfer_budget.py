"""What a plan says of a budget for a network with trained weights."""

import pytest

from fovea.plans.transfer_budget import _passes


@pytest.mark.parametrize(
    ("epochs", "words"),
    [(-1.2, "less than one epoch"), (0.9, "less than one epoch"), (1.2, "about 1 epoch"), (7.6, "about 8 epochs")],
)
def test_the_epochs_that_a_budget_affords_are_said_in_words(epochs, words):
    assert _passes(epochs) == words
