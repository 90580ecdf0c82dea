"""What multiplies is counted, whatever PyTorch calls it, or named as not counted; computed weights are followed."""

import copy
import csv
import io
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import fovea
from fovea.jobs.latency import latency
from fovea.jobs.memory import memory
from fovea.jobs.unit import see_unit
from fovea.layers import copied
from fovea.measurement.network import measure_network
from fovea.measurement.rules import may_multiply
from fovea.measurement.tables import Choice, comparison, csv_table
from fovea.measurement.text_table import text_table

QUANTISED = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


class Functional(nn.Module):
    """A function of an image of 3 x 8 x 8, as 192 numbers too, and a matrix of 192 x 10."""

    def __init__(self, function):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(192, 10))
        self.function = function

    def forward(self, x):
        return self.function(x, x.flatten(1), self.matrix)


PRODUCTS = {
    # a product of 1 x 192 and 192 x 10 in each of its forms
    "matmul": (lambda x, v, w: v @ w, 1920),
    "addmm": (lambda x, v, w: torch.addmm(w[0], v, w), 1920),
    "addmm in place": (lambda x, v, w: torch.zeros(len(v), 10).addmm_(v, w), 1920),
    "bmm": (lambda x, v, w: torch.bmm(v[None], w[None]), 1920),
    "baddbmm": (lambda x, v, w: torch.baddbmm(w[:1, None], v[None], w[None]), 1920),
    "addbmm": (lambda x, v, w: torch.addbmm(w[:1], v[None], w[None]), 1920),
    "addmv": (lambda x, v, w: torch.addmv(w[0], w.T, v[0]), 1920),
    "addr": (lambda x, v, w: torch.addr(w, v[0], w[0]), 1920),
    "einsum": (lambda x, v, w: torch.einsum("ni,io->no", v, w), 1920),
    "tensordot": (lambda x, v, w: torch.tensordot(v, w, 1), 1920),
    "inner": (lambda x, v, w: torch.inner(v, w.T), 1920),
    "linear": (lambda x, v, w: F.linear(v, w.T), 1920),
    "dot": (lambda x, v, w: torch.dot(v[0], w[:, 0]), 192),
    # 8 rows, each weight of 5 x 8 x 8 once
    "bilinear": (lambda x, v, w: F.bilinear(x[0, 0], x[0, 1], w[:32].reshape(5, 8, 8)), 8 * 320),
    # 36 positions, 3 x 3 x 3 products, 4 channels
    "conv2d": (lambda x, v, w: F.conv2d(x, w[:11].flatten()[:108].reshape(4, 3, 3, 3)), 36 * 108),
    # 3 times 8 x 8 x 8 for the weights of attention, as much for the sums
    "attention": (lambda x, v, w: F.scaled_dot_product_attention(x, x, x), 2 * 3 * 512),
}


@pytest.mark.filterwarnings("ignore:.*Bilinear:UserWarning")
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_counts_the_same_in_every_form(name):
    function, macs = PRODUCTS[name]
    measured = measure_network(Functional(function), (3, 8, 8))
    assert measured.total.macs == macs and "macs" not in measured.missing


def test_a_bilinear_layer_counts_each_weight_once_and_keeps_the_rows():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Bilinear(10, 10, 5)

        def forward(self, x):
            return self.layer(x, x)

    measured = measure_network(Both(), (10,))
    assert (measured.total.macs, measured.total.parameters) == (500, 505)
    assert not measured.missing


@pytest.mark.parametrize("frozen", [False, True])
def test_attention_is_counted_also_where_it_would_run_as_one_operation(frozen):
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).requires_grad_(not frozen)
    net = Functional(lambda x, v, w: layer(x.reshape(len(x), -1, 4)))
    # 48 positions of 4: four products with 4 x 4, two with 4 x 8, and 48 x 48 x 4 twice
    assert measure_network(net, (3, 8, 8)).total.macs == 48 * (4 * 16 + 2 * 32 + 2 * 48 * 4)
    assert torch.backends.mha.get_fastpath_enabled()


UNKNOWN = {
    "cdist": lambda x, v, w: torch.cdist(x[0, 0], x[0, 1]),
    "fft": lambda x, v, w: torch.fft.fft2(x).real,
    "inv": lambda x, v, w: torch.linalg.inv(x),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_zero_that_is_none_is_never_printed(name):
    measured = measure_network(Functional(UNKNOWN[name]), (3, 8, 8))
    assert name in measured.missing["macs"] and measured.missing["macs"].startswith("not counted: `")
    lines = "\n".join(text_table(measured, Choice()))
    assert ", an unknown number of MACs." in " ".join(lines.split()) and "Missing: macs, not counted: " in lines
    (row,) = [row for row in measured.layers if row.uncounted]
    values = json.loads(json.dumps(measured.to_dict()))
    assert values["total"]["macs"] is None and values["layers"][measured.layers.index(row)]["macs"] is None
    records = {record["path"]: record for record in csv.DictReader(io.StringIO(csv_table(measured, Choice())))}
    assert records[row.path]["macs"] == "" and records["input"]["macs"] == "0"
    assert [line for line in comparison(measured, measured) if line[0] == "macs"] == [("macs", "?", "?", "")]


def test_a_sum_that_lacks_some_is_said_to_be_the_least():
    measured = measure_network(Functional(lambda x, v, w: torch.cdist(v @ w, w[:2])), (3, 8, 8))
    assert "at least 1,920 MACs" in "\n".join(text_table(measured, Choice()))
    assert all(measured.share(row, "macs") is None for row in measured.layers)


def test_operations_of_others_are_named_and_those_that_only_move_or_weigh_are_not():
    library = torch.library.Library("of_others", "DEF")
    library.define("op(Tensor x, Tensor w) -> Tensor")
    library.impl("op", lambda x, w: x @ w, "CompositeExplicitAutograd")
    measured = measure_network(Functional(lambda x, v, w: torch.ops.of_others.op(v, w)), (3, 8, 8))
    assert measured.missing["macs"] == "not counted: `of_others::op` (in `of_others::op()`)"
    quiet = (
        "relu",
        "add",
        "upsample_bilinear2d",
        "_softmax",
        "native_batch_norm",
        "quantized::add",
        "_to_copy",
        "outer",
    )
    assert not any(map(may_multiply, quiet))
    assert all(
        map(may_multiply, ("_cudnn_rnn", "mkldnn_rnn_layer", "_weight_int8pack_mm", "_transformer_encoder_layer_fwd"))
    )


# quantised layers


def dynamic(*layers):
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(*layers), {nn.Linear, nn.LSTM}, dtype=torch.qint8)


@QUANTISED
def test_a_quantised_dense_layer_counts_and_its_weights_are_frozen_bytes(capsys):
    measured = measure_network(dynamic(nn.Flatten(), nn.Linear(192, 10)), (3, 8, 8))
    total = measured.total
    assert (total.macs, total.parameters, total.frozen, total.parameter_bytes) == (1920, 0, 1930, 1960)
    assert [(row.path, row.type, row.macs) for row in measured.layers[1:]] == [
        ("0", "Flatten", 0),
        ("1", "Linear", 1920),
    ]
    assert measured.missing["receptive_field"] == (
        "its operation `quantized::linear_dynamic` does not run on the `meta` device"
    )
    assert measured.notes == ("Measured on one random image.",)


@QUANTISED
def test_quantised_convolutions_count_as_those_they_were_made_of():
    quantization = torch.ao.quantization
    net = nn.Sequential(
        quantization.QuantStub(),
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 3, stride=2),
        quantization.DeQuantStub(),
    ).eval()
    plain = measure_network(copy.deepcopy(net), (3, 8, 8)).total
    net.qconfig = quantization.QConfig(quantization.default_observer, quantization.default_weight_observer)
    quantization.fuse_modules(net, ["1", "2"], inplace=True)
    quantization.prepare(net, inplace=True)(torch.rand(1, 3, 8, 8))
    quantization.convert(net, inplace=True)
    found = measure_network(net, (3, 8, 8))
    assert (found.total.macs, found.total.frozen) == (plain.macs, plain.parameters) == (18144, 516)
    assert "item" in found.missing["receptive_field"] and "decides" not in found.missing["receptive_field"]


@QUANTISED
def test_what_of_quantised_layers_is_not_counted_is_named_and_has_no_rate():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = dynamic(nn.LSTM(4, 5, batch_first=True))

        def forward(self, x):
            return self.layers(x.flatten(2).transpose(1, 2))[0]

    measured = measure_network(Recurrent(), (4, 8, 8))
    assert measured.missing["macs"] == "not counted: `quantized_lstm` (in `layers.0`)"
    # 4 gates of 5 units: 4 + 5 inputs and two biases
    assert measured.total.frozen == 4 * 5 * (4 + 5 + 2)
    found = latency(Recurrent(), (4, 8, 8), device="cpu")
    assert found.macs_per_s is None and "Rate       unknown" in "\n".join(found.summary())


# weights that are computed


def old_weight_norm(layer):
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(layer)


COMPUTED = {
    "weight norm of old": (old_weight_norm, 8 + 216 + 8, 7776),
    "weight norm": (parametrizations.weight_norm, 8 + 216 + 8, 7776),
    # the largest singular value: v' W u, a matrix of 8 x 27 by a vector, and a dot product of 8
    "spectral norm of old": (nn.utils.spectral_norm, 216 + 8, 7776 + 216 + 8),
    "spectral norm": (parametrizations.spectral_norm, 216 + 8, 7776 + 216 + 8),
    "pruned": (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), 216 + 8, 7776),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_computed_weights_are_measured_like_others(name):
    make, parameters, macs = COMPUTED[name]
    net = nn.Sequential(make(nn.Conv2d(3, 8, 3)))
    net(torch.rand(1, 3, 8, 8))  # then the weights hang in a graph
    measured = measure_network(net, (3, 8, 8))
    assert not measured.missing and not measured.notes
    assert (measured.total.parameters, measured.total.macs) == (parameters, macs)
    assert [axis.size for axis in measured.groups[0].field] == [3, 3]
    assert memory(net, (3, 8, 8), batch=2).training_bytes > 0
    assert latency(net, (3, 8, 8), device="cpu").macs_per_s > 0


def test_weight_norm_of_old_is_a_part_of_its_layer_and_its_unit_is_seen(tmp_path):
    net = nn.Sequential(old_weight_norm(nn.Conv2d(3, 8, 3)))
    assert [(row.path, row.macs) for row in measure_network(net, (3, 8, 8)).layers] == [("input", 0), ("0", 7776)]
    seen = see_unit(net, "0:1,2", (3, 8, 8), out=tmp_path / "unit.png")
    assert seen.rectangle == ((1, 4), (2, 5))


def test_a_copy_of_computed_weights_computes_them_from_its_own():
    net = nn.Sequential(old_weight_norm(nn.Linear(3, 2)))
    twin = copied(net)
    with torch.no_grad():
        twin[0].weight_g.mul_(2)
    x = torch.ones(1, 3)
    bias = net[0].bias
    assert torch.allclose(twin(x) - bias, 2 * (net(x) - bias)) and net[0].weight.grad_fn is not None


def test_a_network_that_decides_is_told_from_one_that_only_needs_values():
    class Decides(nn.Module):
        def forward(self, x):
            return x if x.mean() > 0 else -x

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return x * self.scale.item()

    decides, reads = (fovea.measure(net(), (1, 4, 4)) for net in (Decides, Reads))
    assert decides.missing["receptive_field"].startswith("the forward pass depends on the data")
    assert "a different path" in decides.notes[0]
    assert reads.missing["receptive_field"] == "its operation `item` does not run on the `meta` device"
    assert reads.notes == ("Measured on one random image.",)
