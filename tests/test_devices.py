"""What a network runs on."""

from types import SimpleNamespace

import pytest
import torch

from fovea import devices
from fovea.devices import device_named, using_threads
from fovea.errors import UsageError


def test_the_best_device_is_the_default():
    assert device_named("auto").type in ("cpu", "cuda", "mps")
    assert device_named("cpu") == torch.device("cpu")


def test_threads_are_put_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_threads_stay_as_they_are_where_no_number_is_given():
    before = torch.get_num_threads()
    with using_threads(None):
        assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, 1_000_000, 1.5, True])
def test_a_number_of_threads_that_no_machine_has_is_refused(threads):
    with pytest.raises(UsageError, match="`--threads` .* must be a whole number from 1 to"), using_threads(threads):
        pass


def test_memory_is_what_the_system_says_in_bytes(monkeypatch, tmp_path):
    file = tmp_path / "meminfo"
    monkeypatch.setattr(devices, "MEMINFO", file)
    assert devices.memory_bytes() is None
    file.write_text("MemTotal:       16000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\nHugePages_Total:   0\n")
    assert devices.memory_bytes() == (4_096_000, 16_384_000)


def test_a_rate_counts_two_operations_per_product(monkeypatch):
    times = iter([0.0, 0.0, 0.5, 1.0, 1.25, 2.0])  # the best of two products took a quarter of a second
    monkeypatch.setattr(devices, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    assert devices.matmul_rate(8, seconds=2.0) == 2 * 8**3 / 0.25
