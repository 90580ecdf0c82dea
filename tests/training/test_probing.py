"""The closed form of the last layer, against hand computation and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number
from fovea.training import probing
from fovea.training.probing import Moments, discriminants, fit_head, logistic, nearest_means, regression, shrunk


def clouds(count=600, *, dimensions=3, seed=0):
    """Return features (N, D) of three classes around different means, and the labels."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, count, p=[0.2, 0.3, 0.5])
    means = np.array([[0, 0, 0], [3, 0, 1], [0, 3, -1]])[:, :dimensions]
    mixing = generator.normal(size=(dimensions, dimensions))
    features = means[labels] + generator.normal(size=(count, dimensions)) @ mixing
    return torch.from_numpy(features), torch.from_numpy(labels)


@pytest.fixture
def unshrunk(monkeypatch):
    monkeypatch.setattr(probing, "shrunk", lambda covariance, count, **_: covariance)


def test_two_classes_on_a_line_are_parted_in_the_middle(unshrunk):
    x = torch.tensor([[-1.0], [1.0], [3.0], [5.0]])  # means 0 and 4, variance 1: log odds 4 x - 8
    weight, bias = discriminants(Moments.of(x, F.one_hot(torch.tensor([0, 0, 1, 1]))))
    assert weight.tolist() == [[0.0], [4.0]]
    assert (bias[1] - bias[0]).item() == pytest.approx(-8)


def test_discriminants_give_scikit_learns_probabilities(unshrunk):
    x, labels = clouds()
    weight, bias = discriminants(Moments.of(x, F.one_hot(labels)))
    count = F.one_hot(labels).sum(0).double()
    bias += count.log() - (count + 1).log()  # scikit-learn counts frequencies from no image
    mine = (x @ weight.T + bias).softmax(1).numpy()
    oracle = LinearDiscriminantAnalysis(solver="lsqr").fit(x, labels)
    assert np.abs(mine - oracle.predict_proba(x)).max() < 1e-9


def test_the_nearest_mean_has_the_largest_output():
    x, labels = clouds()
    weight, bias = nearest_means(Moments.of(x, F.one_hot(labels)))
    means = torch.stack([x[labels == k].mean(0) for k in range(3)])
    assert ((x @ weight.T + bias).argmax(1) == torch.cdist(x, means).argmin(1)).all()


def test_means_one_apart_at_variance_two_by_hand():
    # means 0 and 4, variance within 2: outputs 0 and 2 x - 4
    x = torch.tensor([[-(2**0.5)], [2**0.5], [4 - 2**0.5], [4 + 2**0.5]], dtype=torch.float64)
    weight, bias = nearest_means(Moments.of(x, F.one_hot(torch.tensor([0, 0, 1, 1]))))
    assert torch.cat([weight[:, 0], bias]).tolist() == pytest.approx([0, 2, 0, -4], abs=1e-12)


def test_one_image_a_class_is_enough_for_means():
    x = torch.tensor([[0.0, 1.0], [5.0, 1.0]])
    weight, bias = nearest_means(Moments.of(x, F.one_hot(torch.tensor([0, 1]))))
    assert ((x.double() @ weight.T + bias).argmax(1) == torch.tensor([0, 1])).all() and weight.isfinite().all()


def test_a_head_is_fitted_by_another_form_where_one_is_asked_for():
    x, labels = clouds()
    model = nn.Sequential(nn.Linear(3, 3, dtype=torch.float64))
    fit_head(model, [(x, labels)], target=Classes(names=("a", "b", "c")), form="means")
    assert torch.equal(model[0].weight, nearest_means(Moments.of(x, F.one_hot(labels)))[0])


def test_regression_without_shrinkage_is_least_squares(unshrunk):
    x, _ = clouds()
    t = x @ torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64) + 5 + 0.1 * torch.randn(600, 1)
    weight, bias = regression(Moments.of(x, t))
    oracle = LinearRegression().fit(x, t)
    assert np.allclose(weight, oracle.coef_) and np.allclose(bias, oracle.intercept_)


def test_few_samples_shrink_more():
    covariance = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    # traces 4 and 10: (0 * 10 + 16) / (31 * (10 - 8)) = 8 / 31 of the way to 2 and 2
    assert torch.allclose(shrunk(covariance, 31).diagonal(), torch.tensor([1 + 8 / 31, 3 - 8 / 31]).double())
    assert torch.equal(shrunk(covariance, 4), 2 * torch.eye(2, dtype=torch.float64))


def test_shrinkage_of_many_features_comes_near_scikit_learns():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 200)) * np.linspace(0.5, 2, 200))
    oracle = OAS(assume_centered=True).fit(x).covariance_  # without the terms 2 / D
    assert np.abs(shrunk(x.T @ x / 300, 300).numpy() - oracle).max() < 0.01 * oracle.max()


def test_features_that_never_change_do_not_break_it():
    x = torch.zeros(6, 3)
    weight, bias = discriminants(Moments.of(x, F.one_hot(torch.tensor([0, 0, 1, 1, 1, 1]))))
    assert torch.isfinite(weight).all() and bias.argmax() == 1


def test_a_class_without_images_is_the_least_probable():
    x, labels = clouds(50)
    weight, bias = discriminants(Moments.of(x, F.one_hot(labels, 4)))
    assert torch.isfinite(weight).all()
    assert (x @ weight.T + bias).softmax(1).mean(0).argmin() == 3


def test_batch_by_batch_is_the_same_as_at_once():
    x, labels = clouds(64)
    whole, parts = Moments.of(x, F.one_hot(labels)), Moments.of(x[:10], F.one_hot(labels[:10], 3))
    parts.add(Moments.of(x[10:], F.one_hot(labels[10:], 3)))
    for one, other in zip(discriminants(whole), discriminants(parts), strict=True):
        assert torch.allclose(one, other)


# in a network


def batches(part, preprocess, size=8):
    images = torch.from_numpy(preprocess.normalise(np.asarray(part.decoded)))
    return zip(images.split(size), torch.from_numpy(part.labels).split(size), strict=True)


def test_the_head_of_a_network_separates_the_classes_after_one_pass(make_trainer):
    trainer = make_trainer()
    body = {name: p.clone() for name, p in trainer.model.state_dict().items() if not name.startswith("6.")}
    fit_head(trainer.model, batches(trainer.train_part, trainer.preprocess), target=trainer.target)
    found = trainer.model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in body.items())
    [(images, labels)] = batches(trainer.train_part, trainer.preprocess, size=32)
    assert (trainer.model(images).argmax(1) == labels).all()


def test_one_sigmoid_unit_gets_the_odds_of_the_second_class(make_trainer, net):
    torch.manual_seed(0)
    two, one = net(2), net(1)
    one.load_state_dict({name: t for name, t in two.state_dict().items() if not name.startswith("6.")}, strict=False)
    trainer = make_trainer()
    for model in (two, one):
        fit_head(model, batches(trainer.train_part, trainer.preprocess), target=trainer.target)
    [(images, _)] = batches(trainer.train_part, trainer.preprocess, size=32)
    assert torch.allclose(two(images).diff(dim=1), one(images), atol=1e-4)


def test_numbers_are_regressed(make_trainer, net):
    trainer = make_trainer()
    numbers = [(images, labels.float()) for images, labels in batches(trainer.train_part, trainer.preprocess)]
    model = net(1)
    fit_head(model, numbers, target=Number())
    found = torch.cat([model(images)[:, 0] for images, _ in numbers])
    assert (found - torch.cat([labels for _, labels in numbers])).abs().mean() < 0.2


@pytest.mark.parametrize("end", [[nn.Conv2d(1, 2, 8), nn.Flatten()], [nn.Flatten(), nn.Linear(64, 2), nn.ReLU()]])
def test_a_network_that_does_not_end_in_a_dense_layer_is_refused(make_trainer, end):
    trainer = make_trainer()
    with pytest.raises(UsageError, match="`probe` needs a network whose outputs are those of a dense layer"):
        fit_head(nn.Sequential(*end), batches(trainer.train_part, trainer.preprocess), target=trainer.target)


def test_logistic_regression_is_scikit_learns():
    x, labels = clouds()
    weight, bias = logistic(x, labels, classes=3, penalty=0.03, steps=200)
    theirs = LogisticRegression(C=1 / (0.03 * len(x)), tol=1e-8, max_iter=1000).fit(x.numpy(), labels.numpy())
    assert weight.numpy() == pytest.approx(theirs.coef_, abs=1e-3)
    # one number for all classes changes nothing
    assert (bias - bias.mean()).numpy() == pytest.approx(theirs.intercept_ - theirs.intercept_.mean(), abs=1e-3)
