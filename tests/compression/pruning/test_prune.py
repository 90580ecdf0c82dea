import copy
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from wired_networks import NETWORKS, built

from fovea.compression.changes import changed
from fovea.compression.channels import channel_groups
from fovea.compression.pruning.importance import Samples
from fovea.compression.pruning.judging import makers
from fovea.compression.pruning.prune import Pruning, prune, renew_statistics
from fovea.compression.pruning.sensitivity import silenced
from fovea.compression.pruning.targets import Costs, layers_at
from fovea.errors import UsageError
from fovea.exporting.core import float_core
from fovea.exporting.session import Session
from fovea.layers import PartialConv2d

SHAPE = (3, 8, 8)


def noise(count=16, seed=2):
    """Return inputs with classes by chance."""
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randn(count, *SHAPE, generator=generator), torch.randint(10, (count,), generator=generator)
    return Samples(batches=(batch,), loss=lambda outputs, labels: F.cross_entropy(outputs, labels))


class Lanes:
    """A clock by which layers take as long as with the next multiple of eight channels."""

    batch = 16

    def layer(self, form):
        return float(-(-form.c_in // 8) * -(-form.c_out // 8) * (form.sizes or (1,))[0] / min(8, form.groups))

    def network(self, model, input_shape):
        return sum(self.layer(layer.form) for layer in layers_at(model, input_shape).values())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", ["macs", "params"])
def test_half_of_the_cost_goes_and_the_card_rebuilds_what_is_left(name, target):
    model, before = built(name), built(name)
    done = prune(model, SHAPE, Pruning(amount=0.5, target=target, importance="magnitude"))
    costs = Costs(target=target)
    assert done.after == costs.network(model, SHAPE)
    # small networks: one channel is some per cent of them
    assert 0.4 <= costs.network(model, SHAPE) / costs.network(before, SHAPE) <= 0.52
    twin = changed(before, done.changes)
    twin.load_state_dict(model.state_dict())
    x = torch.randn(2, *SHAPE)
    assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_inputs_and_outputs_stay(name):
    model = built(name)
    prune(model, SHAPE, Pruning(amount=0.6, importance="magnitude"))
    assert model(torch.randn(2, *SHAPE)).shape == (2, 10)


@pytest.mark.parametrize("name", ["residual", "grouped", "dense"])
def test_the_same_samples_give_the_same_network(name):
    first, second = (prune(built(name), SHAPE, Pruning(amount=0.4), samples=noise()) for _ in "ab")
    assert first.widths == second.widths
    assert first.blocks == second.blocks
    pairs = zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_channels_that_are_zero_go_first_and_nothing_changes():
    model, x = built("residual"), torch.randn(4, *SHAPE)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight[::2] = 0
            norm.bias[::2] = 0
        expected = model(x)
    settings = Pruning(amount=0.7, importance="norm", blocks=False, least=0.5)
    done = prune(model, SHAPE, settings)
    assert done.after <= 0.3 * done.before
    with torch.no_grad():
        assert torch.allclose(model(x), expected, atol=1e-5 * expected.abs().max().item())


def test_a_block_that_does_nothing_goes_first():
    model = built("residual")
    with torch.no_grad():
        model[2].branch[2].weight.zero_()
        model[2].branch[2].bias.zero_()
    inputs = torch.randn(16, *SHAPE)
    answers = Samples(batches=((inputs, model(inputs).detach()),), loss=F.mse_loss)
    done = prune(model, SHAPE, Pruning(amount=0.5), samples=answers)
    assert done.blocks[0] == "2"
    assert isinstance(model[2], nn.Identity)
    assert dict(done.sensitivity.blocks)["2"] == pytest.approx(done.sensitivity.base)


class Adds(nn.Module):
    """A block that adds the same to one channel of any input."""

    def __init__(self, channel, value):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        with torch.no_grad():
            self.conv.bias.copy_(torch.eye(2)[channel] * value)

    def forward(self, x):
        return x + self.conv(x)


@pytest.mark.parametrize(("rounds", "gone"), [(1, {"0", "1"}), (2, {"0", "2"})])
def test_rounds_see_that_of_two_blocks_that_do_the_same_one_is_needed(rounds, gone):
    model = nn.Sequential(Adds(0, 1.0), Adds(0, 1.0), Adds(1, 0.3), nn.Hardtanh(0, 1), nn.Flatten()).eval()
    inputs = torch.zeros(4, 2, 4, 4)
    answers = Samples(batches=((inputs, model(inputs).detach()),), loss=F.mse_loss)
    done = prune(model, (2, 4, 4), Pruning(amount=0.55, rounds=rounds), samples=answers)
    assert set(done.blocks) == gone


def test_blocks_stay_where_they_are_to():
    done = prune(built("residual"), SHAPE, Pruning(amount=0.4, blocks=False), samples=noise())
    assert not done.blocks
    assert done.widths


def test_only_widths_that_are_faster_are_chosen():
    model = built("grouped")
    done = prune(model, SHAPE, Pruning(amount=0.4, importance="magnitude", clock=Lanes(), target="latency"))
    assert done.after <= 0.61 * done.before
    assert all(after % 8 == 0 for _, after in done.widths.values())


def test_a_fixed_group_stays_and_is_named():
    class Halves(nn.Module):
        def forward(self, x):
            return x[:, :8] + x[:, 8:16]

    model = nn.Sequential(nn.Conv2d(3, 16, 3), Halves(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 10)).eval()
    fixed = [group.name for group in channel_groups(model, SHAPE).fixed]
    assert "0" in fixed
    done = prune(model, SHAPE, Pruning(amount=0.3, importance="magnitude"))
    assert model[0].out_channels == 16
    assert any("`0` (" in note for note in done.notes)


def test_where_nothing_may_go_the_reason_is_said():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    with pytest.raises(UsageError, match=r"found no channels to remove: .*the network's"):
        prune(model, SHAPE, Pruning(amount=0.5, importance="magnitude"))


def test_too_much_is_refused_and_the_network_left_as_it_was():
    model = built("residual")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UsageError, match="At least .* of the macs must be kept"):
        prune(model, SHAPE, Pruning(amount=0.99, importance="magnitude", least=0.5))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_norms_have_the_statistics_of_what_is_left():
    model = nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.Flatten()).eval()
    batches = [torch.randn(8, 2, 4, 4) * 3 + 1 for _ in range(3)]
    renew_statistics(model, batches)
    whole = torch.cat(batches)
    assert torch.allclose(model[0].running_mean, whole.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(model[0].running_var, torch.stack([b.var((0, 2, 3)) for b in batches]).mean(0), atol=1e-4)
    assert model[0].momentum == 0.3
    assert not model[0].training


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": 0.0}, "`prune` (=0.0) must be above 0"),
        ({"amount": 1.0}, "`prune` (=1.0)"),
        ({"amount": 0.5, "target": "latency"}, "needs a `clock`"),
        ({"amount": 0.5, "target": "flops"}, "Unknown target"),
        ({"amount": 0.5, "least": 1.0}, "`least` (=1.0)"),
        ({"amount": 0.5, "rounds": 0}, "`rounds` (=0)"),
    ],
)
def test_settings_that_cannot_be_say_why(fields, reason):
    with pytest.raises(UsageError) as caught:
        Pruning(**fields)
    assert reason in str(caught.value)


def test_an_unknown_importance_is_refused():
    with pytest.raises(UsageError, match="Unknown importance `age`"):
        prune(built("residual"), SHAPE, Pruning(amount=0.5, importance="age"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_pruned_network_is_exported_and_says_the_same(name):
    pytest.importorskip("onnxruntime")
    model, x = built(name), torch.randn(3, *SHAPE)
    prune(model, SHAPE, Pruning(amount=0.5, importance="magnitude"))
    (found,) = Session(float_core(model, SHAPE).SerializeToString()).run("input", x.numpy()).values()
    expected = model(x).detach().numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_maps_by_a_table_of_connections_are_judged_one_by_one():
    partial = PartialConv2d([[0, 1], [1, 2], [0, 2], [0, 1, 2]], 3)
    model = nn.Sequential(nn.Conv2d(3, 3, 3), partial, nn.Flatten(), nn.Linear(4 * 16, 10)).eval()
    group = channel_groups(model, SHAPE)["1"]
    outputs = makers(model, group)
    assert outputs["1.maps.2"] == [[], [], [0], []]
    with silenced(model, outputs, [2]), torch.no_grad():
        maps = partial(torch.randn(1, 3, 4, 4))
    assert maps.abs().amax((0, 2, 3)).bool().tolist() == [True, True, False, True]


def test_groups_that_nothing_judges_stay_and_are_named():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 10))
    done = prune(model.eval(), SHAPE, Pruning(amount=0.3, importance="norm"))
    assert list(done.widths) == ["1"]
    assert any("`0` (they have no norm" in note for note in done.notes)


def heat_maps():
    """A network most of whose work is in transposed convolutions, as in SimpleBaseline."""
    torch.manual_seed(0)
    ups = (nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1), nn.ReLU())
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), *ups, nn.Conv2d(16, 2, 1)).eval()


def test_transposed_convolutions_lose_channels_too():
    samples = Samples(batches=((noise().batches[0][0], torch.randn(16, 2, 16, 16)),), loss=F.mse_loss)
    done = prune(heat_maps(), SHAPE, Pruning(amount=0.7), samples=samples)
    assert done.after / done.before <= 0.3
    assert done.model[2].in_channels < 16
    assert "asked for" not in " ".join(done.notes)


class Fixed(nn.Module):
    """Half of the products are in a layer whose channels cannot go."""

    def __init__(self):
        super().__init__()
        self.free = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1))
        self.tied = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 32, 3, padding=1))
        self.head = nn.Conv2d(32, 2, 1)

    def forward(self, x):
        return self.head(self.tied(self.free(x)))


def test_what_stops_it_is_said_where_more_is_left_than_was_asked_for():
    torch.manual_seed(0)
    samples = Samples(batches=((noise().batches[0][0], torch.randn(16, 2, 8, 8)),), loss=F.mse_loss)
    done = prune(Fixed().eval(), SHAPE, Pruning(amount=0.8), samples=samples)
    assert done.after / done.before > 0.4
    assert re.fullmatch(
        r"\d+.\d % are left, more than the 20.0 % asked for; most is in what is no convolution or dense layer .*, "
        r"`head` .* stay: .*tied.*",
        done.notes[0],
    )


def test_a_network_of_many_products_is_judged_on_fewer_samples(monkeypatch):
    monkeypatch.setattr("fovea.compression.pruning.prune.AFFORDABLE_MACS", 0)
    seen = set()

    def loss(outputs, labels):
        seen.add(len(labels))
        return F.cross_entropy(outputs, labels)

    prune(
        built("flattened"), SHAPE, Pruning(amount=0.4, rounds=1), samples=Samples(batches=noise(64).batches, loss=loss)
    )
    # for the importance, and for the sensitivities
    assert seen == {32, 8}


def test_progress_counts_the_groups_of_all_rounds():
    seen = []
    prune(built("flattened"), SHAPE, Pruning(amount=0.4), samples=noise(), progress=lambda *at: seen.append(at))
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)
    assert (seen[0][0], shares[-1]) == (1, 1.0)
