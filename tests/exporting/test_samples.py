import numpy as np
import pytest

from fovea.exporting.samples import GENERATED, generated
from fovea.inputs.clips import ClipPreprocess
from fovea.inputs.series import SeriesPreprocess
from fovea.preprocess import Preprocess

RGB = Preprocess(size=(32, 48), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


def test_generated_images_are_such_as_preprocessing_makes():
    stored, source = generated(RGB, count=5)
    assert (stored.shape, stored.dtype, source) == ((5, 32, 48, 3), np.uint8, GENERATED)


def test_they_are_the_same_every_time_and_differ_from_each_other():
    first, again = generated(RGB, count=3).stored, generated(RGB, count=3).stored
    assert (first == again).all()
    assert (first[0] != first[1]).any()


def test_their_mean_and_contrast_lie_around_those_of_the_card():
    stored = generated(RGB, count=64).stored / 255
    np.testing.assert_allclose(stored.mean((0, 1, 2)), RGB.mean, atol=0.08)
    np.testing.assert_allclose(stored.std((0, 1, 2)), RGB.std, rtol=0.4)


def test_neighbours_are_alike_as_in_photographs():
    stored = generated(RGB, count=16).stored.astype(float)
    neighbours = np.abs(np.diff(stored, axis=2)).mean()
    far = np.abs(stored[:, :, 24:] - stored[:, :, :24]).mean()
    assert neighbours < 0.6 * far  # of white noise they differ as much as distant ones


@pytest.mark.parametrize(
    "preprocess",
    [
        SeriesPreprocess(length=1, channels=3, mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0)),
        SeriesPreprocess(length=31, channels=1, mean=(-5.0,), std=(0.1,)),
        ClipPreprocess(frames=2, size=(3, 5), channels=1, mean=(0.5,), std=(0.5,)),
        Preprocess(size=(1, 1), channels=1, mean=(0.5,), std=(0.5,)),
    ],
    ids=["one step", "series", "clips", "one pixel"],
)
def test_other_kinds_and_the_smallest_sizes_are_generated_too(preprocess):
    stored = generated(preprocess, count=2).stored
    assert (stored.shape, stored.dtype) == ((2, *preprocess.stored_shape), preprocess.dtype)
    assert np.isfinite(stored).all()


def test_another_size_may_be_asked_for():
    assert generated(RGB, count=2, size=(9, 7)).stored.shape == (2, 9, 7, 3)
