"""TrivialAugment's operations: worked values, level 0, and torchvision's results."""

import math

import pytest
import torch

from fovea.data.augment.trivial import LEVELS, OPERATIONS, trivial_augment

LEVELLED = [name for name in OPERATIONS if name not in ("autocontrast", "equalize")]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def photographs(*shape):
    """Noise over a slope: no two channels and no two regions have the same distribution."""
    noise = torch.randint(0, 120, shape, generator=generator(1))
    return (noise + torch.linspace(0, 130, shape[-1])).floor().clamp(0, 255).byte()


def apply(name, images, strength):
    values = torch.full((len(images), 1, 1, 1), float(strength))
    return OPERATIONS[name].apply(images.float(), values).clamp(0, 255)


def grey(values):
    return torch.tensor(values, dtype=torch.float32)[None, None]


@pytest.mark.parametrize(
    ("name", "strength", "before", "after"),
    [
        ("brightness", -0.5, [[100, 30]], [[50, 15]]),
        ("contrast", 0.5, [[100, 50]], [[112.5, 37.5]]),
        ("posterize", 6, [[63, 64, 200]], [[0, 64, 192]]),
        ("solarize", 56, [[199, 200, 255]], [[199, 55, 0]]),
        ("autocontrast", 0, [[50, 100, 150]], [[0, 127.5, 255]]),
        ("translate-x", 1.9, [[1, 2, 3]], [[0, 1, 2]]),
        ("translate-y", -1, [[1], [2], [3]], [[2], [3], [0]]),
        ("shear-x", 0.99, [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 2, 3], [5, 6, 0], [9, 0, 0]]),
        ("rotate", 90, [[1, 2], [3, 4]], [[2, 4], [1, 3]]),
        ("sharpness", -0.99, [[0, 0, 0], [0, 130, 0], [0, 0, 0]], [[0, 0, 0], [0, 50.8, 0], [0, 0, 0]]),
    ],
)
def test_worked_by_hand(name, strength, before, after):
    torch.testing.assert_close(apply(name, grey(before), strength), grey(after), atol=1e-3, rtol=0)


def test_equalized_levels_are_spread_evenly():
    image = torch.arange(512).remainder(256).div(2, rounding_mode="floor").float().view(1, 1, 16, 32)  # 0..127, 4 each
    result = apply("equalize", image, 0)
    assert result.min() == 0 and result.max() > 250
    assert result.unique().diff().max() <= 4


def test_an_image_with_too_few_values_to_equalize_stays():
    image = grey([[7, 7], [7, 9]])
    assert torch.equal(apply("equalize", image, 0), image)


@pytest.mark.parametrize("name", LEVELLED)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_level_zero_is_the_identity(name, channels):
    images = photographs(3, channels, 9, 7)
    images[0, 0, 0, 0] = 255
    torch.testing.assert_close(apply(name, images, 0.0), images.float(), atol=1e-3, rtol=0)


def test_every_operation_is_drawn_and_images_of_all_sizes_pass():
    assert len(OPERATIONS) == 14
    for size in (1, 2, 5):
        result = trivial_augment(photographs(300, 3, size, size), generator()).images
        assert (result.shape, result.dtype) == ((300, 3, size, size), torch.uint8)


def test_all_operations_are_equally_likely(monkeypatch):
    drawn = {}
    for name, operation in list(OPERATIONS.items()):

        def spy(pixels, strength, name=name):
            drawn[name] = strength.flatten()
            return pixels

        monkeypatch.setitem(OPERATIONS, name, operation._replace(apply=spy))
    trivial_augment(torch.zeros(14_000, 1, 1, 1), generator())
    assert list(drawn) == list(OPERATIONS)
    assert all(850 < len(strength) < 1150 for strength in drawn.values())
    for name, (_, largest, signed, _) in OPERATIONS.items():
        assert drawn[name].max().item() == pytest.approx(largest)
        assert drawn[name].min().item() == pytest.approx(-largest if signed else 0)
        assert (LEVELS if largest else 0) < len(drawn[name].abs().unique()) <= LEVELS + 2  # equal but for rounding


COLOURS = [
    ("brightness", 0.7, lambda F, x: F.adjust_brightness(x, 1.7)),
    ("brightness", -0.7, lambda F, x: F.adjust_brightness(x, 0.3)),
    ("colour", 0.9, lambda F, x: F.adjust_saturation(x, 1.9)),
    ("colour", -0.5, lambda F, x: F.adjust_saturation(x, 0.5)),
    ("contrast", 0.6, lambda F, x: F.adjust_contrast(x, 1.6)),
    ("contrast", -0.6, lambda F, x: F.adjust_contrast(x, 0.4)),
    ("sharpness", 0.9, lambda F, x: F.adjust_sharpness(x, 1.9)),
    ("sharpness", -0.9, lambda F, x: F.adjust_sharpness(x, 0.1)),
    ("autocontrast", 0, lambda F, x: F.autocontrast(x)),
]
EXACT = [
    ("posterize", 3, lambda F, x: F.posterize(x, 5)),
    ("solarize", 100, lambda F, x: F.solarize(x, 156)),
    ("equalize", 0, lambda F, x: F.equalize(x)),
]
MOVES = [
    ("shear-x", 0.5, {"shear": [math.degrees(math.atan(0.5)), 0.0], "center": [0, 0]}),
    ("shear-y", 0.5, {"shear": [0.0, math.degrees(math.atan(0.5))], "center": [0, 0]}),
    ("translate-x", 5.0, {"translate": [5, 0]}),
    ("translate-y", -5.0, {"translate": [0, -5]}),
    ("rotate", -30.0, {"angle": 30.0}),
]


@pytest.mark.parametrize(("name", "strength", "oracle"), COLOURS)
def test_colours_are_those_of_torchvision(transforms, name, strength, oracle):
    images = photographs(4, 3, 20, 24)
    expected = oracle(transforms.functional, images.float() / 255) * 255
    # its weights of red, green and blue are rounded otherwise
    torch.testing.assert_close(apply(name, images, strength), expected, atol=0.1, rtol=0)


@pytest.mark.parametrize(("name", "strength", "oracle"), EXACT)
def test_operations_on_whole_values_are_those_of_torchvision(transforms, name, strength, oracle):
    images = photographs(4, 3, 20, 24)
    assert torch.equal(apply(name, images, strength).byte(), oracle(transforms.functional, images))


@pytest.mark.parametrize(("name", "strength", "options"), MOVES)
def test_movements_are_those_of_torchvision(transforms, name, strength, options):
    images = photographs(4, 3, 20, 24)
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    expected = transforms.functional.affine(images, **{**still, **options})
    different = (apply(name, images, strength).byte() != expected).float().mean()
    assert different < 0.01  # a position between two pixels may be rounded to either
