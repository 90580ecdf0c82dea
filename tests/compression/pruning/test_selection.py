import pytest

from fovea.compression.pruning.clock import Form
from fovea.compression.pruning.selection import Leaving, Narrowing, Planner
from fovea.compression.pruning.targets import Costs, LayerAt
from fovea.errors import UsageError

MACS = Costs(target="macs")


def layer(path, c_in, c_out, positions=1):
    return LayerAt(path=path, form=Form(c_in, c_out), inputs=positions, outputs=positions)


def chain(*widths):
    """Return the layers of a chain of dense layers, by path."""
    paths = [f"layer{index}" for index in range(len(widths) - 1)]
    return {path: layer(path, *widths[index : index + 2]) for index, path in enumerate(paths)}


def narrowing(index, damages, *, channels):
    """Return the group between layer `index` and the next: every channel is one output and one input."""
    widths = tuple(range(channels, channels - len(damages), -1))
    ends = {"outputs": {f"layer{index}": 1}, "inputs": {f"layer{index + 1}": 1}}
    return Narrowing(name=f"layer{index}", widths=widths, damages=damages, **ends)


def test_of_equal_costs_the_group_with_less_damage_goes_first():
    groups = [narrowing(0, (0.0, 5.0, 9.0), channels=4), narrowing(1, (0.0, 1.0, 2.0), channels=4)]
    # 4 x 4 + 4 x 4 + 4 x 4 = 48 products; a channel of either group is 8 of them
    plan = Planner(chain(4, 4, 4, 4), MACS, groups).reach(40 / 48)
    assert plan.widths == {"layer1": 3}
    assert plan.share == pytest.approx(40 / 48)


def test_of_equal_damages_the_group_that_spares_more_goes_first():
    groups = [narrowing(0, (0.0, 1.0), channels=2), narrowing(1, (0.0, 1.0), channels=2)]
    # a channel of layer 0 spares 10 + 2 products, one of layer 1 2 + 1
    plan = Planner(chain(10, 2, 2, 1), MACS, groups).reach(0.6)
    assert plan.widths == {"layer0": 1}


def test_what_a_layer_costs_counts_both_of_its_sides():
    groups = [narrowing(0, (0.0, 0.0, 0.0), channels=4), narrowing(1, (0.0, 0.0, 0.0), channels=4)]
    plan = Planner(chain(1, 4, 4, 1), MACS, groups).reach(8 / 24)
    assert plan.widths == {"layer0": 2, "layer1": 2}
    assert plan.share == pytest.approx((2 + 4 + 2) / 24)


def test_the_last_move_is_the_least_harmful_that_is_enough():
    first = Narrowing(name="a", widths=(4, 2), damages=(0.0, 1.0), outputs={"layer0": 1}, inputs={"layer1": 1})
    second = Narrowing(name="b", widths=(4, 3), damages=(0.0, 0.9), outputs={"layer1": 1}, inputs={"layer2": 1})
    # the first spares twice as much for about as much damage; but the second is enough
    plan = Planner(chain(4, 4, 4, 4), MACS, [first, second]).reach(40 / 48)
    assert plan.widths == {"b": 3}


def test_a_block_goes_where_that_does_less():
    layers = {**chain(4, 4, 4), "block.conv": layer("block.conv", 4, 4, positions=2)}
    groups = [narrowing(0, (0.0, 9.0, 18.0, 27.0), channels=4)]
    planner = Planner(layers, MACS, groups, [Leaving(name="block", damage=1.0)])
    plan = planner.reach(0.6)
    assert plan.blocks == ("block",)
    assert plan.widths == {}
    assert plan.share == 0.5


def test_groups_of_a_block_that_has_gone_are_not_narrowed():
    layers = {f"block.{path}": layer(f"block.{path}", 4, 4) for path in ("one", "two")} | chain(4, 4, 4)
    ends = {"outputs": {"block.one": 1}, "inputs": {"block.two": 1}}
    inner = Narrowing(name="inner", widths=(4, 3), damages=(0.0, 0.1), **ends)
    planner = Planner(layers, MACS, [inner, narrowing(0, (0.0, 9.0), channels=4)], [Leaving(name="block", damage=1.0)])
    plan = planner.reach(0.5)
    assert (plan.widths, plan.blocks) == ({}, ("block",))


def test_flattened_channels_count_with_all_their_positions():
    layers = {"layer0": layer("layer0", 1, 4, positions=9), "layer1": layer("layer1", 36, 2)}
    group = Narrowing(name="a", widths=(4, 3), damages=(0.0, 1.0), outputs={"layer0": 1}, inputs={"layer1": 9})
    plan = Planner(layers, MACS, [group]).reach(0.99)
    assert plan.share == pytest.approx((27 + 27 * 2) / (36 + 36 * 2))


def test_a_depthwise_layer_shrinks_once_by_its_channels():
    form = Form(4, 4, 4, (3,), (1,), (1,), (1,), (8,))
    depthwise = LayerAt(path="layer1", form=form, inputs=8, outputs=8)
    layers = {"layer0": layer("layer0", 2, 4, positions=8), "layer1": depthwise}
    group = Narrowing(
        name="a", widths=(4, 2), damages=(0.0, 1.0), outputs={"layer0": 1, "layer1": 1}, inputs={"layer1": 1}
    )
    assert Planner(layers, MACS, [group]).reach(0.5).share == 0.5


def test_time_is_that_of_the_clock():
    class Lanes:
        batch = 1

        def layer(self, form):
            return float(-(-form.c_in // 16) * -(-form.c_out // 16))

    layers = chain(16, 32, 16)
    group = Narrowing(
        name="a",
        widths=(32, 24, 16),
        damages=(0.0, 1.0, 10.0),
        outputs={"layer0": 1},
        inputs={"layer1": 1},
    )
    # 24 channels would spare nothing
    assert Planner(layers, Costs(target="latency", clock=Lanes()), [group]).reach(0.5).widths == {"a": 16}


def test_a_goal_out_of_reach_says_how_much_must_stay():
    planner = Planner(chain(4, 4, 4), MACS, [narrowing(0, (0.0, 1.0), channels=4)])
    with pytest.raises(UsageError, match="At least 75 % of the macs must be kept"):
        planner.reach(0.5)
