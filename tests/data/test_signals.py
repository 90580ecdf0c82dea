"""Signals in CSV files: one column or two, with or without a header, and each fault with its line."""

import numpy as np
import pytest

from fovea.data import signals
from fovea.data.signals import Signal, read_signal
from fovea.errors import DataError


@pytest.fixture
def signal_of(tmp_path):
    def read(content):
        (tmp_path / "s.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_signal(tmp_path / "s.csv")

    return read


def test_one_column_is_the_values(signal_of):
    signal = signal_of("1\n-2.5\n\n3e2\n")
    assert signal.values.tolist() == [1, -2.5, 300] and signal.values.dtype == np.float64
    assert signal[1:] == (0, 1, "sample", "value")


def test_two_columns_are_times_and_values_named_by_the_header(signal_of):
    signal = signal_of("\N{BYTE ORDER MARK}seconds, height (m)\r\n10,1\r\n10.5,2\r\n11,4\r\n")
    assert signal.values.tolist() == [1, 2, 4]
    assert signal[1:] == (10, 0.5, "seconds", "height (m)")
    assert signal_of("0,1\n2,3\n")[1:] == (0, 2, "time", "value")


def test_times_may_be_rounded(signal_of):
    assert np.isclose(signal_of("0,1\n0.3333,1\n0.6667,1\n1,1\n").step, 1 / 3)


def test_one_sample_is_a_signal(signal_of):
    assert signal_of("t,x\n5,7")[1:] == (5, 1, "t", "x")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "contains no numbers; write one value per row, or time and value"),
        ("value\n", "contains no numbers"),
        ("1,2,3\n", "has 3 columns; a signal must have one (values) or two (times, values)"),
        ("1\n2\nx\n", "line 3: `x` is not a number from -1e+100 to 1e+100"),
        ("v\n1\nnan\n", "line 3: `nan` is not a number"),
        ("1\n-1e101\n", "line 2: `-1e101` is not a number"),
        ("1,x\n", "line 1: `x` is not a number"),
        ("1,2\n2\n", "line 2: 1 cells, but the first row has 2"),
        ("0,1\n1,1\n3,1\n", "the times must increase in equal steps; resample the signal, or remove the times"),
        ("1,1\n0,1\n", "the times must increase"),
        (b"\xff\xd8\xff\xe0", "is not a CSV file in UTF-8"),
        ("1" * 200_000, "is not a CSV file in UTF-8: field larger than field limit"),
    ],
)
def test_each_fault_is_one_line(signal_of, content, fault):
    with pytest.raises(DataError) as caught:
        signal_of(content)
    message = str(caught.value)
    assert fault in message and "s.csv`" in message and "\n" not in message


def test_what_is_too_large_is_refused(signal_of, monkeypatch):
    monkeypatch.setattr(signals, "MAX_SAMPLES", 3)
    assert len(signal_of("v\n1\n1\n1\n").values) == 3
    for content in (4 * "1\n", "v\n" + 9 * "1\n"):
        with pytest.raises(DataError, match="has more than 3 rows, the limit for a signal"):
            signal_of(content)
    monkeypatch.setattr(signals, "MAX_FILE_BYTES", 5)
    with pytest.raises(DataError, match="has more than 5 bytes, the limit for a signal"):
        signal_of("1\n1\n1\n")


def test_a_file_that_is_not_there_or_a_folder_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="absent.csv` cannot be read: No such file or directory"):
        read_signal(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_signal(tmp_path)


def test_what_a_window_makes_stands_at_its_middle():
    signal = Signal(np.arange(10.0), start=100, step=2, time_name="s")
    # windows of 5 without padding: the first has its middle at sample 2, the next 3 samples later
    slid = signal.slid(np.array([1.0, 2.0]), width=5, before=0, stride=3)
    assert (slid.values.tolist(), slid.start, slid.step, slid.time_name) == ([1, 2], 104, 6, "s")
    assert signal.slid(signal.values, width=5, before=2, stride=1).start == 100
    assert signal.slid(signal.values, width=4, before=2, stride=1).start == 99  # between two samples
