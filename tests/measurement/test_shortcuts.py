"""What the walk computes in PyTorch's stead: shapes, types and layouts are those of PyTorch's own operations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.jobs.measure import measure
from fovea.measurement import walk
from fovea.measurement.walk import Walk

CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "convolution": lambda x: F.conv2d(x, x.new_empty(8, 2, 3, 5), stride=(2, 1), padding=1, dilation=2, groups=3),
    "transposed": lambda x: F.conv_transpose2d(x, x.new_empty(6, 4, 3, 3), stride=2, output_padding=1),
    "channels last": lambda x: F.conv2d(x.to(memory_format=torch.channels_last), x.new_empty(8, 6, 1, 1)),
    "batch norm": lambda x: F.batch_norm(x.transpose(2, 3), x.new_empty(6), x.new_empty(6)),
    "relu": lambda x: F.relu(x[:, ::2]),
    "sum": lambda x: x + x.flip(3),
    "sum of other layouts": lambda x: x + x.to(memory_format=torch.channels_last),
    "sum of other types": lambda x: x + x.double(),
    "broadcast sum": lambda x: x + x[:, :, :1],
    "sum with a number": lambda x: x + 1,
    "sum in place": lambda x: x.clone().add_(1).add_(x[0]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_shortcut_gives_the_shape_type_and_layout_of_pytorch(case: str) -> None:
    x = torch.empty(2, 6, 11, 12, device="meta")
    with Walk(virtual=True):
        short = CASES[case](x)
    own = CASES[case](x)
    assert (short.shape, short.dtype, short.stride()) == (own.shape, own.dtype, own.stride())


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "shufflenet_v2_05"])
def test_a_measurement_is_the_same_without_shortcuts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measure(name).to_dict()
    for operation in ("convolution", "add", "add_"):
        monkeypatch.delitem(walk.SHORTCUTS, operation)
    assert measure(name).to_dict() == measured
