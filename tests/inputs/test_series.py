"""Series as a kind of input: reading, one length, faults, normalisation, and what a card says."""

import numpy as np
import pytest
import torch

from fovea import inputs
from fovea.errors import ImageError, UsageError
from fovea.inputs.series import SeriesPreprocess, lengths_note, without_padding
from fovea.inputs.views import Protocol

SERIES = inputs.kind("series")


def way(length=4, channels=1, fit="crop", mean=None, std=None):
    mean, std = mean or (0.0,) * channels, std or (1.0,) * channels
    return SeriesPreprocess(length=length, channels=channels, fit=fit, mean=mean, std=std)


def test_a_longer_series_keeps_its_middle():
    assert way().read(np.arange(6.0)).ravel().tolist() == [1, 2, 3, 4]
    assert way().read(np.arange(7.0)).ravel().tolist() == [1, 2, 3, 4]


def test_a_shorter_series_repeats_its_last_value():
    assert way().read(np.array([3.0, 5.0])).ravel().tolist() == [3, 5, 5, 5]


def test_a_squashed_series_keeps_its_ends_and_is_linear_between():
    assert way(length=5, fit="squash").read(np.array([0.0, 4.0])).ravel().tolist() == [0, 1, 2, 3, 4]
    assert way(length=3, fit="squash").read(np.arange(5.0)).ravel().tolist() == [0, 2, 4]


def test_nan_at_the_end_means_shorter_and_elsewhere_missing():
    assert way().read(np.array([1.0, 2.0, np.nan, np.nan])).ravel().tolist() == [1, 2, 2, 2]
    assert without_padding(np.full((3, 1), np.nan, np.float32)).shape == (0, 1)
    with pytest.raises(ImageError, match="^a missing value \\(NaN\\) at step 1 of channel 0$"):
        way().read(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ImageError, match="an infinite value at step 0 of channel 1, and 1 more"):
        way(channels=2).read(np.array([[1.0, np.inf], [2.0, np.inf]]))
    with pytest.raises(ImageError, match="it contains no values"):
        way().read(np.array([np.nan, np.nan]))


def test_another_number_of_channels_is_refused():
    with pytest.raises(ImageError, match="2 channels, but 1 are needed"):
        way().read(np.zeros((4, 2)))


@pytest.mark.parametrize("array", [np.zeros((1, 2, 3)), np.zeros(0), np.array(["a"])])
def test_an_array_that_is_no_series_is_refused(array):
    with pytest.raises(UsageError, match="A series must be an array of numbers"):
        way().read(array)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1\n2\n", [[1], [2]]),
        ("a,b\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("time,a\n0,5\n1,6\n", [[5], [6]]),
        ("a,b\r\n1,2\r\n\r\n", [[1, 2]]),
    ],
)
def test_a_csv_file_is_rows_of_steps(tmp_path, text, values):
    (tmp_path / "a.csv").write_text(text, newline="")
    for source in (tmp_path / "a.csv", text.encode()):
        read = way(length=len(values), channels=len(values[0])).read(source)
        assert read.tolist() == values and read.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it contains no numbers"),
        (b"a\n", "it contains no numbers"),
        (b"1\nx\n", "not a CSV file of numbers"),
        (b"1,2\n3\n", "row 2 has 1 cells, but the first has 2"),
        (b"1\n\n?\n3\n", "a missing value"),
        (b"\xff\xfe\x00", "not a CSV file of numbers"),
    ],
)
def test_a_broken_file_is_named_with_its_reason(tmp_path, content, reason):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ImageError, match=f"a.csv`: .*{reason}"):
        way().read(tmp_path / "a.csv")
    with pytest.raises(ImageError, match=f"^[^`]*{reason}"):
        way().read(content)


def test_a_numpy_file_is_a_series_and_a_pickle_is_none(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4))
    assert way().read(tmp_path / "a.npy").ravel().tolist() == [0, 1, 2, 3]
    np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ImageError, match="not a NumPy file of one series"):
        way().read(tmp_path / "b.npy")


def test_the_network_sees_what_numpy_computes():
    preprocess = way(length=6, channels=2, mean=(1.0, -2.0), std=(0.5, 4.0))
    samples = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)
    prepare = SERIES.network_input(preprocess, torch.device("cpu"))
    arranged = prepare.arranged(samples)
    assert arranged.shape == (3, *preprocess.shape) and preprocess.stored_shape == (6, 2)
    np.testing.assert_allclose(prepare(arranged).numpy(), preprocess.normalise(samples), rtol=1e-6)
    torch.testing.assert_close(prepare.undo(prepare(arranged)), arranged)


def test_a_card_repeats_the_preprocessing():
    preprocess = way(length=6, channels=2, fit="squash", mean=(1.0, -2.0), std=(0.5, 4.0))
    written = preprocess.to_dict()
    assert inputs.from_dict(written) == preprocess and written["padding"] == "last value"
    with pytest.raises(UsageError, match="missing or unknown fields: `extra`"):
        inputs.from_dict({**written, "extra": 1})
    with pytest.raises(UsageError, match="`padding` \\(=zeros\\) must be last value"):
        inputs.from_dict({**written, "padding": "zeros"})


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("length", 0, "a whole number from 1"),
        ("channels", 1.5, "a whole number"),
        ("fit", "letterbox", "one of crop, squash"),
        ("mean", (1.0, 2.0), "one finite number for each"),
        ("std", (0.0,), "must be from"),
        ("std", (float("nan"),), "one finite number"),
    ],
)
def test_a_field_out_of_range_is_refused(field, value, rule):
    with pytest.raises(UsageError, match=rule):
        SeriesPreprocess(**{"length": 4, "channels": 1, "mean": (0.0,), "std": (1.0,), field: value})


def test_series_have_no_views():
    with pytest.raises(UsageError, match="scales work only for images, not for series"):
        SERIES.viewed(way(), Protocol(flip=True))


def test_a_plot_shows_each_channel_in_its_colour():
    picture = SERIES.thumbnail(np.stack([np.arange(50.0), np.arange(50.0)[::-1]], axis=1))
    assert picture.shape == (88, 160, 3) and picture.dtype == np.uint8
    left = picture[:, 8:16].reshape(-1, 3).astype(int)
    assert (left.sum(1) < 300).any() and (left[:, 0] - left[:, 2] > 60).any()


def test_a_constant_series_is_told():
    assert SERIES.is_constant(np.full((5, 2), 3.0)) and not SERIES.is_constant(np.array([[1.0, 1.0], [1.0, 2.0]]))


def test_lengths_that_differ_are_said():
    assert lengths_note([5, 5]) == () and lengths_note([3, 5, 9])[0].startswith(
        "lengths differ, 3 to 9 steps, median 5"
    )
