"""What the rows of a chain say of time, beside other programs on the machine."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fovea.runs.chain import measured


class HeldUp(nn.Module):
    """Waits, as where another program has the processor."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x):
        time.sleep(0.01)
        return self.layer(x)


@pytest.fixture
def threads():
    """Return what sets the number of threads until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("count", "waited"), [(1, False), (2, True)])
def test_on_one_thread_a_pass_takes_the_time_of_the_processor(monkeypatch, threads, count, waited):
    monkeypatch.setattr(measured, "TIMED_S", 0.0)
    threads(count)
    bundle = SimpleNamespace(model=HeldUp(), preprocess=SimpleNamespace(shape=(1,)), device=torch.device("cpu"))
    assert (measured.timing_of(bundle, 1).median_s >= 0.01) == waited
