"""The changes of a card: networks come back by them alone, and what is hostile is refused in a line."""

import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fovea import registry
from fovea.card import Card
from fovea.compression.change import KINDS, parsed
from fovea.compression.changes import changed
from fovea.compression.channels import channel_groups, remove
from fovea.compression.fold import fold
from fovea.errors import BundleError, UsageError
from fovea.exporting.core import float_core
from fovea.exporting.session import Session
from fovea.layers import placed
from fovea.measurement.network import measure_network
from fovea.model.bundle import load, save_bundle
from fovea.preprocess import Preprocess
from tests.support.small_networks import Dense, Grouped, Residual
from tests.support.wirings import built, half

SHAPE = (3, 32, 32)
PREPROCESS = Preprocess(size=(32, 32), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3).to_dict()
CPU = torch.device("cpu")


@torch.no_grad()
def shrunk(model, shape=SHAPE):
    """Return a network that was folded and has lost half of its channels, and the changes that it went through."""
    changes = fold(model, shape).changes
    found = channel_groups(model, shape)
    return model, changes + remove(model, found, {group.name: half(group)[1] for group in found.free})


def card_of(make_card, changes, architecture="cifar_resnet20", **more):
    values = make_card(
        architecture=architecture,
        arguments={"classes": 10},
        outputs=10,
        classes=[str(k) for k in range(10)],
        preprocess=PREPROCESS,
        **more,
    )
    return replace(Card.from_dict(values, source="m"), changes=tuple(changes))


@pytest.mark.parametrize("name", ["cifar_resnet20", pytest.param("shufflenet_v1_g3", marks=pytest.mark.slow)])
def test_plans_survive_save_and_load(name, make_card, tmp_path):
    model, changes = shrunk(built(name, SHAPE))
    card = card_of(make_card, changes, name)
    assert card.format == card["format"] == 3
    save_bundle(tmp_path / "m.safetensors", model, card)
    back = load(tmp_path / "m.safetensors")
    assert list(back.card.changes) == changes
    x = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert torch.equal(back.model(x), placed(model, CPU)(x))
    again = tmp_path / "again.safetensors"
    save_bundle(again, back.model, back.card)
    assert again.read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_a_card_without_changes_keeps_its_format(make_card):
    card = card_of(make_card, [])
    assert card.format == 1
    assert "changes" not in card


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (Residual, (3, 12, 12)),
        (Dense, (3, 12, 12)),
        (Grouped, (3, 12, 12)),
        (partial(built, "lenet5_1998", (1, 32, 32)), (1, 32, 32)),
        pytest.param(partial(built, "cifar_resnet20", SHAPE), SHAPE, marks=pytest.mark.slow),
        pytest.param(partial(built, "shufflenet_v1_g3", SHAPE), SHAPE, marks=pytest.mark.slow),
    ],
    ids=["residual", "dense", "grouped", "lenet5_1998", "cifar_resnet20", "shufflenet_v1_g3"],
)
def test_a_shrunk_network_is_exported_and_measured(make, shape):
    torch.manual_seed(0)
    model, _ = shrunk(make().eval(), shape)
    x = torch.randn(1, *shape)
    with torch.no_grad():
        expected = model(x).numpy()
    found = Session(float_core(model, shape).SerializeToString()).run("input", x.numpy())["logits"]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert measure_network(model, shape).total.macs < measure_network(make(), shape).total.macs


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.logits = nn.Linear(8, 10)

    def forward(self, x):
        return self.logits(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def own_bundle(make_card, path, **plan):
    model = Own().eval()
    changes = fold(model, SHAPE).changes
    changes += remove(model, channel_groups(model, SHAPE), {"conv": [0, 3, 7]})
    card = card_of(make_card, changes, architecture="custom")
    save_bundle(path, model, replace(card, arguments={}, other={}))
    return model, changes


def test_a_network_of_ones_own_comes_back_by_its_code_and_the_changes(make_card, tmp_path):
    model, _ = own_bundle(make_card, tmp_path / "m.safetensors")
    back = load(tmp_path / "m.safetensors", model=Own())
    x = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert torch.equal(back.model(x), placed(model, CPU)(x))


def test_changes_of_another_network_do_not_fit_ones_own(make_card, tmp_path):
    own_bundle(make_card, tmp_path / "m.safetensors")
    with pytest.raises(
        BundleError, match=("do not match this network: A change lists the layer `bn`, which the network")
    ):
        load(tmp_path / "m.safetensors", model=nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)))


def resized(**layers):
    return {"kind": "channels", "layers": {name.replace("_", "."): size for name, size in layers.items()}}


STEM, NORM = "stem.conv", "stem.bn"
HOSTILE = [
    ([{}], "Unknown change `None`"),
    ([{"kind": ["fold"] * 9999}], "Unknown change"),
    ([{"kind": "pickle"}], "Unknown change `pickle`"),
    ([{"kind": "channels"}], "has `layers`"),
    ([{"kind": "channels", "layers": {}, "code": "import os"}], "no other field"),
    ([{"kind": "channels", "layers": [STEM]}], "has `layers`"),
    ([{"kind": "channels", "layers": {}, "tensors": 1}], "`tensors` of a change"),
    ([{"kind": "channels", "layers": {}, "tensors": {"x": [1]}}], "an axis and a size"),
    ([{"kind": "channels", "layers": {}, "tensors": {"x": [0, [1]]}}], "an axis and a size"),
    ([{"kind": "channels", "layers": {}, "tensors": {"x.y.z": [0, 1]}}], "the tensor `x.y.z`"),
    ([{"kind": "channels", "layers": {}, "tensors": {"stem.conv.weight": [9, 1]}}], r"its shape is \(16, 3, 3, 3\)"),
    ([{"kind": "channels", "layers": {}, "tensors": {"stem.conv.weight": [0, 10**30]}}], "cannot resize the tensor"),
    ([resized(stem_conv="3")], "a size, a list of whole numbers"),
    ([resized(stem_conv=[3, 1.5, 1])], "a size"),
    ([resized(stem_conv=[3, True, 1])], "a size"),
    ([resized(stem_conv=[3, 16])], r"it has \[c_in, c_out, 1\]"),
    ([resized(stem_conv=[3, 16, 2])], "the last of which is fixed"),
    ([resized(stem_conv=[3, 10**30, 1])], "from 1 to 16 channels, not 1000"),
    ([resized(stem_conv=[3, 17, 1])], "from 1 to 16 channels, not 17"),
    ([resized(stem_conv=[3, 0, 1])], "from 1 to 16 channels, not 0"),
    ([resized(stem_conv=[3, -1, 1])], "from 1 to 16 channels"),
    ([resized(stem_conv=[3, [[]], 1])], "from 1 to 16 channels"),
    ([resized(stem_bn=[17])], "from 1 to 16 channels, not 17"),
    ([resized(stem_bn=[1, 1])], r"it has \[c\]"),
    ([resized(stem_relu=[1])], "its kind is not known"),
    ([resized(nowhere=[1])], "`nowhere`, which the network does not have"),
    ([resized(stage2_block1_shortcut=[10**9, 0])], "at most 8 before and 8 after"),
    ([resized(stage2_block1_shortcut=[8])], r"it has \[before, after\]"),
    ([resized(stem_conv=[3, 8, 1])], "fails on 3x32x32|does not match its network"),
    ([{"kind": "fold", "into": {NORM: STEM}}] * 2, "`stem.bn`, which is not a batch norm"),
    ([{"kind": "plain", "layers": [STEM]}], "which has none"),
    ([{"kind": "plain", "layers": STEM}], "has `layers`"),
]


@pytest.mark.parametrize(("changes", "reason"), HOSTILE)
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read where Linux has it")
def test_a_hostile_change_is_refused_in_a_line_without_taking_memory(changes, reason, make_card, tmp_path):
    path = tmp_path / "m.safetensors"
    save_file(built("cifar_resnet20", SHAPE).state_dict(), path)
    card = {**card_of(make_card, []), "format": 3, "changes": changes}
    save_file(load_file(path), path, metadata={"fovea": json.dumps(card)})
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_kilobytes()
    with pytest.raises(BundleError, match=reason) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1
    assert peak_kilobytes() - before < 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read where Linux has it")
def test_a_network_that_was_large_takes_the_memory_of_what_is_left(make_card, tmp_path):
    # 3072 x 1,000,000 numbers, of which one row stays
    layers = {"stage1.dense": [3072, 1, 1], "head.logits": [1, 10, 1]}
    arguments = {"classes": 10, "c_in": 3, "size": 32, "widths": [1]}
    small = registry.build("mlp", **arguments).state_dict()
    card = card_of(make_card, [{"kind": "channels", "layers": layers}], "mlp")
    card = {**card, "arguments": {**arguments, "widths": [1_000_000]}}
    path = tmp_path / "m.safetensors"
    save_file(small, path, metadata={"fovea": json.dumps(card)})
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_kilobytes()
    model = load(path).model
    assert peak_kilobytes() - before < 100_000
    assert all(torch.equal(small[name], tensor) for name, tensor in model.state_dict().items())


def peak_kilobytes():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


@pytest.mark.parametrize("table", [[], [[]], [[9]], [["0"]], [[0, 1]] * 17, [[0] * 1000], [[-1]]])
def test_a_hostile_table_of_connections_is_refused(table):
    with pytest.raises(UsageError, match="`stage2.conv`"):
        changed(built("lenet5_1998", (1, 32, 32)), [resized(stage2_conv=table)])


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"format": 3, "changes": {}}, "`changes` is of the wrong type"),
        ({"format": 3, "changes": ["fold"]}, "`changes` is of the wrong type"),
        ({"format": 3, "changes": [{"kind": "fold", "into": {}}] * 201}, "lists 201 changes"),
        ({"format": 2, "changes": [{"kind": "fold", "into": {}}]}, "`changes` needs format 3"),
    ],
)
def test_a_card_whose_changes_are_no_list_of_a_fair_length_is_refused(card, reason, make_card):
    with pytest.raises(BundleError, match=reason):
        Card.from_dict(make_card(**card), source="m")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_refuses_what_it_does_not_know(kind):
    with pytest.raises(UsageError):
        parsed({"kind": kind, "surprise": 1})
