"""Classic filters: the numbers of the lectures, what each kernel is for, and sliding a kernel over large images."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from fovea.reference import filters
from fovea.reference.convolution import convolve, correlate
from fovea.reference.filters import chains, kernel, names, slide

MODES = {"zero": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap"}
"""Ours, and what scipy calls them."""


def image(*sizes):
    return np.random.default_rng(0).integers(0, 256, sizes).astype(np.uint8)


def dirac(size, axes):
    impulse = np.zeros((size,) * axes)
    impulse[(size // 2,) * axes] = 1
    return impulse


def test_sharpen_on_the_patch_of_lecture_002():
    patch = [
        [60, 113, 56, 139, 85],
        [73, 121, 54, 84, 128],
        [131, 99, 70, 129, 127],
        [80, 57, 115, 69, 134],
        [104, 126, 123, 95, 130],
    ]
    out = slide(np.array([patch]), kernel("sharpen", axes=2), mode="zero")[0]
    assert out[0].tolist() == [114, 328, -26, 470, 158]
    assert out[1, 1] == 5 * 121 - 113 - 73 - 54 - 99


def test_the_edge_kernel_of_lecture_004_is_prewitt():
    assert kernel("prewitt-x", axes=2).tolist() == [[-1, 0, 1]] * 3
    step = np.array([[[0, 0, 1, 1]] * 3])
    assert slide(step, kernel("prewitt-x", axes=2), padding="valid").tolist() == [[[3, 3]]]
    assert slide(step.transpose(0, 2, 1), kernel("prewitt-y", axes=2), padding="valid").tolist() == [[[3], [3]]]


def test_the_two_tap_example_of_lecture_004():
    rows = np.array([[[1, 1, 0, 0, 0, 0, 1, 1]] * 6])
    assert slide(rows, np.array([[1.0, -1.0]]), padding="valid").tolist() == [[[0, 1, 0, 0, 0, -1, 0]] * 6]


def test_gaussians_in_numbers():
    assert (16 * kernel("gaussian", axes=2)).tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert (16 * kernel("gaussian-5", axes=1)).tolist() == [1, 4, 6, 4, 1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["sobel-x", "emboss", "gaussian-9", "high-pass-11"])
def test_slide_is_correlation_as_scipy_has_it(name, mode):
    x = image(3, 40, 33)
    expected = [ndimage.correlate(c.astype(float), kernel(name, axes=2), mode=MODES[mode]) for c in x]
    np.testing.assert_allclose(slide(x, kernel(name, axes=2), mode=mode), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sizes", [(3, 3), (2, 5), (9, 12), (1, 12)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 4)])
def test_slide_agrees_with_a_depthwise_layer(sizes, stride, padding):
    x, K = image(2, 30, 35), np.outer(*(np.random.default_rng(1).normal(size=n) for n in sizes))
    layer = torch.nn.functional.conv2d
    weights = torch.from_numpy(np.stack([K, K])[:, None])
    expected = layer(torch.from_numpy(x).double(), weights, stride=stride, padding=padding, groups=2)
    found = slide(x, K, stride=stride, padding=padding, mode="zero")
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("sizes", [(2, 41, 30), (1, 200)])
def test_bands_change_nothing(monkeypatch, sizes, stride):
    x, K = image(*sizes), kernel("gaussian", axes=len(sizes) - 1)
    whole = slide(x, K, stride=stride)
    monkeypatch.setattr(filters, "BAND_VALUES", 64)
    done = []
    assert np.array_equal(slide(x, K, stride=stride, progress=lambda *counts: done.append(counts)), whole)
    rows = whole.shape[1]
    assert len(done) > 1 and done[-1] == (rows, rows)


def test_large_kernels_of_low_rank_are_columns_times_rows():
    for name, rank in (("box-31", 1), ("gaussian-31", 1), ("low-pass-31", 1), ("high-pass-31", 2)):
        K = kernel(name, axes=2)
        parts = chains(K)
        assert [[part.shape for part in chain] for chain in parts] == [[(31, 1), (1, 31)]] * rank
        np.testing.assert_allclose(sum(column @ row for column, row in parts), K, rtol=0, atol=1e-15)


def test_small_kernels_are_exact():
    for name in names(2):
        K = kernel(name.replace("pass", "pass-3"), axes=2)
        assert [chain[0] is K for chain in chains(K)] == [True]
    x = image(1, 20, 20)
    assert np.array_equal(slide(x, kernel("sobel-y", axes=2))[0], np.round(slide(x, kernel("sobel-y", axes=2))[0]))


def test_a_kernel_of_zeros_gives_zeros():
    assert not slide(image(1, 20, 20), np.zeros((9, 9))).any()


@pytest.mark.parametrize("axes", [1, 2])
def test_smoothing_keeps_a_plain_input_and_edges_remove_it(axes):
    plain = np.full((1, *(40,) * axes), 7.0)
    for name in names(axes):
        keeps = name in ("sharpen", "emboss", "box", "gaussian", "low-pass", "recent")
        expected = 7 if keeps else 21 if name == "dirac-train" else 0
        np.testing.assert_allclose(slide(plain, kernel(name, axes=axes)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2])
def test_low_and_high_pass_add_up_to_the_input(axes):
    low, high = kernel("low-pass-15", axes=axes), kernel("high-pass-15", axes=axes)
    np.testing.assert_allclose(low + high, dirac(15, axes), rtol=0, atol=1e-15)


def test_low_pass_takes_a_wave_from_a_ramp_and_high_pass_the_ramp_from_the_wave():
    i = np.arange(81)
    ramp, wave = 0.05 * i, np.sin(2 * np.pi * i / 16)
    low, high = (slide((ramp + wave)[None], kernel(f"{name}-31", axes=1), padding="valid")[0] for name in names(1)[2:4])
    np.testing.assert_allclose(low, ramp[15:-15], rtol=0, atol=1e-12)
    np.testing.assert_allclose(high, wave[15:-15], rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [3, 9, 31])
def test_a_gaussian_has_the_variance_it_says(size):
    offsets = np.arange(size) - size // 2
    assert np.isclose(kernel(f"gaussian-{size}", axes=1) @ offsets**2, (size - 1) / 4)


def test_gradients_are_differences_one_way_and_averages_the_other():
    difference = np.array([-1, 0, 1])
    for name, average in (("sobel", [1, 2, 1]), ("prewitt", [1, 1, 1])):
        assert np.array_equal(kernel(f"{name}-x", axes=2), np.outer(average, difference))
        assert np.array_equal(kernel(f"{name}-y", axes=2), np.outer(difference, average))


def test_sharpen_is_the_pixel_less_its_laplacian():
    assert np.array_equal(kernel("sharpen", axes=2), dirac(3, 2) - kernel("laplacian", axes=2))


def test_laplacian_of_a_parabola_is_its_second_derivative():
    r, c = np.mgrid[:6, :6]
    assert (slide((r**2 + 3 * c**2)[None], kernel("laplacian", axes=2), padding="valid") == 8).all()


def test_recent_measurements_weigh_more_and_future_ones_nothing():
    K = kernel("recent-3", axes=1)
    np.testing.assert_allclose(6 * K, [1, 2, 3, 0, 0], rtol=0, atol=1e-12)
    x, w = np.random.default_rng(0).normal(size=(1, 1, 50)), np.array([3, 2, 1]) / 6  # w by age
    causal = convolve(x, w[None, None], padding="full")[0, :, :50]
    np.testing.assert_allclose(slide(x[0], K, mode="zero"), causal, rtol=0, atol=1e-12)


def test_a_dirac_train_repeats_the_signal():
    pulse = np.array([[3.0, 1.0, 2.0, 0.0, 5.0]])
    repeated = slide(pulse, kernel("dirac-train-5", axes=1), padding="full", mode="zero")
    assert repeated.tolist() == [[3, 1, 2, 0, 5] * 3]


def test_kernels_are_meant_for_correlation():
    x = np.zeros((1, 1, 3, 3))
    x[..., 2] = 1  # brighter to the right
    assert correlate(x, kernel("sobel-x", axes=2)[None, None]).item() == 4


def test_every_name_gives_a_kernel_of_its_axes():
    assert names(1) == ("box", "gaussian", "low-pass", "high-pass", "recent", "dirac-train")
    assert set(names(2)) == {*filters.FIXED, "box", "gaussian", "low-pass", "high-pass"}
    for axes in (1, 2):
        for name in names(axes):
            assert kernel(name, axes=axes).shape == (len(kernel(name, axes=axes)),) * axes


def test_a_kernel_is_the_callers_own():
    kernel("sobel-x", axes=2)[:] = 0
    assert kernel("sobel-x", axes=2).any()


@pytest.mark.parametrize("name", ["sobel", "sobel-x-5", "recent", "", "box-", "-3"])
def test_an_unknown_name_is_a_key_error(name):
    with pytest.raises(KeyError, match=f"'{name}'"):
        kernel(name, axes=2)


@pytest.mark.parametrize("size", ["1", "4", "257"])
def test_a_size_without_a_middle_or_too_large_is_an_error(size):
    with pytest.raises(ValueError, match=f"`box-{size}` must be odd, so that it has a middle, and from 3 to 255"):
        kernel(f"box-{size}", axes=2)


def test_a_kernel_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="does not fit into a padded input"):
        slide(image(1, 3, 3), kernel("gaussian-5", axes=2), padding="valid")
