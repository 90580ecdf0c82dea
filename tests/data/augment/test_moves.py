"""Flip, shift, crop and affine: worked values, distributions, invariants."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fovea.data.augment import moves
from fovea.errors import ShapeError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))


def copies(image: list[list[int]], count: int = 400) -> Tensor:
    return torch.tensor(image, dtype=torch.uint8).expand(count, 1, -1, -1)


def kinds(images: Tensor) -> dict[tuple[int, ...], int]:
    """How often each image occurs, keyed by its pixels in reading order."""
    found, counts = images.flatten(1).unique(dim=0, return_counts=True)
    return {tuple(image): count for image, count in zip(found.tolist(), counts.tolist(), strict=True)}


# Flips


def test_flip_mirrors_left_to_right_about_half_of_the_images():
    results = kinds(moves.flip(copies([[1, 2], [3, 4]]), generator()).images)
    assert set(results) == {(1, 2, 3, 4), (2, 1, 4, 3)}
    assert 150 < results[1, 2, 3, 4] < 250


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_flipping_the_same_images_twice_is_the_identity(N, C, H, W, seed):
    images = photographs(N, C, H, W)
    twice = moves.flip(moves.flip(images, generator(seed)).images, generator(seed)).images
    assert torch.equal(twice, images)


def test_turn_shows_the_eight_copies_of_a_square_equally_often():
    results = kinds(moves.turn(copies([[1, 2], [3, 4]], 1600), generator()).images)
    quarters = {(1, 2, 3, 4), (2, 4, 1, 3), (4, 3, 2, 1), (3, 1, 4, 2)}
    assert set(results) == quarters | {(b, a, d, c) for a, b, c, d in quarters}
    assert 140 < min(results.values()) and max(results.values()) < 260


def test_turn_turns_what_is_no_square_by_halves():
    results = kinds(moves.turn(copies([[1, 2, 3], [4, 5, 6]]), generator()).images)
    assert set(results) == {(1, 2, 3, 4, 5, 6), (3, 2, 1, 6, 5, 4), (6, 5, 4, 3, 2, 1), (4, 5, 6, 1, 2, 3)}
    assert 60 < min(results.values())


def test_alternating_flip_shows_both_sides_in_any_two_epochs():
    images, indices = copies([[1, 2], [3, 4]]), torch.arange(7, 407)
    first, second, third = (moves.alternating_flip(images, epoch=e, indices=indices).images for e in (3, 4, 5))
    assert torch.equal(first, second.flip(3))
    assert torch.equal(first, third)
    assert 150 < kinds(first)[1, 2, 3, 4] < 250


def test_alternating_flip_follows_the_image_not_its_place_in_the_batch():
    images, indices = photographs(50, 1, 2, 2), torch.arange(50)
    order = torch.randperm(50, generator=generator())
    straight = moves.alternating_flip(images, epoch=0, indices=indices).images
    assert torch.equal(moves.alternating_flip(images[order], epoch=0, indices=indices[order]).images, straight[order])


# Shift


def test_shift_by_one_gives_the_nine_reflected_windows():
    image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    results = kinds(moves.shift(copies(image, 900), generator(), pixels=1).images)
    padded = torch.nn.functional.pad(torch.tensor(image, dtype=torch.float)[None], (1, 1, 1, 1), mode="reflect")[0]
    windows = {tuple(padded[y : y + 3, x : x + 3].flatten().int().tolist()) for y in range(3) for x in range(3)}
    assert (5, 4, 5, 2, 1, 2, 5, 4, 5) in windows
    assert set(results) == windows
    assert min(results.values()) > 60  # 100 each are expected


@given(st.integers(1, 5), st.integers(1, 4), st.integers(3, 9), st.integers(3, 9), st.integers(0, 2))
def test_shift_takes_a_window_of_the_reflected_image(N, C, H, W, n):
    images = photographs(N, C, H, W)
    results = moves.shift(images, generator(), pixels=n).images
    padded = torch.nn.functional.pad(images.float(), (n, n, n, n), mode="reflect").byte()
    windows = padded.unfold(2, H, 1).unfold(3, W, 1)  # (N, C, 2n + 1, 2n + 1, H, W)
    same = (windows == results[:, :, None, None]).all(5).all(4).all(1)
    assert same.flatten(1).any(1).all()


def test_shift_by_nothing_is_the_identity():
    images = photographs(4, 3, 5, 5)
    assert torch.equal(moves.shift(images, generator(), pixels=0).images, images)


def test_shift_must_be_smaller_than_the_images():
    with pytest.raises(ShapeError, match=r"`shift` by 4 pixels must be smaller than the images \(6x4\)"):
        moves.shift(photographs(1, 1, 6, 4), generator(), pixels=4)


# Random resized crop


def ramps(count: int, H: int, W: int) -> Tensor:
    """Two channels that say where a pixel is: its column and its row (float, pixel centres)."""
    rows, columns = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return torch.stack((columns, rows)).expand(count, -1, -1, -1)


def parts(**strength: object) -> tuple[Tensor, ...]:
    """Left, top, width and height of 500 crops to 10 x 10 of an image of 40 x 80, read off the ramps."""
    crops = moves.random_resized_crop(ramps(500, 40, 80), generator(), size=10, **strength).images
    # inner pixels: borders may be reflected
    width = (crops[:, 0, 5, 8] - crops[:, 0, 5, 1]) * 10 / 7
    height = (crops[:, 1, 8, 5] - crops[:, 1, 1, 5]) * 10 / 7
    return crops[:, 0, 5, 1] - 0.15 * width, crops[:, 1, 1, 5] - 0.15 * height, width, height


def test_a_crop_of_everything_at_the_same_size_is_the_identity():
    images = photographs(4, 3, 7, 7)
    assert torch.equal(
        moves.random_resized_crop(images, generator(), size=7, scale=(1, 1), ratio=(1, 1)).images,
        images,
    )


def test_a_crop_of_everything_at_half_the_size_averages_pairs():
    images = copies([[0, 4, 8, 8], [4, 8, 8, 8], [0, 0, 100, 0], [0, 0, 0, 0]], 1)
    half = moves.random_resized_crop(images, generator(), size=2, scale=(1, 1), ratio=(1, 1)).images
    assert half.tolist() == [[[[4, 8], [0, 25]]]]


def test_crops_have_the_area_and_ratio_asked_for():
    left, top, width, height = parts(scale=(0.1, 0.4), ratio=(0.5, 2.0))
    area, ratio = width * height / (40 * 80), width / height
    pixel_area = (width + height) / 2 / (40 * 80)  # whole pixels: each edge is off by half a pixel at most
    pixel_ratio = 0.5 / width + 0.5 / height
    limits = ((area, 0.1, 0.4, pixel_area), (ratio.log(), math.log(0.5), math.log(2.0), 2 * pixel_ratio))
    for values, low, high, pixel in limits:
        assert (values > low - 1e-3 - pixel).all()
        assert (values < high + 1e-3 + pixel).all()
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=(high - low) / 20)
    assert left.min() > -1e-3
    assert top.min() > -1e-3
    assert (left + width).max() < 80 + 1e-3
    assert (top + height).max() < 40 + 1e-3


def test_crops_reach_every_corner_of_the_image():
    left, top, width, height = parts(scale=(0.1, 0.1), ratio=(1.0, 1.0))
    across, down = left / (80 - width), top / (40 - height)
    for x, y in ((across, down), (1 - across, down), (across, 1 - down), (1 - across, 1 - down)):
        assert ((x < 0.1) & (y < 0.1)).any()


@pytest.mark.parametrize("side", [1, 2, 4])
def test_a_crop_of_a_tiny_image_is_a_pixel_of_it(side):
    images = torch.arange(1, side * side + 1, dtype=torch.uint8).view(1, 1, side, side).expand(2000, -1, -1, -1)
    crops = moves.random_resized_crop(images, generator(), size=1, scale=(0.01, 0.01)).images
    assert set(crops.flatten().tolist()) == set(range(1, side * side + 1))


def test_a_crop_never_leaves_an_image_too_flat_for_it():
    _, top, _, height = parts(scale=(0.9, 1.0), ratio=(0.5, 0.5))
    assert height.tolist() == pytest.approx([40.0] * 500, abs=1e-2)
    assert top.tolist() == pytest.approx([0.0] * 500, abs=1e-2)


# Affine


def test_affine_without_strength_is_the_identity():
    images = photographs(4, 3, 6, 9)
    assert torch.equal(moves.affine(images, generator()).images, images)


def sampled_from(**strength: float) -> Tensor:
    """Where the middle pixel and the one 6 to its right come from, relative to the middle: (500, pixel, (x, y))."""
    warped = moves.affine(ramps(500, 41, 61), generator(), **strength).images
    middle = torch.tensor([30.5, 20.5])
    return torch.stack((warped[:, :, 20, 30], warped[:, :, 20, 36]), dim=1) - middle


def test_rotation_keeps_the_middle_and_distances_within_the_angle():
    middle, right = sampled_from(degrees=30).unbind(1)
    assert middle.abs().max() < 1e-3
    torch.testing.assert_close(right.norm(dim=1), torch.full((500,), 6.0), atol=1e-3, rtol=0)
    angles = torch.atan2(right[:, 1], right[:, 0]).rad2deg()
    assert -30.01 < angles.min() < -27
    assert 27 < angles.max() < 30.01


def test_translation_moves_all_pixels_alike_by_a_fraction_of_the_side():
    middle, right = sampled_from(translate=0.2).unbind(1)
    torch.testing.assert_close(right - middle, torch.tensor([6.0, 0.0]).expand(500, 2), atol=1e-3, rtol=0)
    assert 0.18 * 61 < middle[:, 0].max() < 0.2 * 61 + 1e-3
    assert 0.18 * 41 < -middle[:, 1].min() < 0.2 * 41 + 1e-3


def test_zoom_is_between_its_inverse_and_itself():
    _, right = sampled_from(scale=0.5).unbind(1)
    zoom = right[:, 0] / 6
    assert 1 / 1.5 - 1e-3 < zoom.min() < 0.7
    assert 1.45 < zoom.max() < 1.5 + 1e-3
    assert right[:, 1].abs().max() < 1e-3


def test_shear_slants_rows_by_their_height_and_keeps_them_level():
    warped = moves.affine(ramps(500, 41, 61), generator(), shear=20).images
    slant = (warped[:, 0, 26, 30] - 30.5) / 6
    assert math.tan(math.radians(18)) < slant.max() < math.tan(math.radians(20)) + 1e-3
    torch.testing.assert_close(warped[:, 1, :, 30], ramps(500, 41, 61)[:, 1, :, 30], atol=1e-3, rtol=0)


# Centre crop


def test_centre_crop_takes_the_middle_without_a_copy():
    images = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    middle = moves.centre_crop(images, size=2).images
    assert middle.tolist() == [[[[5, 6], [9, 10]]]]
    assert middle.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()


def test_centre_crop_does_not_enlarge():
    with pytest.raises(ShapeError, match=r"`size` \(=6\) must be at most that of the stored images \(5x9\)"):
        moves.centre_crop(photographs(1, 1, 5, 9), size=6)
