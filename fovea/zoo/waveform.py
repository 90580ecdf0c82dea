"""Very deep networks for raw waveforms: Dai, Dai, Qu, Li and Das 2016, arXiv:1610.00087. Table 1.

A wide window at stride 4 stands for a bank of filters; behind it the rule of VGG, kernels of 3 and twice the maps
behind each pooling, without dense layers but the logits.

Departures: none. The padding of the first convolution is the one that leaves a quarter of the samples. M34-res is left
out.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.time_series import glorot_uniform, head

KERNEL, STRIDE, PADDING = 80, 4, 38  # of the first convolution: 32000 samples become 8000
POOL = 4


class Stage(NamedTuple):
    c: int  # channels
    n: int  # convolutions


TABLE_1 = {
    #       8000            2000           500            125             31
    "M3":  (Stage(256, 1), Stage(256, 1)),
    "M5":  (Stage(128, 1), Stage(128, 1), Stage(256, 1), Stage(512, 1)),
    "M11": (Stage(64, 1),  Stage(64, 2),  Stage(128, 2), Stage(256, 3), Stage(512, 2)),
    "M18": (Stage(64, 1),  Stage(64, 4),  Stage(128, 4), Stage(256, 4), Stage(512, 4)),
}  # fmt: skip


def _stage(c_in: int, stage: Stage, *, first: bool, pool: bool) -> nn.Sequential:
    """Convolutions of 3 (the first of all: 80 at stride 4), each with batch norm and ReLU; max pooling of 4.

    (N, c_in, T) -> (N, c, T / 4), or without pooling (N, c, T); T / 4 of these in the first stage.
    """
    layers: dict[str, nn.Module] = {}
    for i in range(1, stage.n + 1):
        conv = nn.Conv1d(c_in, stage.c, KERNEL, STRIDE, PADDING) if first else nn.Conv1d(c_in, stage.c, 3, padding=1)
        layers |= {f"conv{i}": conv, f"bn{i}": nn.BatchNorm1d(stage.c), f"relu{i}": nn.ReLU()}
        c_in = stage.c
    if pool:
        layers["pool"] = nn.MaxPool1d(POOL)
    return nn.Sequential(OrderedDict(layers))


def _waveform(name: str, classes: int, *, c_in: int, size: int) -> Classifier:
    rows, stages, windows = TABLE_1[name], [], [Window("stage1.conv1", KERNEL, STRIDE, PADDING)]
    # M11 and M18 average the maps behind their last convolutions as they are
    pools = min(len(rows), 4)
    for i, row in enumerate(rows, start=1):
        stages.append(_stage(c_in, row, first=i == 1, pool=i <= pools))
        if i <= pools:
            windows.append(Window(f"stage{i}.pool", POOL, POOL))
        c_in = row.c
    chained(size, windows, axes=1)  # refuses what is too short
    return glorot_uniform(Classifier(stages=stages, head=head(c_in, classes)))


_register = partial(
    register,
    paper="arXiv:1610.00087",
    title="Very deep convolutional neural networks for raw waveforms",
    authors="Dai et al.",
    year=2016,
    input=(1, 32000),  # four seconds at 8 kHz
)


@_register(params=221_194, macs=557_058_560)
def waveform_m3(classes: int = 10, *, c_in: int = 1, size: int = 32000) -> Classifier:
    return _waveform("M3", classes, c_in=c_in, size=size)


@_register(params=559_114, macs=278_533_120)
def waveform_m5(classes: int = 10, *, c_in: int = 1, size: int = 32000) -> Classifier:
    return _waveform("M5", classes, c_in=c_in, size=size)


@_register(params=1_786_442, macs=224_990_208)
def waveform_m11(classes: int = 10, *, c_in: int = 1, size: int = 32000) -> Classifier:
    return _waveform("M11", classes, c_in=c_in, size=size)


@_register(params=3_683_786, macs=396_628_992)
def waveform_m18(classes: int = 10, *, c_in: int = 1, size: int = 32000) -> Classifier:
    return _waveform("M18", classes, c_in=c_in, size=size)
