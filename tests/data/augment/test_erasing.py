"""Cutout and erase: worked values and what is filled how often."""

import pytest
import torch
from torch import Tensor

from fovea.data.augment.erasing import cutout, erase


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def copies(image: list[list[int]], count: int = 400) -> Tensor:
    return torch.tensor(image, dtype=torch.uint8).expand(count, 1, -1, -1)


def kinds(images: Tensor) -> dict[tuple[int, ...], int]:
    """How often each image occurs, keyed by its pixels in reading order."""
    found, counts = images.flatten(1).unique(dim=0, return_counts=True)
    return {tuple(image): count for image, count in zip(found.tolist(), counts.tolist(), strict=True)}


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
    results = kinds(cutout(copies([[0, 0], [0, 8]]), generator(), pixels=1))
    assert set(results) == {(2, 0, 0, 8), (0, 2, 0, 8), (0, 0, 2, 8), (0, 0, 0, 2)}
    assert min(results.values()) > 60  # 100 each are expected


def test_cutout_fills_a_square_cut_at_the_border_only():
    images = checkerboards(400, 12)
    results = cutout(images, generator(), pixels=4)
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
    share = torch.stack(filled(images, cutout(images, generator(), pixels=3))).float().mean(0)
    torch.testing.assert_close(share[1:-1, 1:-1], torch.full((6, 6), 9 / 64), atol=0.03, rtol=0)


def test_erase_fills_a_rectangle_inside_with_its_probability():
    images = checkerboards(1000, 40)
    masks = filled(images, erase(images, generator(), probability=0.25))
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
    assert {bool(m.any()) for m in filled(images, erase(images, generator(), probability=probability))} == {
        bool(probability)
    }
