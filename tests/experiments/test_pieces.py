"""What the experiments compute beside their trainings: worked values, oracles, and what must hold of the networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from experiments import (
    deep_compression,
    dropout,
    ensembles,
    few_images,
    groups,
    label_faults,
    labelling,
    pooling,
    scaling,
    search,
    sizes,
)
from experiments.harness import Data, accuracy, over_seeds, resized, to_size
from fovea.data.dataset import Part
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes


def images(count: int, size: int = 8, channels: int = 3) -> Data:
    """Return random images of ten classes, twice."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(count, size, size, channels), dtype=np.uint8)
    part = Part(labels=np.arange(count) % 10, names=tuple(map(str, range(count))), pixels=pixels)
    grey = tuple([0.5] * channels)
    preprocess = Preprocess(size=(size, size), channels=channels, fit="crop", mean=grey, std=grey)
    return Data(part, part, preprocess, Classes(names=tuple("abcdefghij")))


def test_smaller_images_are_means_of_areas_and_larger_ones_lie_between() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(to_size(x, 2), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
    assert torch.equal(to_size(x, 4), x)
    assert to_size(x, 6).shape == (1, 1, 6, 6) and 0 <= to_size(x, 6).min() <= to_size(x, 6).max() <= 15


def test_resized_data_says_its_size() -> None:
    found = resized(images(4), 4)
    assert found.train.decoded.shape == (4, 4, 4, 3) and found.preprocess.size == (4, 4)


def test_seeds_are_summed_up_as_mean_and_ends() -> None:
    assert over_seeds([0.61, 0.63, 0.68]) == "64.0 (61.0 to 68.0)" and over_seeds([0.5]) == "50.0"


def test_accuracy_counts_the_largest() -> None:
    part = replace(images(2).test, labels=np.array([1, 0]))
    assert accuracy(np.array([[0.1, 0.9], [0.4, 0.6]]), part) == 0.5


def test_features_are_what_the_logits_are_computed_from() -> None:
    data, model = images(3, size=32), ensembles.network(10).eval()
    found = ensembles.features(model, data.test, data)
    logits = torch.from_numpy(found).float() @ model.head.logits.weight.T + model.head.logits.bias
    x = torch.from_numpy(data.test.decoded).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(logits, model((x - 0.5) / 0.5), atol=1e-5, rtol=1e-4)


def test_a_task_of_five_classes_counts_its_labels_from_zero() -> None:
    found = ensembles.of_classes(images(20), 5)
    assert found.train.labels.tolist() == [0, 1, 2, 3, 4] * 2 and found.target.names == tuple("fghij")
    assert np.array_equal(found.train.decoded[0], images(20).train.decoded[5])


def test_an_ensemble_of_all_is_the_mean_of_their_probabilities() -> None:
    part = replace(images(2).test, labels=np.array([0, 1]))
    right, wrong = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.2, 0.8], [0.6, 0.4]])
    alone, both = ensembles.ensembles_of([right, wrong], part)
    assert alone.accuracy == 0.5 and both.accuracy == 1.0
    assert both.likelihood == pytest.approx(-(np.log(0.55) + np.log(0.6)) / 2)


def test_masks_average_to_the_scaled_weights_where_nothing_is_curved() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2, bias=False))
    nn.init.constant_(model[2].weight, 0.0)
    data = images(3, size=2, channels=1)
    for answer in dropout.masked(model, data, masks=2, seed=0):
        assert np.array_equal(answer, np.full((3, 2), 0.5))
    assert not model.training


def test_masks_differ_and_repeat_with_their_seed() -> None:
    model, data = dropout.network(dropout=True), images(3, size=28, channels=1)
    first, second = dropout.masked(model, data, masks=2, seed=0)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, dropout.masked(model, data, masks=1, seed=0)[0])


def test_keep_probabilities_are_those_of_the_lecture() -> None:
    rates = [layer.p for layer in dropout.network(dropout=True) if isinstance(layer, nn.Dropout)]
    assert rates == pytest.approx([0.2, 0.5, 0.5])


def test_running_means_end_with_the_mean_of_all() -> None:
    members = [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])]
    found = dropout.means(members)
    assert np.array_equal(found[0], members[0]) and np.allclose(found[-1], np.mean(members, axis=0))


def test_a_bag_holds_as_many_images_some_of_them_twice() -> None:
    found = dropout.resampled(images(50), seed=0).train
    assert len(found) == 50 and 20 < len(set(found.names)) < 40
    at = int(found.names[7])
    assert np.array_equal(found.decoded[7], images(50).train.decoded[at]) and found.labels[7] == at % 10


@pytest.mark.parametrize("norm", [norm for norm in pooling.NORMS.values() if norm])
def test_response_norm_is_that_of_pytorch_times_the_gain(norm: pooling.Norm) -> None:
    x = torch.randn(2, 7, 3, 3, dtype=torch.float64, requires_grad=True)
    layer = pooling.ResponseNorm(7, norm).double()
    theirs = nn.LocalResponseNorm(5, alpha=5 * norm.alpha, beta=0.75, k=2.0)  # PyTorch takes the mean of the squares
    torch.testing.assert_close(layer(x), norm.gain * theirs(x))
    ours, other = (torch.autograd.grad(f(x).sum(), x)[0] for f in (layer, theirs))
    torch.testing.assert_close(ours, norm.gain * other)


def test_pooling_that_overlaps_leaves_maps_and_parameters_as_they_are() -> None:
    models = [pooling.network(kind) for kind in pooling.KINDS]
    assert len({sum(p.numel() for p in model.parameters()) for model in models}) == 1
    assert all(model(torch.zeros(1, 3, 32, 32)).shape == (1, 10) for model in models)


def test_effects_are_means_over_the_other_factor() -> None:
    runs = {
        kind: [pooling.Errors(0.0, 0.5 - 0.1 * (kind.window == 3) - 0.2 * (kind.norm != ""))] for kind in pooling.KINDS
    }
    assert pooling.effects(runs, "overlapping pooling", "test") == pytest.approx([-10.0])
    assert pooling.effects(runs, "paper's norm", "overfitting") == pytest.approx([-20.0])


def test_groups_cost_alike_where_they_are_said_to() -> None:
    standard = groups.cost(groups.STANDARD, groups.widths_of(groups.STANDARD, groups.WIDTH))
    for alike, kind, widths in groups.contestants():
        macs, parameters = groups.cost(kind, widths)
        if alike == "equal MACs":
            assert macs == pytest.approx(standard.macs, rel=0.03)
        if alike == "equal parameters":
            assert parameters == pytest.approx(standard.parameters, rel=0.03)


def test_one_group_per_channel_is_depthwise() -> None:
    block = groups.grouped(6, 8, stride=2)
    assert block[0].groups == 6 and block(torch.zeros(1, 6, 5, 5)).shape == (1, 8, 3, 3)


def test_each_way_of_scaling_costs_four_times_as_much() -> None:
    found = scaling.ways()
    base = scaling.cost(found.pop("none"))[0]
    assert all(scaling.cost(size)[0] == pytest.approx(4 * base, rel=0.05) for size in found.values())


def test_a_mutation_changes_one_thing() -> None:
    rng, genome = np.random.default_rng(0), search.Genome(((1, 8), (2, 16)), 0)
    for _ in range(200):
        child = search.mutated(genome, rng)
        if child.hidden != genome.hidden:
            assert child.stages == genome.stages
        elif len(child.stages) == 2:
            assert sum(a != b for a, b in zip(child.stages, genome.stages, strict=True)) <= 1
        else:
            assert abs(len(child.stages) - 2) == 1
        assert search.network(child)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def _judge(genome: search.Genome) -> search.Judged:
    """Return a worth that grows with the channels."""
    worth = sum(width for _, width in genome.stages) / 100
    return search.Judged(genome, worth, 1e-3, worth)


def test_searches_judge_as_many_as_they_may_and_evolution_climbs() -> None:
    found = {name: run(_judge, np.random.default_rng(1), budget=60) for name, run in search.SEARCHES.items()}
    assert all(len(history) == 60 for history in found.values())
    objectives = [each.objective for each in found["regularised evolution"]]
    first, last = np.mean(objectives[:8]), np.mean(objectives[-8:])
    assert last > first
    assert search.best_so_far(found["random search"])[-1] == max(each.objective for each in found["random search"])


def test_the_proxy_judges_by_training_images_that_it_does_not_train_on() -> None:
    found = search.proxy(images(10), 4)
    assert found.train.names == ("0", "1", "2", "3") and found.test.names == ("4", "5", "6", "7")


def test_one_network_takes_every_size_and_a_dense_layer_its_own() -> None:
    at = {size: resized(images(4, size=32), size) for size in (16, 32)}
    both, own = sizes.tested(sizes.Anysize((32,)), at), sizes.tested(sizes.Dense(), at)
    assert None not in both and own[0] is None and own[1] is not None
    assert sizes.cells([both, both])[0].startswith(f"{100 * both[0]:.1f}")


def test_training_sees_the_sizes_it_is_told() -> None:
    model, seen = sizes.Anysize((16, 24)).train(), set[int]()
    model.maps.register_forward_pre_hook(lambda _, given: seen.add(given[0].shape[-1]))
    for _ in range(20):
        model(torch.zeros(2, 3, 32, 32))
    model.eval()(torch.zeros(2, 3, 32, 32))
    assert seen == {16, 24, 32}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_largest_weights_are_kept_in_any_layout(share: float) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 5, 3).to(memory_format=torch.channels_last)
    before = conv.weight.detach().clone()
    deep_compression.keep_largest(conv, share)
    kept = conv.weight.detach() != 0
    assert int(kept.sum()) == round(share * before.numel())
    assert torch.equal(conv.weight[kept], before[kept])
    if 0 < share < 1:
        assert before[kept].abs().min() >= before[~kept].abs().max()


def test_the_networks_are_those_of_deep_compression() -> None:
    sizes_of = {
        name: sum(p.numel() for p in subject.build().parameters())
        for name, subject in deep_compression.SUBJECTS.items()
    }
    assert sizes_of == {"mlp": 266_610, "lenet": 431_080}  # its table 1: 1,070 and 1,720 KB
    for subject in deep_compression.SUBJECTS.values():
        model = subject.build()
        weights = {name: model.get_submodule(name).get_parameter("weight").numel() for name in subject.kept}
        kept = sum(weights[name] * share for name, share in subject.kept.items())
        assert kept / sum(weights.values()) == pytest.approx(0.08, abs=0.006)  # its tables 2 and 3: 8 %


def test_planted_labels_are_another_class_and_as_many_as_said() -> None:
    labels = np.arange(200) % 10
    wrong, rows = label_faults.with_wrong(labels, 0)
    assert len(rows) == 10 and set(np.flatnonzero(wrong != labels)) == set(rows) and set(wrong) <= set(range(10))


def test_planted_labels_are_found_where_features_tell_the_classes_apart() -> None:
    part = images(400).test
    features = (5 * np.eye(10, 12)[part.labels] + np.random.default_rng(0).normal(size=(400, 12))).astype(np.float32)
    found, order = label_faults.judged(features, part, 0)
    assert found.recall >= 0.9 and found.precision == 20 / 100 and sorted(order) == list(range(400))


def test_so_many_images_of_each_class_are_drawn() -> None:
    rows = few_images.drawn(np.repeat([0, 1, 2], 9), 4, 0)
    assert np.bincount(np.repeat([0, 1, 2], 9)[rows]).tolist() == [4, 4, 4] and len(set(rows)) == 12


def test_labels_chosen_next_are_none_that_there_are() -> None:
    data, model = images(40, size=28, channels=1), labelling.network().eval()
    labelled, free = np.arange(10), np.arange(10, 40)
    for way in (*labelling.WAYS, *labelling.FURTHER):
        rows = labelling.chosen(way, model, data, free, labelled, 5, np.random.default_rng(0))
        assert len(set(rows)) == 5 and set(rows) <= set(free), way
