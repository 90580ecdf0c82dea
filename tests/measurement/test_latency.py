import pytest
import torch
from torch import nn

from fovea.measurement.latency import LEAST, MOST, WARM_UP, time_forward


class Counted(nn.Module):
    """Notes each input, and in which mode it comes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, dtype=torch.float64)
        self.seen = []

    def forward(self, x):
        self.seen.append((tuple(x.shape), x.dtype, self.training, torch.is_inference_mode_enabled()))
        return self.conv(x)


def test_median_lies_between_the_tenths_and_gives_the_rate():
    found = time_forward(Counted(), (4, 9, 9), macs=1_000, seconds=0.01)
    assert 0 < found.p10_s <= found.median_s <= found.p90_s
    assert found.macs_per_s == pytest.approx(1_000 / found.median_s)
    assert (found.batch, found.device, found.threads) == (1, "cpu", torch.get_num_threads())


def test_each_pass_is_one_image_in_evaluation_mode_and_in_the_precision_of_the_weights():
    model, counts = Counted().train(), []
    found = time_forward(model, (4, 9, 9), macs=1, seconds=0.0, progress=lambda *count: counts.append(count))
    assert found.passes == LEAST
    assert model.seen == [((1, 4, 9, 9), torch.float64, False, True)] * (WARM_UP + LEAST)
    assert counts == [(done, LEAST) for done in range(1, LEAST + 1)]


def test_passes_are_bounded_however_long_it_may_take():
    assert time_forward(nn.Identity(), (4,), macs=0, seconds=1e6).passes == MOST


def test_a_batch_is_one_pass_of_so_many_images():
    model = Counted()
    found = time_forward(model, (4, 9, 9), macs=1_000, batch=3, seconds=0.0)
    assert {shape for shape, *_ in model.seen} == {(3, 4, 9, 9)}
    assert (found.batch, found.macs_per_s) == (3, pytest.approx(3_000 / found.median_s))
    assert "for 3 inputs" in found.summary()[0]
