"""Recipes of augmentations, and what every augmentation keeps to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fovea.data.augment.erasing import cutout
from fovea.data.augment.moves import affine, flip, shift
from fovea.data.augment.recipes import FLIPS, AugmentContext, compose
from fovea.errors import UsageError

GEOMETRY = ("flip", "alternating-flip", "turn", "shift 2", "crop 0.35", "elastic 0.05", "affine 10 0.1 0.1 5")
SPECS = (*GEOMETRY, "colour 0.2", "pca 0.5", "grey 0.5", "trivial", "cutout 3", "erase 1")
every_spec = pytest.mark.parametrize("spec", SPECS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))


def context(count: int, epoch: int = 0) -> AugmentContext:
    return AugmentContext(epoch, torch.arange(count))


def run(spec: str, images: Tensor, seed: int = 0) -> Tensor:
    return compose([spec], size=images.shape[-1])(images, generator(seed), context(len(images)))


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
    few = 2 if "flip" in spec or "grey" in spec else 8 if spec == "turn" else 0
    assert len(results) == few if few else len(results) > 15


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


# Recipes


@settings(max_examples=30)
@given(st.lists(st.sampled_from(SPECS), max_size=4), st.integers(0, 4), st.sampled_from([(), FLIPS]))
def test_any_recipe_gives_the_size_asked_for(specs, room, without):
    images = photographs(3, 3, 8 + room, 8 + room)
    result = compose(specs, size=8, without=without)(images, generator(), context(3))
    assert (result.shape, result.dtype) == ((3, 3, 8, 8), torch.uint8)


def test_an_empty_recipe_is_the_centre_crop():
    images = photographs(3, 3, 6, 6)
    result = compose([], size=4)(images, generator(), context(3))
    assert torch.equal(result, images[:, :, 1:5, 1:5])


def test_a_recipe_runs_in_the_order_given_from_one_generator():
    images, g = photographs(9, 3, 8, 8), generator(3)
    by_hand = cutout(shift(flip(images, g).images, g, pixels=2).images, g, pixels=3)
    recipe = compose(["flip", "shift 2", "cutout 3"], size=8)
    assert torch.equal(recipe(images, generator(3), context(9)), by_hand)


def test_room_around_the_image_is_used_by_shifts_and_gone_before_cutout():
    images = photographs(40, 1, 12, 12)
    g = generator(5)
    by_hand = cutout(shift(images, g, pixels=2).images[:, :, 2:-2, 2:-2], g, pixels=3)
    recipe = compose(["shift 2", "cutout 3"], size=8)
    assert torch.equal(recipe(images, generator(5), context(40)), by_hand)


def test_without_flips_nothing_is_mirrored():
    images = photographs(9, 1, 4, 4)
    recipe = compose(["flip", "alternating-flip", "turn"], size=4, without=FLIPS)
    assert torch.equal(recipe(images, generator(), context(9, epoch=1)), images)


def test_any_augmentation_can_be_left_out():
    images, specs = photographs(9, 3, 8, 8), ["trivial", "flip", "crop 0.5"]
    recipe = compose(specs, size=8, without=["trivial", "crop"])
    assert torch.equal(recipe(images, generator(), context(9)), flip(images, generator()).images)


def test_what_to_leave_out_must_be_known():
    with pytest.raises(UsageError, match=r"Unknown augmentation `flips`; did you mean `flip`\?"):
        compose(["flip"], size=8, without=["flips"])


def test_alternating_flip_gets_epoch_and_indices_from_the_context():
    images, recipe = photographs(9, 1, 4, 4), compose(["alternating-flip"], size=4)
    first, second = (recipe(images, generator(), context(9, epoch=e)) for e in (0, 1))
    assert torch.equal(first, second.flip(3))


def test_optional_numbers_may_be_left_out():
    images = photographs(9, 1, 8, 8)
    by_hand = affine(images, generator(), degrees=15.0, translate=0.1).images
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
        compose(["flip", spec], size=8, without=FLIPS)
