"""Masks and points stay on their object wherever the image is moved.

The scene: four squares on black, three in a channel each and one in all, so that each is found again by its colour.
"""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fovea.data.augment import moves, trivial
from fovea.data.augment.geometry import Geometry, Movement
from fovea.data.augment.recipes import AugmentContext, compose
from fovea.errors import ShapeError

N, H, W, SIDE = 60, 48, 56, 7
CORNERS = ((14, 19), (15, 35), (27, 17), (29, 31))
"""Top and left of the squares; off the middle and off each other's mirror images."""
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
EXACT = ("flip", "alternating-flip", "turn", "shift 5")
INTERPOLATED = ("crop 0.4", "affine 15 0.06 0.1 10", "elastic 0.04")
RECIPES = (
    ("flip", "shift 4"),
    ("crop 0.5", "alternating-flip", "shift 3"),
    ("alternating-flip", "shift 3", "affine 10 0.05 0.1 5", "crop 0.6"),
    ("affine 10 0 0.2", "flip", "affine 0 0.05 0 10", "shift 2"),
    ("crop 0.6", "trivial", "flip", "affine 5"),
    ("affine 10", "elastic 0.03", "flip", "shift 2"),
)
MOVES = [name for name, operation in trivial.OPERATIONS.items() if operation.source]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def context():
    return AugmentContext(3, torch.arange(N))


def scene():
    """Images (N, 3, H, W) float, masks (N, H, W) with 0 and the number of each square, middles (N, 4, 2)."""
    image, mask = torch.zeros(3, H, W), torch.zeros(H, W, dtype=torch.uint8)
    for number, ((top, left), colour) in enumerate(zip(CORNERS, COLOURS, strict=True), start=1):
        image[:, top : top + SIDE, left : left + SIDE] = torch.tensor(colour)[:, None, None]
        mask[top : top + SIDE, left : left + SIDE] = number
    middles = torch.tensor([[left + SIDE / 2, top + SIDE / 2] for top, left in CORNERS])
    return image.expand(N, -1, -1, -1), mask.expand(N, -1, -1), middles.expand(N, -1, -1)


def squares(images):
    """Return where each square is seen in images, (N, 3, h, w) -> (N, 4, h, w)."""
    bright = images > 127.5
    return torch.stack([(bright == torch.tensor(c)[:, None, None].bool()).all(1) for c in COLOURS], dim=1)


def of_mask(mask):
    return mask[:, None] == torch.arange(1, 5)[:, None, None]


def ramps():
    """Images whose two channels say where a pixel is: x and y of its centre."""
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return torch.stack((x, y)).expand(N, -1, -1, -1)


def moved(specs, images, *, size=40, seed=0):
    return compose(specs, size=size).with_geometry(images, generator(seed), context())


@pytest.fixture
def moves_of_trivial(monkeypatch):
    """Let TrivialAugment draw among its moves only, as colours that change hide the squares."""
    monkeypatch.setattr(trivial, "OPERATIONS", {name: trivial.OPERATIONS[name] for name in MOVES})


def assert_masks_stay(images, geometry, *, overlap):
    seen, told = squares(images), of_mask(geometry.moved_mask(scene()[1]))
    both, either = (seen & told).sum((0, 2, 3)), (seen | told).sum((0, 2, 3))
    assert (told.flatten(2).any(2).sum(0) > N / 4).all()
    assert (both >= overlap * either).all()


def assert_points_stay(images, geometry, *, within):
    """Compare with the middle of the squares that are seen whole."""
    seen, told = squares(images).float(), geometry.moved_points(scene()[2])
    h, w = images.shape[2:]
    x, y = torch.arange(w) + 0.5, torch.arange(h) + 0.5
    area = seen.sum((2, 3))
    middle = torch.stack(((seen * x).sum((2, 3)), (seen * y[:, None]).sum((2, 3))), dim=2) / area[..., None]
    room = 1.5 * SIDE  # a crop enlarges
    whole = (area > 0) & ((told > room) & (told < torch.tensor([w, h]) - room)).all(2)
    assert whole.sum() > N / 2
    assert (middle - told)[whole].abs().max() <= within


# Worked by hand


def test_a_flip_counts_columns_from_the_other_edge():
    images = torch.tensor([[1, 2, 3]], dtype=torch.uint8).expand(50, 1, -1, -1)
    flip = moves.flip(images, generator())
    mirrored = flip.images[:, 0, 0, 0] == 3
    matrix, before, after, *_ = flip.movement()
    assert matrix[mirrored][0].tolist() == [[-1, 0, 3], [0, 1, 0]]
    assert matrix[~mirrored][0].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert before == after == (1, 3)


def test_one_movement_after_another():
    """Cut the columns 1 to 4 out of 0 to 4, then mirror them."""
    eye = torch.eye(2, 3)[None]
    cut = Movement(eye + torch.tensor([[0, 0, 1], [0, 0, 0]]), (1, 5), (1, 4), "symmetric")
    mirror = Movement(torch.tensor([[[-1.0, 0, 4], [0, 1, 0]]]), (1, 4), (1, 4), "symmetric")
    geometry = Geometry((cut, mirror))
    assert geometry.moved_mask(torch.tensor([[[10, 11, 12, 13, 14]]])).tolist() == [[[14, 13, 12, 11]]]
    assert geometry.moved_points(torch.tensor([[[1.0, 0.0], [4.5, 1.0]]])).tolist() == [[[4.0, 0.0], [0.5, 1.0]]]


@pytest.mark.parametrize(
    ("border", "expected"),
    [("reflect", [3, 2, 1, 2, 3, 2, 1]), ("symmetric", [2, 1, 1, 2, 3, 3, 2]), ("zeros", [9, 9, 1, 2, 3, 9, 9])],
)
def test_what_enters_at_the_border(border, expected):
    matrix = torch.eye(2, 3)[None] - torch.tensor([[0, 0, 2], [0, 0, 0]])
    geometry = Geometry((Movement(matrix, (1, 3), (1, 7), border),))
    for kind in (torch.uint8, torch.int64):
        mask = geometry.moved_mask(torch.tensor([[[1, 2, 3]]], dtype=kind), fill=9)
        assert mask.tolist() == [[expected]] and mask.dtype == kind


@pytest.mark.parametrize("shape", [(60, 40, 40), (61, 48, 56), (60, 1, 48, 56)])
def test_masks_of_other_images_are_refused(shape):
    _, geometry = moved(["flip"], scene()[0])
    with pytest.raises(ShapeError, match=f"`mask` \\(={re.escape(str(shape))}\\) must be \\(60, 48, 56\\)"):
        geometry.moved_mask(torch.zeros(shape, dtype=torch.uint8))


# On their object


@pytest.mark.parametrize("specs", [*([spec] for spec in EXACT), RECIPES[0]])
def test_whole_pixels_take_mask_and_points_along_exactly(specs):
    images, geometry = moved(specs, scene()[0])
    assert_masks_stay(images, geometry, overlap=1)
    assert_points_stay(images, geometry, within=1e-4)


@pytest.mark.parametrize("specs", [*([spec] for spec in INTERPOLATED), *RECIPES[1:]])
def test_masks_and_points_stay_on_their_object(specs, moves_of_trivial):
    images, geometry = moved(specs, scene()[0])
    assert_masks_stay(images, geometry, overlap=0.8)
    assert_points_stay(images, geometry, within=1)


@pytest.mark.parametrize("name", MOVES)
def test_masks_and_points_stay_through_the_moves_of_trivial(name, monkeypatch):
    monkeypatch.setattr(trivial, "OPERATIONS", {name: trivial.OPERATIONS[name]})
    images, geometry = moved(["trivial"], scene()[0])
    assert_masks_stay(images, geometry, overlap=0.99)
    assert_points_stay(images, geometry, within=1)


def test_colours_of_trivial_move_nothing():
    images = torch.randint(0, 256, (200, 3, 9, 9), generator=generator()).float()
    drawn, g = trivial.trivial_augment(images, generator()), generator()
    kinds = torch.randint(len(trivial.OPERATIONS), (200,), generator=g)
    still = torch.tensor([list(trivial.OPERATIONS)[kind] not in MOVES for kind in kinds])
    assert torch.equal(drawn.movement().matrix[still], torch.eye(2, 3).expand(int(still.sum()), -1, -1))


# To the pixel, borders included


@pytest.mark.parametrize("specs", [*([spec] for spec in EXACT), RECIPES[0], ["trivial"], ["shift 4", "trivial"]])
def test_a_mask_that_is_the_image_becomes_the_moved_image(specs, moves_of_trivial):
    mask = torch.randint(0, 256, (N, H, W), dtype=torch.uint8, generator=generator())
    images, geometry = moved(specs, mask[:, None])
    different = (geometry.moved_mask(mask) != images[:, 0]).float().mean()
    # a rotation may find a position between two pixels, which is rounded to either
    assert different <= (0.002 if "trivial" in specs else 0)


@pytest.mark.parametrize("spec", INTERPOLATED)
def test_the_nearest_pixel_is_within_half_a_pixel_of_the_place(spec):
    """The ramps tell each pixel's place to its fraction, the mask its column and row."""
    result, geometry = moved([spec], ramps())
    for channel in (0, 1):
        nearest = geometry.moved_mask(ramps()[:, channel].floor().int()) + 0.5
        assert (nearest - result[:, channel]).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("specs", [*([spec] for spec in EXACT + INTERPOLATED), *RECIPES[:4]])
def test_moved_points_find_their_place_on_the_ramps(specs):
    result, geometry = moved(specs, ramps())
    points = scene()[2]
    told = geometry.moved_points(points)
    inside = ((told > 6) & (told < 34)).all(2)
    grid = (told / 20 - 1)[:, :, None]
    found = torch.nn.functional.grid_sample(result, grid, align_corners=False)[..., 0].mT
    assert inside.sum() > N
    torch.testing.assert_close(found[inside], points[inside], atol=2e-2, rtol=0)


# The same images


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([*EXACT, *INTERPOLATED, "trivial", "colour 0.3", "cutout 3"]), max_size=4),
    st.sampled_from([torch.uint8, torch.float32]),
    st.integers(0, 99),
)
def test_images_with_and_without_geometry_are_the_same(specs, dtype, seed):
    images = torch.randint(0, 256, (N, 3, 20, 16), generator=generator(1)).to(dtype)
    augment, alone, together = compose(specs, size=12), generator(seed), generator(seed)
    result, geometry = augment.with_geometry(images, together, context())
    assert torch.equal(result, augment(images, alone, context()))
    assert torch.equal(alone.get_state(), together.get_state())
    assert geometry.moved_mask(images[:, 0].long()).shape == (N, 12, 12)


def boxes_of(mask):
    """Return the boxes around the squares of masks (N, h, w), (N, 4, 6); class -1 where a square is not seen."""
    boxes = torch.zeros(len(mask), 4, 6)
    for row, seen in zip(boxes, of_mask(mask), strict=True):
        for number in range(4):
            y, x = seen[number].nonzero(as_tuple=True)
            row[number, 0] = -1 if len(y) == 0 else number
            if len(y):
                row[number, 1:5] = torch.stack((x.min(), y.min(), x.max() + 1, y.max() + 1))
    return boxes


@pytest.mark.parametrize("recipe", [("flip",), ("shift 4",), ("crop 0.5",), ("flip", "crop 0.4")])
def test_boxes_enclose_what_they_enclosed(recipe):
    images, mask, _ = scene()
    augment = compose(recipe, size=40)
    _, geometry = augment.with_geometry(images, generator(), context())
    moved = geometry.moved_boxes(boxes_of(mask))
    kept = moved[..., 0] >= 0
    # a shifted image repeats squares near its border as reflections
    seen = boxes_of(geometry.moved_mask(mask)) if "shift" not in recipe[0] else moved
    assert kept.float().mean() > 0.5
    assert (moved - seen)[kept].abs().max() <= 1
    assert (moved[kept][:, 1:3] >= 0).all() and (moved[kept][:, 3:5] <= 40).all()


def still(matrix, *, after=(20, 20)):
    return Geometry((Movement(torch.tensor([matrix]), (20, 20), after, "zeros"),))


def test_a_turned_box_becomes_the_one_around_its_corners():
    quarter = still([[0.0, 1, 0], [-1, 0, 20]])
    boxes = torch.tensor([[[3.0, 4, 6, 8, 16, 1], [-1, 0, 0, 0, 0, 0]]])
    # x' = 20 - y and y' = x
    assert quarter.moved_boxes(boxes).tolist() == [[[3, 4, 4, 14, 8, 1], [-1, 20, 0, 20, 0, 0]]]
    half = 0.5**0.5
    eighth = still([[half, half, 10 - 20 * half], [-half, half, 10.0]])
    around = eighth.moved_boxes(torch.tensor([[[0.0, 8, 8, 12, 12, 0]]]))[0, 0, 1:5]
    assert around.tolist() == pytest.approx(
        [10 - 8 * half / 2, 10 - 8 * half / 2, 10 + 8 * half / 2, 10 + 8 * half / 2]
    )


@pytest.mark.parametrize(
    ("x", "kept"), [(-2.0, True), (-3.0, True), (-3.1, False), (-5.0, False), (18.5, True), (19.5, False)]
)
def test_a_box_of_which_less_than_a_quarter_is_left_stands_for_nothing(x, kept):
    moved = still([[1.0, 0, -x], [0, 1, 0]]).moved_boxes(torch.tensor([[[1.0, 0, 5, 4, 9, 0]]]))[0, 0]
    assert moved.tolist() == pytest.approx([1 if kept else -1, max(x, 0), 5, min(max(x + 4, 0), 20), 9, 0])


def test_left_and_right_points_change_places_in_a_mirrored_image():
    points = torch.tensor([[[3.0, 5, 2], [15, 6, 1], [9, 9, 2]]])
    mirror = still([[-1.0, 0, 20], [0, 1, 0]])
    assert mirror.mirrored.tolist() == [True]
    assert mirror.moved_keypoints(points, opposite=(1, 0, 2)).tolist() == [[[5, 6, 1], [17, 5, 2], [11, 9, 2]]]
    twice = Geometry(mirror.movements * 2)
    assert twice.mirrored.tolist() == [False]
    assert twice.moved_keypoints(points, opposite=(1, 0, 2)).tolist() == points.tolist()


def test_a_point_that_leaves_the_image_is_labelled_no_more():
    points = torch.tensor([[[3.0, 5, 2], [15, 6, 1]]])
    moved = still([[1.0, 0, 4], [0, 1, 0]]).moved_keypoints(points, opposite=(0, 1))
    assert moved.tolist() == [[[-1, 5, 0], [11, 6, 1]]]
