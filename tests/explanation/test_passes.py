"""What takes the place of hidden pixels, and how copies of an input are laid out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fovea.errors import ShapeError, UsageError
from fovea.explanation.passes import FILLS, Images, blurred, filled, laid_out_as
from tests.explanation.attribution.test_cam import answers

X = torch.randn(2, 3, 12, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_fills_by_hand():
    assert torch.equal(filled(X, "mean"), torch.zeros_like(X))
    assert float(filled(X, "image")[1, 2, 3, 4]) == pytest.approx(float(X[1, 2].mean()))
    assert torch.equal(filled(X, "black")[1, 2], X[1, 2].min().expand(12, 9))
    assert torch.equal(filled(X, (1.0, 2.0, 3.0))[0, :, 5, 5], torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert torch.equal(filled(X, X[:1]), X[:1].expand(2, -1, -1, -1))


def test_blur_is_scipys():
    expected = gaussian_filter(X.numpy(), (0, 0, 2, 2), mode="nearest", truncate=3.0)
    np.testing.assert_allclose(blurred(X, 2.0).numpy(), expected, atol=1e-12)


def test_noise_is_drawn_by_its_seed_and_by_no_other():
    state = torch.get_rng_state()
    assert torch.equal(filled(X, "noise", seed=1), filled(X, "noise", seed=1))
    assert not torch.equal(filled(X, "noise", seed=1), filled(X, "noise", seed=2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_fill_has_the_type_and_shape_of_the_input(name, dtype):
    found = filled(X.to(dtype), name)
    assert found.dtype == dtype and found.shape == X.shape and found.isfinite().all()


def test_copies_keep_the_memory_format():
    last = X.contiguous(memory_format=torch.channels_last)
    assert laid_out_as(X, last).is_contiguous(memory_format=torch.channels_last)
    assert laid_out_as(last, X).is_contiguous()


def test_progress_counts_the_passes_of_all_images():
    told = []
    images = Images(X, answers(0), passes=2, progress=lambda *numbers: told.append(numbers))
    for _ in images:
        images.passed(2)
    assert told == [(2, 4), (4, 4)]


def test_a_fill_that_is_none_is_refused():
    with pytest.raises(UsageError, match="Unknown `fill` `grey`; known: mean, image, black, blur, noise"):
        filled(X, "grey")
    with pytest.raises(ShapeError, match="neither a value for each of 3 channels nor an image"):
        filled(X, (1.0, 2.0))
