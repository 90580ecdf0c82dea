"""What a network saw and said of its validation images, as its card keeps it."""

import numpy as np
import pytest
import torch

import fovea
from fovea.data.dataset import Rows
from fovea.drift import MEASURES, Reference, measures_of
from fovea.evaluation.validation import AT_ONCE, MOST, chosen_images, reference_by, reference_of


def test_the_images_that_count_are_spread_over_all():
    assert chosen_images(3).tolist() == [0, 1, 2]
    chosen = chosen_images(10 * MOST)
    assert (len(chosen), chosen[0], chosen[-1]) == (MOST, 0, 10 * MOST - 1)
    assert set(np.diff(chosen).tolist()) <= {9, 10, 11}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (AT_ONCE + 6, 4, 4, 3), np.uint8)


def test_a_reference_counts_what_the_network_says_and_sees(make_bundle, images):
    bundle = fovea.load(make_bundle())
    found = reference_by(bundle, "val", images)
    expected = Reference.of("val", measures_of(images, bundle.scores(images)))
    assert found.to_dict() == expected.to_dict()
    assert found.images == len(images)
    assert all(sum(histogram.counts) == len(images) for histogram in found.histograms.values())


def test_of_images_that_are_stored_larger_what_the_network_sees_counts(make_bundle, images):
    bundle = fovea.load(make_bundle())
    roomy = np.kron(images, np.ones((1, 2, 2, 1), np.uint8))
    rows = bundle.scores(images)
    fitted = np.stack([bundle.preprocess.fit_stored(image) for image in roomy])
    expected = Reference.of("val", measures_of(fitted, rows))
    some = Rows(roomy, np.arange(len(roomy)))
    assert reference_of("val", some, rows, bundle.preprocess).to_dict() == expected.to_dict()


@pytest.mark.parametrize(("fraction", "split"), [(0.2, "val"), (0.0, "test")])
def test_a_training_keeps_it_on_the_card(tmp_path, monkeypatch, fraction, split):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    run = fovea.train(
        "digits",
        model="mlp",
        size=8,
        epochs=1,
        out=tmp_path / "run",
        val_fraction=fraction,
        threads=1,
        precision="float32",
    )
    card = fovea.load(run.model).card
    reference = Reference.from_card(card)
    assert reference is not None
    assert (reference.split, list(reference.histograms)) == (split, list(MEASURES))
    assert reference.images == card.trained_on.images[split]
