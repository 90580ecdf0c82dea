"""What a network runs on."""

from types import SimpleNamespace

import torch

from fovea import devices
from fovea.devices import device_named


def test_the_best_device_is_the_default():
    assert device_named("auto").type in ("cpu", "cuda", "mps")
    assert device_named("cpu") == torch.device("cpu")


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
