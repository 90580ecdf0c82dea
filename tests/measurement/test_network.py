"""What a network costs, layer by layer: the walk against PyTorch's own counters and against what really happens."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import fovea.zoo  # noqa: F401  registers the networks
from fovea import registry
from fovea.errors import ShapeError
from fovea.measurement.network import measure_network
from fovea.measurement.walk import SHORTCUTS


def by_path(measurement):
    return {row.path: row for row in measurement.layers}


def flops(model, shape):
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops()


class Own(nn.Module):
    """All that a network may do without a module for it."""

    def __init__(self, c_in=3, width=8):
        super().__init__()
        self.stem = nn.Conv2d(c_in, width, 3, stride=2, padding=1)
        self.shared = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.kernel = nn.Parameter(torch.randn(width, 1, 5, 5))
        self.scale = nn.Parameter(torch.ones(1, width, 1, 1), requires_grad=False)
        self.register_buffer("shift", torch.zeros(1, width, 1, 1))
        self.constant = torch.ones(1, width, 1, 1)  # a plain tensor, with values
        self.unused = nn.Linear(width, 2)
        self.head = nn.Linear(3 * width, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = x + self.shared(self.shared(x))
        a = F.conv2d(x, self.kernel, padding=2, groups=x.shape[1]) * self.constant
        b = F.max_pool2d(x, 3, stride=1, padding=1)
        y = torch.cat([x, a * self.scale + self.shift, b], dim=1)
        return {"logits": self.head(y.mean((2, 3))), "maps": (y, [b])}


@pytest.fixture(scope="module")
def own():
    model = Own()
    return model, measure_network(model, (3, 16, 16), name="own")


def test_one_convolution_of_lecture_002():
    # Conv2d(16, 32, 3) on 64x64: 4,640 parameters, 18,874,368 MACs, 4,068 a parameter, maps of 65,536 and 131,072
    measured = measure_network(nn.Conv2d(16, 32, 3, padding=1), (16, 64, 64))
    source, row = measured.layers
    assert (row.parameters, row.macs, round(row.macs_per_parameter)) == (4_640, 18_874_368, 4_068)
    assert (source.activation_bytes, row.activation_bytes) == (4 * 65_536, 4 * 131_072)
    assert (row.input_shapes, row.output_shapes) == (((1, 16, 64, 64),), ((1, 32, 64, 64),))
    assert (row.parameter_bytes, row.sources) == (4 * 4_640, (0,))


def test_a_users_own_network_row_by_row(own):
    rows = by_path(own[1])
    assert list(rows) == [
        *("input", "stem", "relu()", "shared.0", "shared.1", "shared.2", "shared.0#2", "shared.1#2", "shared.2#2"),
        *("add()", "conv2d()", "mul()", "max_pool2d()", "mul()#2", "add()#2", "cat()", "mean()", "head", "unused"),
    ]
    assert rows["shared.0"].parameters == 8 * 8 * 9 + 8 and rows["shared.0#2"].parameters == 0
    assert rows["shared.0"].macs == rows["shared.0#2"].macs == 8 * 8 * 8 * 8 * 9
    assert (rows["conv2d()"].parameters, rows["conv2d()"].macs) == (200, 8 * 64 * 25)
    assert (rows["mul()#2"].frozen, rows["add()#2"].buffers, rows["shared.1"].buffers) == (8, 8, 16)
    assert (rows["unused"].ran, rows["unused"].parameters, rows["unused"].macs) == (False, 18, 0)
    assert rows["cat()"].output_shapes == ((1, 24, 8, 8),)
    assert own[1].groups[0].output_shapes == ((1, 10), (1, 24, 8, 8), (1, 8, 8, 8))


def test_the_edges_of_the_graph(own):
    paths = [row.path for row in own[1].layers]
    sources = {row.path: [paths[i] for i in row.sources] for row in own[1].layers}
    assert sources["add()"] == ["relu()", "shared.2#2"]
    assert sources["cat()"] == ["add()", "max_pool2d()", "add()#2"]
    assert sources["shared.1"] == ["shared.0"] and sources["shared.0#2"] == ["shared.2"]
    assert sources["head"] == ["mean()"] and sources["input"] == []


def test_what_works_in_place_makes_nothing(own):
    rows = by_path(own[1])
    assert rows["shared.2"].activation_bytes == 0
    assert rows["shared.1"].activation_bytes == 8 * 8 * 8 * 4


def test_groups_are_the_modules_with_children(own):
    groups = {group.path: [row.path for row in own[1].layers[group.first : group.stop]] for group in own[1].groups}
    assert list(groups) == ["", "shared", "shared#2"]
    assert groups["shared#2"] == ["shared.0#2", "shared.1#2", "shared.2#2"]
    assert len(groups[""]) == len(own[1].layers) - 2  # without the input and what does not run


def test_totals_are_those_of_pytorch(own):
    model, measured = own
    total = measured.total
    assert total.parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert total.frozen == sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert total.buffers == sum(b.numel() for b in model.buffers() if b.ndim)
    assert total.parameter_bytes == sum(p.nbytes for p in model.parameters())
    assert 2 * total.macs == flops(model, (3, 16, 16))
    assert sum(measured.share(row, "macs") for row in measured.layers) == pytest.approx(1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 4, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.Linear(9, 5),
        nn.Conv2d(6, 12, 3, groups=6, bias=False),
        nn.Sequential(nn.Flatten(2), nn.Conv1d(6, 3, 4)),
        nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Conv3d(2, 5, 2)),
    ],
)
def test_macs_are_half_of_pytorchs_flops(layer):
    assert 2 * measure_network(layer, (6, 9, 9)).total.macs == flops(layer, (6, 9, 9)) > 0


def test_macs_of_attention_and_of_einsum():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            tokens = x.flatten(2).transpose(1, 2)
            tokens = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return torch.einsum("nlc,nkc->nlk", tokens, tokens)

    model = Attention()
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model.to("meta").eval()(torch.empty(1, 8, 4, 4))
    assert 2 * measure_network(Attention(), (8, 4, 4)).total.macs == counter.get_total_flops()


SAMPLE = ["resnet18", "mobilenet_v2", "vgg_block3", "densenet121", "googlenet", "seresnet50", "lenet1"]


@pytest.mark.parametrize("name", SAMPLE)
def test_networks_of_the_zoo_agree_with_their_cards(name):
    card = registry.entry(name)
    with torch.device("meta"):
        model = registry.build(name)
    measured = measure_network(model, card.input, name=name)
    assert (measured.total.parameters, measured.total.macs) == (card.params, card.macs)
    assert measured.missing == {} and measured.notes == ()


def kept_for_real(model, shape):
    """Return the bytes of activations that autograd keeps for one image of a batch of two, by running it."""
    parameters = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model.train()(torch.randn(2, *shape))
    assert output is not None
    return sum(storage.nbytes() for storage in storages.values()) // 2


class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(
            *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.GELU()),
            *(nn.GroupNorm(4, 16), nn.Hardswish(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)),
        )


@pytest.mark.parametrize("build", [Plain, Own])
def test_what_training_keeps_is_what_autograd_saves(build):
    assert measure_network(build(), (3, 16, 16)).total.kept_bytes == pytest.approx(
        kept_for_real(build(), (3, 16, 16)), rel=0.005
    )


def test_what_training_keeps_stands_where_it_was_made():
    rows = by_path(measure_network(Plain(), (3, 16, 16)))
    kept = {path: row.kept_bytes for path, row in rows.items()}
    assert kept["input"] == 3 * 16 * 16 * 4  # for the kernel's gradient of the first convolution
    assert kept["0"] == kept["2"] == 8 * 14 * 14 * 4  # batch norm needs its input, max pooling too
    assert kept["3"] == 8 * 7 * 7 * (4 + 8)  # the values, and where they came from as int64
    assert kept["10"] == 0


def test_dropout_keeps_a_mask_in_training_only():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.5))
    of_the_convolution = 3 * 4 * 4 * 4  # its input
    row = measure_network(model, (3, 4, 4)).layers[2]
    assert row.kept_bytes == kept_for_real(model, (3, 4, 4)) - of_the_convolution > 0 and row.activation_bytes == 0


class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.aux, self.head = (
            nn.Conv2d(3, 4, 1),
            nn.Sequential(nn.Conv2d(4, 5, 1), nn.ReLU()),
            nn.Conv2d(4, 2, 1),
        )

    def forward(self, x):
        x = self.body(x)
        return (self.head(x), self.aux(x)) if self.training else self.head(x)


def test_auxiliary_heads_count_their_parameters_and_what_they_keep_but_no_macs():
    measured = measure_network(Auxiliary(), (3, 4, 4))
    assert [(row.path, row.ran) for row in measured.layers[3:]] == [("aux.0", False), ("aux.1", False)]
    assert measured.layers[3].parameters == 25 and measured.layers[4].kept_bytes == 5 * 16 * 4
    assert measured.total.macs == 16 * (12 + 8)
    assert measured.total.parameters == sum(p.numel() for p in Auxiliary().parameters())


def test_the_network_is_left_as_it_was():
    model = Own().train()
    model.stem.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    measure_network(model, (3, 16, 16))
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(random, torch.get_rng_state()) and not model.kernel.is_meta


def test_tied_and_parametrised_weights_count_once():
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    assert [row.parameters for row in measure_network(tied, (4,)).layers] == [0, 20, 4]
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)))
    assert measure_network(normed, (3, 8, 8)).total.parameters == sum(p.numel() for p in normed.parameters())


def test_other_types_and_lazy_layers():
    assert measure_network(nn.Conv2d(3, 4, 3).half(), (3, 8, 8)).total.activation_bytes == 2 * (3 * 64 + 4 * 36)
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    assert measure_network(lazy, (3, 8, 8)).total.parameters == 3 * 4 * 9 + 4 + 4 * 36 * 2 + 2
    assert isinstance(lazy[0].weight, nn.UninitializedParameter)


class Deciding(nn.Module):
    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5)

    def forward(self, x):
        return self.small(x) if x.mean() > 0 else self.large(x)


def test_a_network_that_decides_by_its_data_runs_on_an_image_and_says_what_is_missing():
    model = Deciding().train()
    measured = measure_network(model, (3, 8, 8))
    rows = by_path(measured)
    assert (rows["small"].macs, rows["large"].ran) == (4 * 36 * 27, False)
    assert rows["small"].field is None and rows["small"].kept_bytes is None and measured.total.kept_bytes is None
    assert set(measured.missing) == {"receptive_field", "kept_bytes"}
    assert all("depends on the data (Tensor.item() cannot be called" in why for why in measured.missing.values())
    assert "one random image" in measured.notes[0]
    assert model.training and not model._forward_hooks


class Failing(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.stage = nn.Sequential(nn.ReLU(), layer)

    def forward(self, x):
        return self.stage(self.stem(x))


@pytest.mark.parametrize(
    ("layer", "rule"),
    [
        (nn.Conv2d(16, 8, 3), "`in_channels` (=16) must equal the channels of its input (=8)."),
        (nn.ConvTranspose2d(16, 8, 3), "`in_channels` (=16) must equal the channels of its input (=8)."),
        (nn.Linear(7, 8), "`in_features` (=7) must equal the last length of its input (=30)."),
        (nn.Conv2d(8, 8, 31), "A window of 31 pixels does not fit into an input of 30 with 0 padded on either side;"),
        (nn.MaxPool2d(40), "A window of 40 pixels does not fit into an input of 30 with 0 padded on either side;"),
        (nn.BatchNorm2d(4), "running_mean should contain 8 elements not 4."),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_forward_that_fails_names_layer_rule_and_shapes_up_to_there(layer, rule, device):
    model = Failing(layer).to(device)
    with pytest.raises(ShapeError) as caught:
        measure_network(model, (3, 32, 32))
    message = str(caught.value)
    assert message.startswith(f"`stage.1` ({type(layer).__name__}) fails on an input of 8x30x30: {rule}")
    assert message.endswith(" Up to there: input 3x32x32, stem 8x30x30, stage.0 8x30x30.")
    assert "\n" not in message


def test_a_failure_in_a_networks_own_code_is_named_after_it():
    class Broken(nn.Module):
        def forward(self, x):
            return x + self.absent

    with pytest.raises(ShapeError, match=r"^`Broken` fails on an input of 3x4x4: 'Broken' object has no attribute"):
        measure_network(Broken(), (3, 4, 4))


def test_the_batch_norm_shortcut_makes_what_pytorch_makes():
    for training in (False, True):
        x = torch.empty(2, 4, 3, 3, device="meta").to(memory_format=torch.channels_last)
        vector = torch.empty(4, device="meta")
        arguments = (x, vector, vector, vector, vector, training, 0.1, 1e-5)
        expected = torch.ops.aten.native_batch_norm(*arguments)
        found = SHORTCUTS["native_batch_norm"]({"input": x, "training": training})
        assert [(t.shape, t.stride(), t.dtype) for t in found] == [(t.shape, t.stride(), t.dtype) for t in expected]
