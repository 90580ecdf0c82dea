"""Mixup and cutmix: worked values, the shares they give, and torchvision's results."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fovea.data.augment import mixing
from fovea.data.augment.mixing import MixedLabels, compose_mixing
from fovea.data.augment.recipes import compose
from fovea.errors import UsageError

every_mix = pytest.mark.parametrize("mix", [mixing.mixup, mixing.cutmix])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def photographs(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))


def numbered(count, size=12):
    """Images whose pixels are their labels."""
    labels = torch.arange(count)
    return labels.float()[:, None, None, None].expand(-1, 1, size, size), labels


def test_blending_worked_by_hand():
    images, others = (
        torch.tensor([values], dtype=torch.uint8).view(1, 1, 1, 3) for values in ([100, 0, 255], [0, 100, 255])
    )
    assert mixing.blended(images, others, share=0.75).tolist() == [[[[75, 25, 255]]]]


def test_pasting_worked_by_hand():
    images, others = torch.zeros(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    mixed = mixing.pasted(images, others, rows=slice(0, 2), columns=slice(1, 3))
    assert mixed.tolist() == [[[[0, 1, 1], [0, 1, 1], [0, 0, 0]]]]
    assert not images.any()


@every_mix
@settings(max_examples=20)
@given(st.integers(1, 5), st.sampled_from([1, 3, 4]), st.integers(1, 9), st.integers(1, 9), st.floats(0, 4))
def test_shape_type_range_and_memory_format_stay(mix, N, C, H, W, alpha):
    for images in (photographs(N, C, H, W), photographs(N, C, H, W).float()):
        before = images.clone()
        mixed, labels = mix(images, torch.arange(N), generator(), alpha=alpha)
        assert (mixed.shape, mixed.dtype) == (images.shape, images.dtype)
        assert mixed.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= mixed.min() and mixed.max() <= 255
        assert 0 <= labels.share <= 1 and labels.own.shape == labels.other.shape == (N,)
        assert torch.equal(images, before)


@every_mix
def test_alpha_zero_keeps_images_and_labels(mix):
    images, labels = photographs(5, 3, 6, 6), torch.arange(5)
    mixed, both = mix(images, labels, generator(), alpha=0)
    assert torch.equal(mixed, images)
    assert both.share == 1.0 and torch.equal(both.own, labels)


@every_mix
def test_the_generator_decides(mix):
    images, labels = photographs(8, 3, 12, 12), torch.arange(8)
    (a, one), (b, two), (c, _) = (mix(images, labels, generator(seed), alpha=1.0) for seed in (3, 3, 4))
    assert torch.equal(a, b) and one.share == two.share and torch.equal(one.other, two.other)
    assert not torch.equal(a, c)


@every_mix
@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_labels_have_the_share_of_their_pixels(mix, seed):
    images, labels = numbered(7)
    mixed, both = mix(images, labels, generator(seed), alpha=1.0)
    expected = both.share * both.own + (1 - both.share) * both.other
    torch.testing.assert_close(mixed.mean((1, 2, 3)), expected.float(), atol=1e-5, rtol=0)
    assert sorted(both.other.tolist()) == list(range(7))


@pytest.mark.parametrize("alpha", [1e-3, 1e-300, 2.3e-308, 5e-324])
def test_of_a_tiny_alpha_all_shares_are_about_nothing_or_everything(alpha):
    images, labels = numbered(2, size=1)
    shares = [mixing.mixup(images, labels, generator(seed), alpha=alpha)[1].share for seed in range(20)]
    assert all(min(share, 1 - share) < 0.01 for share in shares)
    assert {round(share) for share in shares} == {0, 1}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha):
    images, labels = numbered(2, size=1)
    drawn = generator()
    shares = torch.tensor([mixing.mixup(images, labels, drawn, alpha=alpha)[1].share for _ in range(2000)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.012)


def test_cutmix_pastes_one_rectangle_at_one_place_for_the_whole_batch():
    sides = set()
    for seed in range(60):
        mixed, both = mixing.cutmix(*numbered(6, size=10), generator(seed), alpha=1.0)
        moved = (both.own != both.other).nonzero().flatten()
        masks = (mixed[:, 0] != both.own[:, None, None])[moved]
        assert (masks == masks[:1]).all()
        rows, columns = masks[0].any(1).sum(), masks[0].any(0).sum()
        assert masks[0].sum() == rows * columns
        assert both.share == pytest.approx(1 - int(masks[0].sum()) / 100)
        sides.add((int(rows), int(columns)))
    assert (0, 0) in sides and max(sides)[0] >= 8 and any(rows != columns for rows, columns in sides)


def test_the_label_of_the_larger_share_counts():
    own, other = torch.tensor([1, 2]), torch.tensor([2, 1])
    assert MixedLabels(own, other, 0.5).larger is own
    assert MixedLabels(own, other, 0.49).larger is other


def test_a_recipe_without_mixing_has_none():
    assert compose_mixing(["flip", "shift 2"]) is None


def test_of_several_one_is_drawn_for_each_batch():
    images, labels = photographs(4, 1, 8, 8), torch.arange(4)
    mix, drawn = compose_mixing(["flip", "mixup 1", "cutmix 1"]), generator()
    # pixels of cutmix are pixels of its images
    kinds = {bool(torch.isin(mix(images, labels, drawn)[0], images).all()) for _ in range(20)}
    assert kinds == {True, False}


def test_mixing_is_no_step_of_the_augmentation():
    images = photographs(4, 3, 8, 8)
    plain, mixed = (compose(specs, size=8) for specs in (["shift 1"], ["shift 1", "mixup 1"]))
    assert torch.equal(plain(images, generator(), None), mixed(images, generator(), None))


@pytest.mark.parametrize(
    ("spec", "message"), [("mixup", "`mixup` takes ALPHA"), ("cutmix -1", r"alpha \(=`-1`\) must be a number from 0")]
)
def test_a_wrong_spec_is_told_what_is_allowed(spec, message):
    with pytest.raises(UsageError, match=message):
        compose_mixing([spec])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_blending_is_that_of_torchvision(transforms, share):
    images, labels = photographs(5, 3, 6, 6).float() / 255, torch.arange(5)
    oracle = transforms.MixUp(num_classes=5)
    params = {"lam": share, "labels": labels, "batch_size": 5}
    torch.testing.assert_close(
        mixing.blended(images, images.roll(1, 0), share=share), oracle.transform(images, params), atol=1e-6, rtol=0
    )
    soft = oracle.transform(labels, params)
    both = (torch.nn.functional.one_hot(tensor, 5).float() for tensor in (labels, labels.roll(1, 0)))
    torch.testing.assert_close(torch.lerp(*reversed(list(both)), share), soft)


def test_pasting_is_that_of_torchvision(transforms):
    images, labels = photographs(5, 3, 6, 8), torch.arange(5)
    params = {"box": (1, 2, 7, 5), "lam_adjusted": 1 - 18 / 48, "labels": labels, "batch_size": 5}
    ours = mixing.pasted(images, images.roll(1, 0), rows=slice(2, 5), columns=slice(1, 7))
    assert torch.equal(ours, transforms.CutMix(num_classes=5).transform(images, params))
