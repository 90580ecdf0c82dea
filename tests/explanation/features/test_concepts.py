"""TCAV and CRAFT against planted concepts, factors and functions whose indices are known."""

import pytest
import torch
from scipy import stats
from torch import nn

from fovea.errors import UsageError
from fovea.explanation.features.concepts import direction, p_beyond, p_of, share_towards, tcav
from fovea.explanation.features.craft import (
    concept_maps,
    craft,
    crop_places,
    factorised,
    sobol_masks,
    total_indices,
)
from fovea.explanation.objective import Objective


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def answers(*indices):
    return Objective(answers=torch.tensor(indices))


class Bars(nn.Module):
    """Channels for bright rows and bright columns; answer 0 counts rows, answer 1 the middle of the image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1, bias=False)
        with torch.no_grad():
            kernels = torch.zeros(3, 3, 3)
            kernels[0] = torch.tensor([-1.0, 2.0, -1.0])[:, None]
            kernels[1] = torch.tensor([-1.0, 2.0, -1.0])[None]
            kernels[2] = 1 / 9
            self.conv.weight.copy_(kernels[:, None])
        self.relu = nn.ReLU()

    def forward(self, x):
        maps = self.relu(self.conv(x))
        rows, columns, brightness = maps.mean((2, 3)).T
        # squared: the gradient depends on the image
        return torch.stack([rows.square() + rows, columns, brightness], 1)


def grey(count, seed):
    return 0.3 * noise(count, 1, 12, 12, seed=seed, dtype=torch.float32)


def with_rows(count, seed, *, across=True):
    images = grey(count, seed)
    places = torch.randint(1, 11, (count,), generator=torch.Generator().manual_seed(seed))
    for image, place in zip(images, places, strict=True):
        (image[0] if across else image[0].T)[place] += 2.0
    return images


def found_for(answer, **changed):
    arguments = {
        "layer": "relu",
        "concepts": {"rows": with_rows(30, 1), "columns": with_rows(30, 2, across=False), "nothing": grey(30, 3)},
        "randoms": [grey(30, 10 + seed) for seed in range(20)],
    }
    return tcav(Bars().eval(), with_rows(20, 4), answers(answer), **(arguments | changed))


def test_a_planted_concept_is_found_and_no_random_one():
    rows, columns, nothing = found_for(0)
    assert rows.score > 0.95 and rows.significant and rows.accuracy > 0.85
    assert not nothing.significant and nothing.accuracy < 0.75
    assert (rows.name, rows.layer, rows.scores.shape) == ("rows", "relu", (20,))
    _, columns, _ = found_for(1)
    assert columns.score > 0.95 and columns.significant


def test_sets_of_random_images_are_hardly_ever_significant():
    # the test of the scores alone lets nearly half of these through
    sets = {f"set {seed}": grey(30, 100 + seed) for seed in range(20)}
    found = found_for(0, concepts=sets, tests=1)
    assert sum(concept.significant for concept in found) <= 2
    assert sum(concept.p_scores < 0.05 for concept in found) > 2


def test_the_scores_do_not_depend_on_the_batch_and_repeat():
    first, second = found_for(0, batch=64), found_for(0, batch=7)
    assert torch.equal(first[0].scores, second[0].scores) and first[0].p_scores == pytest.approx(second[0].p_scores)


def test_the_significance_is_corrected_for_the_tests_made():
    one, many = found_for(0, tests=1), found_for(0, tests=1000)
    assert many[1].p_scores == min(1.0, 1000 * one[1].p_scores)
    assert many[0].p_known == pytest.approx(1000 * one[0].p_known)


def test_a_direction_by_hand():
    # apart in the first coordinate alone
    concept, other = noise(40, 6), noise(40, 6, seed=1)
    concept[:, 0] += 8
    found = direction(concept, other)
    assert float(found.vector.norm()) == pytest.approx(1) and float(found.vector[0]) > 0.9 and found.accuracy == 1
    assert share_towards(torch.eye(6, dtype=torch.float64)[[0, 0]], found.vector) == 1
    assert share_towards(-torch.eye(6, dtype=torch.float64)[[0, 0]], found.vector) == 0


def test_the_direction_in_the_span_is_that_of_all_coordinates():
    from sklearn.linear_model import LogisticRegression

    concept, other = noise(8, 50) + 0.3, noise(8, 50, seed=1)
    rows = torch.cat([concept, other])
    centred = rows - rows.mean(0)
    scaled = centred / centred.square().mean().sqrt()
    whole = LogisticRegression(C=1 / 50, max_iter=10000, tol=1e-10).fit(scaled.numpy(), [1] * 8 + [0] * 8)
    expected = torch.from_numpy(whole.coef_[0])
    torch.testing.assert_close(direction(concept, other).vector, expected / expected.norm(), rtol=1e-3, atol=1e-4)


def test_the_test_of_significance_is_welchs():
    a, b = noise(9), noise(7, seed=1) * 2 + 1
    expected = stats.ttest_ind(a.numpy(), b.numpy(), equal_var=False).pvalue
    assert p_of(a, b) == pytest.approx(float(expected))
    assert p_of(torch.ones(3), torch.ones(4)) == 1 and p_of(torch.ones(3), torch.zeros(4)) == 0


def test_a_value_beyond_others_by_hand():
    others = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    # one standard deviation, sqrt(4/3) of it as a prediction: t of 2 degrees of freedom
    assert p_beyond(2.0, others) == pytest.approx(float(stats.t.sf(2 / (4 / 3) ** 0.5, 2)))
    assert p_beyond(1.0, torch.ones(3)) == 1 and p_beyond(2.0, torch.ones(3)) == 0


def test_too_little_for_tcav_is_refused():
    with pytest.raises(UsageError, match="at least 2 sets of random images to compare with, not 1"):
        found_for(0, randoms=[grey(5, 0)])
    with pytest.raises(UsageError, match="concept `dots` has 2 image"):
        found_for(0, concepts={"dots": grey(2, 0)})
    with pytest.raises(UsageError, match="Unknown layer `rellu`; did you mean `relu`"):
        found_for(0, layer="rellu")


def test_planted_factors_are_found_again():
    generator = torch.Generator().manual_seed(0)
    directions = torch.tensor([[1.0, 0, 0, 2, 0], [0, 3, 0, 0, 1], [0, 0, 1, 1, 0]], dtype=torch.float64)
    strength = torch.rand(60, 3, generator=generator, dtype=torch.float64)
    strength[:20, 0] = strength[20:40, 1] = strength[40:, 2] = 0  # each is absent somewhere: so the factors are unique
    strength[:5, 1:] *= torch.tensor([0.0, 1.0])
    strength[20:25, ::2] *= torch.tensor([0.0, 1.0])
    strength[40:45, :2] *= torch.tensor([0.0, 1.0])
    found_strength, found = factorised(strength @ directions, 3)
    likeness = nn.functional.normalize(directions, dim=1) @ found.T
    assert (likeness.max(1).values > 0.98).all()
    torch.testing.assert_close(found_strength @ found, strength @ directions, rtol=0, atol=0.02)
    assert (found >= 0).all() and torch.allclose(found.norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_total_indices_of_a_function_whose_indices_are_known():
    masks = sobol_masks(3, 4096)
    # of a + 2 b the variances are 1/12 and 4/12, and c counts nothing
    found = total_indices(masks[:, 0] + 2 * masks[:, 1], 3)
    torch.testing.assert_close(found, torch.tensor([0.2, 0.8, 0.0], dtype=torch.float64), rtol=0, atol=0.01)
    # of a b: total index (1/9 - 1/12) over (1/9 - 1/16), from both
    found = total_indices(masks[:, 0] * masks[:, 1], 3)
    expected = (1 / 9 - 1 / 12) / (1 / 9 - 1 / 16)
    torch.testing.assert_close(found, torch.tensor([expected, expected, 0.0], dtype=torch.float64), rtol=0, atol=0.02)
    assert total_indices(torch.ones(5 * 8, dtype=torch.float64), 3).tolist() == [0, 0, 0]


def test_crops_reach_all_borders():
    places = [*crop_places((12, 12), 0.5)]
    assert places[0] == (0, 0, 6, 6) and places[-1] == (6, 6, 6, 6) and len(places) == 9
    assert [*crop_places((5, 8), 1.0)] == [(0, 0, 5, 8)]


def test_the_concept_that_counts_stands_first_and_its_crops_show_it():
    x = torch.zeros(4, 1, 24, 24)
    x[:, 0, 5] = 1.0  # a row above
    x[:2, 0, 14:, 18] = 1.0  # a column below, in two of them
    model = Bars().eval()
    told = []
    found = craft(model, x, answers(0), layer="relu", concepts=2, crop=0.3, progress=lambda *done: told.append(done))
    assert found.importance[0] > 0.9 and found.importance[1] < 0.1 and told[-1] == (4, 4)
    assert found.directions[0, 0] > 3 * found.directions[0, 1]  # rows, not columns
    assert all(place.top <= 5 < place.top + place.height for place in found.best(0, 4))
    assert all(place.left <= 18 < place.left + place.width and place.image < 2 for place in found.best(1, 4))
    maps = concept_maps(model, x, found)
    assert maps.shape == (4, 2, 24, 24) and (maps >= 0).all()
    assert (maps[:, 0].mean(2).argmax(1) == 5).all() and (maps[:2, 1].mean(1).argmax(1) == 18).all()
    assert found.error < 0.5


def test_craft_does_not_depend_on_the_batch():
    x = with_rows(3, 5)
    first, second = (craft(Bars().eval(), x, answers(0), layer="relu", concepts=3, batch=b) for b in (1, 50))
    torch.testing.assert_close(first.importance, second.importance, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.directions, second.directions, rtol=1e-4, atol=1e-5)


class Beside(nn.Module):
    """What follows the layer depends on the input beside its map, by concatenation."""

    def __init__(self):
        super().__init__()
        self.relu, self.dense = nn.ReLU(), nn.Linear(2, 2)

    def forward(self, x):
        return self.dense(torch.cat([self.relu(x), x], 1).mean((2, 3)))


def test_a_layer_that_is_bypassed_is_weakened_alone():
    found = craft(Beside().eval(), grey(2, 0), answers(1), layer="relu", concepts=1)
    assert found.importance.tolist() == pytest.approx([1.0], abs=0.2)  # one variable has all the variance


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.relu(x) - 1).mean((2, 3))


def test_what_craft_cannot_do_is_refused():
    x = grey(2, 0)
    with pytest.raises(UsageError, match="needs a layer that runs once; `relu` runs 2 times"):
        craft(Twice(), x, answers(0), layer="relu")
    with pytest.raises(UsageError, match="never below 0, such as a ReLU; the output of `conv` is partly below 0"):
        craft(Bars(), x, answers(0), layer="conv")
    with pytest.raises(UsageError, match=r"`crop` \(=1.5\)"):
        craft(Bars(), x, answers(0), layer="relu", crop=1.5)


def test_the_network_is_left_as_it_was():
    model, x = Bars().train(), with_rows(3, 0)
    state = torch.get_rng_state()
    craft(model, x, answers(0), layer="relu", concepts=2)
    tcav(model, x, answers(0), layer="relu", concepts={"rows": x}, randoms=[grey(3, 1), grey(3, 2)])
    assert model.training and not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters()) and torch.equal(torch.get_rng_state(), state)
