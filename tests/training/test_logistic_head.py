"""The head by logistic regression: against scikit-learn, its cross-validation, and what moves it in the end."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fovea.training.logistic_head import LEAST_SHARE, STRENGTHS, UNCHOSEN, fitted_head, refitted


def clouds(count, *, dimensions=6, classes=3, apart=2.0, seed=0):
    """Return features (N, D) of classes around different means, and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    means = apart * np.random.default_rng(1).normal(size=(classes, dimensions))
    features = means[labels] + generator.normal(size=(count, dimensions))
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def answers(head, x):
    return x @ head.weight.T + head.bias


def test_the_head_is_scikit_learns_at_the_same_strength():
    x, labels = clouds(90)
    head = fitted_head(x, labels, classes=3, strength=0.1)
    variance = x.var(0, unbiased=False)
    centred = (x - x.mean(0)) / (variance + LEAST_SHARE * variance.mean()).sqrt()
    oracle = LogisticRegression(C=0.1, max_iter=1000, tol=1e-8).fit(centred, labels)
    assert np.abs(answers(head, x).softmax(1).numpy() - oracle.predict_proba(centred)).max() < 1e-3


def test_versions_of_an_image_count_for_one():
    x, labels = clouds(90)
    versions = torch.stack((x, x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))))
    head = fitted_head(versions, labels, classes=3, strength=0.1)
    every = versions.reshape(-1, x.shape[1])
    variance = every.var(0, unbiased=False)
    centred = (every - every.mean(0)) / (variance + LEAST_SHARE * variance.mean()).sqrt()
    oracle = LogisticRegression(C=0.05, max_iter=1000, tol=1e-8).fit(centred, labels.repeat(2))
    assert np.abs(answers(head, every).softmax(1).numpy() - oracle.predict_proba(centred)).max() < 1e-3
    copies = fitted_head(torch.stack((x, x, x)), labels, classes=3, strength=0.1)
    once = fitted_head(x, labels, classes=3, strength=0.1)
    assert torch.allclose(copies.weight, once.weight, atol=1e-3)
    assert copies.images == 90 and "90 images, 3 versions of each" in copies.described()


def test_two_classes_have_two_outputs_with_the_odds_between_them():
    x, labels = clouds(60, classes=2)
    head = fitted_head(x, labels, classes=2, strength=0.1)
    assert head.weight.shape == (2, 6)
    assert torch.allclose(head.weight[0], -head.weight[1])
    assert (answers(head, x).argmax(1) == labels).float().mean() > 0.9


def test_fewer_images_than_features_give_the_same_head_in_fewer_dimensions():
    x, labels = clouds(12, dimensions=40)
    head = fitted_head(x, labels, classes=3, strength=0.3)
    variance = x.var(0, unbiased=False)
    centred = (x - x.mean(0)) / (variance + LEAST_SHARE * variance.mean()).sqrt()
    oracle = LogisticRegression(C=0.3, max_iter=1000, tol=1e-8).fit(centred, labels)
    assert np.abs(answers(head, x).softmax(1).numpy() - oracle.predict_proba(centred)).max() < 1e-3


def test_noise_asks_for_more_regularisation_than_clear_classes():
    clear, noisy = (fitted_head(*clouds(120, apart=apart), classes=3) for apart in (4.0, 0.2))
    assert noisy.strength < clear.strength
    assert noisy.strength in STRENGTHS and clear.correct > noisy.correct


def test_the_cross_validated_accuracy_is_that_of_images_left_out():
    labels = torch.arange(60) % 3
    noise = torch.randn(60, 200, generator=torch.Generator().manual_seed(0))  # any head fits these 60 by heart
    head = fitted_head(noise, labels, classes=3)
    assert head.correct / head.images < 0.55
    assert "cross-validated accuracy" in head.described()


def test_the_same_seed_gives_the_same_head():
    x, labels = clouds(60)
    first, second = (fitted_head(x, labels, classes=3, seed=4) for _ in range(2))
    assert torch.equal(first.weight, second.weight) and first.strength == second.strength


def test_a_class_of_one_image_leaves_the_strength_unchosen():
    x, labels = clouds(31, classes=3)
    labels[labels == 2] = 0
    labels[0] = 2
    head = fitted_head(x, labels, classes=3)
    assert head.strength == UNCHOSEN and head.correct is None
    assert "too few images" in head.described()


def test_a_class_without_images_is_never_the_answer():
    x, labels = clouds(60, classes=2)
    head = fitted_head(x, labels, classes=4)
    assert head.weight.shape == (4, 6)
    assert set(answers(head, x).argmax(1).tolist()) <= {0, 1}


def test_progress_counts_to_its_end():
    seen = []
    fitted_head(*clouds(30), classes=3, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(seen), len(seen))


def test_a_refitted_head_stays_near_and_follows_further_labels():
    x, labels = clouds(90)
    head = fitted_head(x, labels, classes=3, strength=0.1)
    before = torch.nn.functional.cross_entropy(answers(head, x), labels)
    same = refitted(head.weight, head.bias, x, labels, strength=1e-6)
    moved = refitted(head.weight, head.bias, x, labels, strength=0.1)
    assert (same.weight - head.weight).abs().max() < 1e-3
    assert torch.nn.functional.cross_entropy(answers(moved, x), labels) < before


@pytest.mark.parametrize("balanced", [False, True])
def test_rare_classes_weigh_as_much_only_where_asked(balanced):
    x, labels = clouds(200, classes=2, apart=0.3)
    keep = torch.cat([torch.where(labels == 0)[0], torch.where(labels == 1)[0][:10]])
    head = fitted_head(x[keep], labels[keep], classes=2, balanced=balanced, strength=0.1)
    share = (answers(head, x[keep]).argmax(1) == 1).float().mean()
    assert (share > 0.2) == balanced
