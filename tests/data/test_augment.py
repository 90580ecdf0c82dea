import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fovea.data import augment
from fovea.data.augment import AugmentContext, compose
from fovea.data.colour import GREY
from fovea.errors import ShapeError, UsageError

GEOMETRY = ("flip", "alternating-flip", "shift 2", "crop 0.35", "affine 10 0.1 0.1 5")
SPECS = (*GEOMETRY, "colour 0.2", "pca 0.5", "grey 0.5", "trivial", "cutout 3", "erase 1")
every_spec = pytest.mark.parametrize("spec", SPECS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))


def context(count: int, epoch: int = 0) -> AugmentContext:
    return AugmentContext(epoch, torch.arange(count))


def run(spec: str, images: Tensor, seed: int = 0) -> Tensor:
    return compose([spec], size=images.shape[-1], directional=False)(images, generator(seed), context(len(images)))


def copies(image: list[list[int]], count: int = 400) -> Tensor:
    return torch.tensor(image, dtype=torch.uint8).expand(count, 1, -1, -1)


def kinds(images: Tensor) -> dict[tuple[int, ...], int]:
    """How often each image occurs, keyed by its pixels in reading order."""
    found, counts = images.flatten(1).unique(dim=0, return_counts=True)
    return {tuple(image): count for image, count in zip(found.tolist(), counts.tolist(), strict=True)}


# All operations


@every_spec
@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 1, 9, 9), (1, 4, 8, 8)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shape_and_type_stay_and_memory_is_channels_last(spec, shape, dtype):
    images = photographs(*shape).to(dtype)
    before = images.clone()
    result = run(spec, images)
    assert (result.shape, result.dtype) == (images.shape, dtype)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert result.min() >= 0
    assert result.max() <= 255
    assert torch.equal(images, before)


@every_spec
def test_memory_format_does_not_change_the_result(spec):
    images = photographs(6, 3, 8, 8)
    assert torch.equal(run(spec, images), run(spec, images.contiguous(memory_format=torch.channels_last)))


@every_spec
def test_the_same_generator_state_gives_the_same_result_and_another_does_not(spec):
    images = photographs(8, 3, 8, 8)
    assert torch.equal(run(spec, images), run(spec, images))
    if spec != "alternating-flip":
        assert not torch.equal(run(spec, images), run(spec, images, seed=1))


@every_spec
def test_each_image_is_drawn_on_its_own(spec):
    images = photographs(1, 3, 8, 8).expand(64, -1, -1, -1)
    results = kinds(run(spec, images))
    assert len(results) == 2 if "flip" in spec or "grey" in spec else len(results) > 15


@every_spec
def test_an_image_of_one_colour_stays_as_it_is_unless_colours_move(spec):
    images = torch.tensor([200, 10, 90], dtype=torch.uint8)[:, None, None].expand(9, 3, 8, 8)
    assert torch.equal(run(spec, images), images) == (spec not in ("colour 0.2", "grey 0.5", "trivial"))


@every_spec
def test_uint8_is_the_rounded_float_result(spec):
    images = photographs(6, 3, 8, 8)
    difference = run(spec, images).float() - run(spec, images.float())
    # a crop is rounded after its rows and after its columns
    assert difference.abs().max() <= (1.0 if spec.startswith("crop") else 0.5 + 1e-3)


# Flips


def test_flip_mirrors_left_to_right_about_half_of_the_images():
    results = kinds(augment.flip(copies([[1, 2], [3, 4]]), generator()))
    assert set(results) == {(1, 2, 3, 4), (2, 1, 4, 3)}
    assert 150 < results[1, 2, 3, 4] < 250


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_flipping_the_same_images_twice_is_the_identity(N, C, H, W, seed):
    images = photographs(N, C, H, W)
    twice = augment.flip(augment.flip(images, generator(seed)), generator(seed))
    assert torch.equal(twice, images)


def test_alternating_flip_shows_both_sides_in_any_two_epochs():
    images, indices = copies([[1, 2], [3, 4]]), torch.arange(7, 407)
    first, second, third = (augment.alternating_flip(images, epoch=e, indices=indices) for e in (3, 4, 5))
    assert torch.equal(first, second.flip(3))
    assert torch.equal(first, third)
    assert 150 < kinds(first)[1, 2, 3, 4] < 250


def test_alternating_flip_follows_the_image_not_its_place_in_the_batch():
    images, indices = photographs(50, 1, 2, 2), torch.arange(50)
    order = torch.randperm(50, generator=generator())
    straight = augment.alternating_flip(images, epoch=0, indices=indices)
    assert torch.equal(augment.alternating_flip(images[order], epoch=0, indices=indices[order]), straight[order])


# Shift


def test_shift_by_one_gives_the_nine_reflected_windows():
    image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    results = kinds(augment.shift(copies(image, 900), generator(), pixels=1))
    padded = torch.nn.functional.pad(torch.tensor(image, dtype=torch.float)[None], (1, 1, 1, 1), mode="reflect")[0]
    windows = {tuple(padded[y : y + 3, x : x + 3].flatten().int().tolist()) for y in range(3) for x in range(3)}
    assert (5, 4, 5, 2, 1, 2, 5, 4, 5) in windows
    assert set(results) == windows
    assert min(results.values()) > 60  # 100 each are expected


@given(st.integers(1, 5), st.integers(1, 4), st.integers(3, 9), st.integers(3, 9), st.integers(0, 2))
def test_shift_takes_a_window_of_the_reflected_image(N, C, H, W, n):
    images = photographs(N, C, H, W)
    results = augment.shift(images, generator(), pixels=n)
    padded = torch.nn.functional.pad(images.float(), (n, n, n, n), mode="reflect").byte()
    windows = padded.unfold(2, H, 1).unfold(3, W, 1)  # (N, C, 2n + 1, 2n + 1, H, W)
    same = (windows == results[:, :, None, None]).all(5).all(4).all(1)
    assert same.flatten(1).any(1).all()


def test_shift_by_nothing_is_the_identity():
    images = photographs(4, 3, 5, 5)
    assert torch.equal(augment.shift(images, generator(), pixels=0), images)


def test_shift_must_be_smaller_than_the_images():
    with pytest.raises(ShapeError, match=r"`shift` by 4 pixels must be smaller than the images \(6x4\)"):
        augment.shift(photographs(1, 1, 6, 4), generator(), pixels=4)


# Random resized crop


def ramps(count: int, H: int, W: int) -> Tensor:
    """Two channels that say where a pixel is: its column and its row (float, pixel centres)."""
    rows, columns = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return torch.stack((columns, rows)).expand(count, -1, -1, -1)


def parts(**strength: object) -> tuple[Tensor, ...]:
    """Left, top, width and height of 500 crops to 10 x 10 of an image of 40 x 80, read off the ramps."""
    crops = augment.random_resized_crop(ramps(500, 40, 80), generator(), size=10, **strength)
    # inner pixels: borders may be reflected
    width = (crops[:, 0, 5, 8] - crops[:, 0, 5, 1]) * 10 / 7
    height = (crops[:, 1, 8, 5] - crops[:, 1, 1, 5]) * 10 / 7
    return crops[:, 0, 5, 1] - 0.15 * width, crops[:, 1, 1, 5] - 0.15 * height, width, height


def test_a_crop_of_everything_at_the_same_size_is_the_identity():
    images = photographs(4, 3, 7, 7)
    assert torch.equal(
        augment.random_resized_crop(images, generator(), size=7, scale=(1, 1), ratio=(1, 1)),
        images,
    )


def test_a_crop_of_everything_at_half_the_size_averages_pairs():
    images = copies([[0, 4, 8, 8], [4, 8, 8, 8], [0, 0, 100, 0], [0, 0, 0, 0]], 1)
    half = augment.random_resized_crop(images, generator(), size=2, scale=(1, 1), ratio=(1, 1))
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


def test_a_crop_never_leaves_an_image_too_flat_for_it():
    _, top, _, height = parts(scale=(0.9, 1.0), ratio=(0.5, 0.5))
    assert height.tolist() == pytest.approx([40.0] * 500, abs=1e-2)
    assert top.tolist() == pytest.approx([0.0] * 500, abs=1e-2)


# Affine


def test_affine_without_strength_is_the_identity():
    images = photographs(4, 3, 6, 9)
    assert torch.equal(augment.affine(images, generator()), images)


def sampled_from(**strength: float) -> Tensor:
    """Where the middle pixel and the one 6 to its right come from, relative to the middle: (500, pixel, (x, y))."""
    warped = augment.affine(ramps(500, 41, 61), generator(), **strength)
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
    warped = augment.affine(ramps(500, 41, 61), generator(), shear=20)
    slant = (warped[:, 0, 26, 30] - 30.5) / 6
    assert math.tan(math.radians(18)) < slant.max() < math.tan(math.radians(20)) + 1e-3
    torch.testing.assert_close(warped[:, 1, :, 30], ramps(500, 41, 61)[:, 1, :, 30], atol=1e-3, rtol=0)


# Colour


def test_one_brightness_and_one_contrast_for_all_pixels_of_a_grey_image():
    images = photographs(200, 1, 4, 4).float() / 4 + 96  # 96..160: nothing is cut off
    results = augment.colour_jitter(images, generator(), strength=0.2)
    x, y = (t.flatten(1) - t.mean((1, 2, 3))[:, None] for t in (images, results))
    brightness = results.mean((1, 2, 3)) / images.mean((1, 2, 3))
    gain = (x * y).sum(1) / (x * x).sum(1)
    torch.testing.assert_close(y, gain[:, None] * x, atol=1e-2, rtol=0)
    for factor in (brightness, gain / brightness):
        assert 0.8 - 1e-3 < factor.min() < 0.83
        assert 1.17 < factor.max() < 1.2 + 1e-3


def test_saturation_moves_colours_towards_and_away_from_grey_only():
    colour = torch.tensor([120.0, 100.0, 80.0])
    images = colour[:, None, None].expand(300, 3, 2, 2)
    results = augment.colour_jitter(images, generator(), strength=0.2)[:, :, 0, 0]
    grey = results @ torch.tensor(GREY)
    brightness = grey / (colour @ torch.tensor(GREY))
    chroma = (results[:, 0] - results[:, 2]) / 40 / brightness  # contrast times saturation
    assert 0.64 - 1e-3 < chroma.min() < 0.7
    assert 1.35 < chroma.max() < 1.44 + 1e-3
    torch.testing.assert_close(results[:, 0] - results[:, 1], (results[:, 0] - results[:, 2]) / 2, atol=1e-2, rtol=0)


def test_a_grey_photograph_in_three_channels_stays_grey():
    images = photographs(20, 1, 5, 5).float().expand(-1, 3, -1, -1)
    results = augment.colour_jitter(images, generator(), strength=0.9)
    torch.testing.assert_close(results, results[:, :1].expand(-1, 3, -1, -1), atol=1e-2, rtol=0)


def test_colours_without_strength_are_kept():
    images = photographs(4, 3, 5, 5)
    assert torch.equal(augment.colour_jitter(images, generator(), strength=0.0), images)


# Cutout and erase


def filled(images: Tensor, results: Tensor) -> list[Tensor]:
    """The rectangle that changed in each image, as a (H, W) mask."""
    return list((images != results).any(1))


def bounds(mask: Tensor) -> tuple[int, int]:
    """Height and width of the box around a mask."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def checkerboards(count: int, size: int) -> Tensor:
    """Images of 0 and 200, whose mean 100 is neither."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((rows + columns) % 2 * 200).byte().expand(count, 1, -1, -1)


def test_cutout_of_one_pixel_fills_one_pixel_with_the_mean():
    results = kinds(augment.cutout(copies([[0, 0], [0, 8]]), generator(), pixels=1))
    assert set(results) == {(2, 0, 0, 8), (0, 2, 0, 8), (0, 0, 2, 8), (0, 0, 0, 2)}
    assert min(results.values()) > 60  # 100 each are expected


def test_cutout_fills_a_square_cut_at_the_border_only():
    images = checkerboards(400, 12)
    results = augment.cutout(images, generator(), pixels=4)
    sizes = set()
    for mask, result in zip(filled(images, results), results, strict=True):
        height, width = bounds(mask)
        assert mask.sum() == height * width
        assert (result[0][mask] == 100).all()
        touches = mask[0].any() or mask[-1].any(), mask[:, 0].any() or mask[:, -1].any()
        assert all(touch or side == 4 for touch, side in zip(touches, (height, width), strict=True))
        sizes.add((height, width))
    assert {(4, 4), (2, 4), (4, 2), (2, 2)} <= sizes
    assert max(sizes) == (4, 4)


def test_every_pixel_is_cut_out_equally_often_but_for_the_border():
    images = checkerboards(3000, 8)
    share = torch.stack(filled(images, augment.cutout(images, generator(), pixels=3))).float().mean(0)
    torch.testing.assert_close(share[1:-1, 1:-1], torch.full((6, 6), 9 / 64), atol=0.03, rtol=0)


def test_erase_fills_a_rectangle_inside_with_its_probability():
    images = checkerboards(1000, 40)
    masks = filled(images, augment.erase(images, generator(), probability=0.25))
    erased = [mask for mask in masks if mask.any()]
    assert 200 < len(erased) < 300
    for mask in erased:
        height, width = bounds(mask)
        assert mask.sum() == height * width
        assert (height - 1) * (width - 1) / 1600 <= 0.33
        assert (height + 1) * (width + 1) / 1600 >= 0.02
    reached = torch.stack(erased).any(0)
    assert all(edge.any() for edge in (reached[0], reached[-1], reached[:, 0], reached[:, -1]))


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_erase_never_and_always(probability):
    images = checkerboards(50, 20)
    assert {bool(m.any()) for m in filled(images, augment.erase(images, generator(), probability=probability))} == {
        bool(probability)
    }


# Centre crop and recipes


def test_centre_crop_takes_the_middle_without_a_copy():
    images = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    middle = augment.centre_crop(images, size=2)
    assert middle.tolist() == [[[[5, 6], [9, 10]]]]
    assert middle.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()


def test_centre_crop_does_not_enlarge():
    with pytest.raises(ShapeError, match=r"`size` \(=6\) must be at most that of the stored images \(5x9\)"):
        augment.centre_crop(photographs(1, 1, 5, 9), size=6)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(SPECS), max_size=4), st.integers(0, 4), st.booleans())
def test_any_recipe_gives_the_size_asked_for(specs, room, directional):
    images = photographs(3, 3, 8 + room, 8 + room)
    result = compose(specs, size=8, directional=directional)(images, generator(), context(3))
    assert (result.shape, result.dtype) == ((3, 3, 8, 8), torch.uint8)


def test_an_empty_recipe_is_the_centre_crop():
    images = photographs(3, 3, 6, 6)
    result = compose([], size=4, directional=False)(images, generator(), context(3))
    assert torch.equal(result, images[:, :, 1:5, 1:5])


def test_a_recipe_runs_in_the_order_given_from_one_generator():
    images, g = photographs(9, 3, 8, 8), generator(3)
    by_hand = augment.cutout(augment.shift(augment.flip(images, g), g, pixels=2), g, pixels=3)
    recipe = compose(["flip", "shift 2", "cutout 3"], size=8, directional=False)
    assert torch.equal(recipe(images, generator(3), context(9)), by_hand)


def test_room_around_the_image_is_used_by_shifts_and_gone_before_cutout():
    images = photographs(40, 1, 12, 12)
    g = generator(5)
    by_hand = augment.cutout(augment.shift(images, g, pixels=2)[:, :, 2:-2, 2:-2], g, pixels=3)
    recipe = compose(["shift 2", "cutout 3"], size=8, directional=False)
    assert torch.equal(recipe(images, generator(5), context(40)), by_hand)


def test_directional_labels_are_never_mirrored():
    images = photographs(9, 1, 4, 4)
    recipe = compose(["flip", "alternating-flip"], size=4, directional=True)
    assert torch.equal(recipe(images, generator(), context(9, epoch=1)), images)


def test_alternating_flip_gets_epoch_and_indices_from_the_context():
    images, recipe = photographs(9, 1, 4, 4), compose(["alternating-flip"], size=4, directional=False)
    first, second = (recipe(images, generator(), context(9, epoch=e)) for e in (0, 1))
    assert torch.equal(first, second.flip(3))


def test_optional_numbers_may_be_left_out():
    images = photographs(9, 1, 8, 8)
    by_hand = augment.affine(images, generator(), degrees=15.0, translate=0.1)
    assert torch.equal(run("affine 15 0.1", images), by_hand)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("flop", r"Unknown augmentation `flop`; did you mean `flip`\?"),
        ("", "Unknown augmentation ``"),
        ("flip 2", "Augmentation `flip 2`: `flip` takes no number"),
        ("shift", "Augmentation `shift`: `shift` takes PIXELS"),
        ("affine 1 0 0 0 0", "`affine` takes DEGREES TRANSLATE SCALE SHEAR"),
        ("shift 1.5", r"Augmentation `shift 1.5`: pixels \(=`1.5`\) must be a whole number of at least 0"),
        ("shift -1", r"pixels \(=`-1`\) must be a whole number of at least 0"),
        ("crop 1.2", r"scale \(=`1.2`\) must be a number from 0.01 to 1"),
        ("crop nan", r"scale \(=`nan`\) must be a number"),
        ("erase often", r"probability \(=`often`\) must be a number from 0 to 1"),
        ("affine 200", r"degrees \(=`200`\) must be a number from 0 to 180"),
    ],
)
def test_a_wrong_spec_is_told_what_is_allowed(spec, message):
    with pytest.raises(UsageError, match=message):
        compose(["flip", spec], size=8, directional=True)
