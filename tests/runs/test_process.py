"""What a training changes in its process is put back when it ends."""

import ctypes
import gc
import sys
import types

import pytest
import torch

import fovea
from fovea.display import Display
from fovea.runs import process
from fovea.runs.process import LARGEST_DYNAMIC, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, as_found


def change():
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.manual_seed(99)
    torch.rand(3)


@pytest.fixture
def before():
    """Return thread count and random state, which must be the same when the test ends."""
    torch.manual_seed(1)
    torch.rand(5)  # in the middle of a stream
    return torch.get_num_threads(), torch.get_rng_state()


def as_it_was(before):
    threads, state = before
    return torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)


def test_threads_and_random_state_are_put_back(before):
    with as_found():
        change()
        assert not as_it_was(before)
    assert as_it_was(before)


def test_they_are_put_back_after_an_error(before):
    with pytest.raises(KeyError), as_found():
        change()
        raise KeyError
    assert as_it_was(before)


def test_a_training_in_a_training_puts_back_what_it_found(before):
    with as_found():
        change()
        inner = torch.get_num_threads(), torch.get_rng_state()
        with as_found():
            change()
        assert as_it_was(inner)
    assert as_it_was(before)


def test_the_body_draws_from_the_state_it_finds(before):
    with as_found():
        drawn = torch.rand(4)
    assert torch.equal(torch.rand(4), drawn)


def test_memory_can_be_kept_more_than_once():
    for _ in range(2):
        with as_found(), as_found():
            large = torch.zeros(40 << 20, dtype=torch.uint8)  # above both thresholds
            del large
    assert torch.zeros(40 << 20, dtype=torch.uint8).sum() == 0


def test_the_thresholds_of_glibc_come_back_to_its_largest_dynamic_ones(monkeypatch):
    calls = []
    libc = types.SimpleNamespace(
        mallopt=lambda name, value: calls.append((name, value)), malloc_trim=lambda pad: calls.append(pad)
    )
    monkeypatch.setattr(process.sys, "platform", "linux")
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: libc)
    with as_found():
        assert calls == [(M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, (1 << 31) - 1)]
    assert calls[2:] == [(M_MMAP_THRESHOLD, LARGEST_DYNAMIC), (M_TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC), 0]


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_without_glibc_nothing_happens_to_memory(monkeypatch, platform, before):
    """Stands for another system, and for Linux with another C library."""
    monkeypatch.setattr(process.sys, "platform", platform)
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: types.SimpleNamespace())
    with as_found():
        change()
    assert as_it_was(before)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_glibc_takes_the_thresholds():
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        pytest.skip("another C library")
    with as_found():
        pass
    assert libc.mallopt(M_MMAP_THRESHOLD, LARGEST_DYNAMIC) == libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC) == 1


def test_a_training_leaves_threads_and_random_state_as_they_were(tmp_path, before):
    options = {"model": "lenet5", "epochs": 1, "threads": before[0] + 1, "precision": "float32", "device": "cpu"}
    fovea.train("digits", out=tmp_path / "run", display=Display(quiet=True), **options)
    assert as_it_was(before)


def test_preview_and_measurements_do_so_too(tmp_path, before):
    fovea.preview("digits", out=tmp_path / "sheet.png", display=Display(quiet=True))
    assert as_it_was(before)
    fovea.measure("lenet5")
    assert as_it_was(before)
    fovea.latency("lenet5", device="cpu")
    assert as_it_was(before) and gc.isenabled()


def test_a_training_that_fails_does_so_too(tmp_path, before, monkeypatch):
    from fovea.training.engine import Trainer

    def fail(*_):
        raise RuntimeError("in the first step")

    monkeypatch.setattr(Trainer, "train_step", fail)
    options = {"model": "lenet5", "epochs": 1, "threads": before[0] + 1, "precision": "float32", "device": "cpu"}
    with pytest.raises(RuntimeError, match="in the first step"):
        fovea.train("digits", out=tmp_path / "run", display=Display(quiet=True), **options)
    assert as_it_was(before)
