"""Tables for people and machines."""

import csv
import io
import json

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401  registers the networks
from fovea import registry
from fovea.errors import UsageError
from fovea.measurement.network import measure_network
from fovea.measurement.result import CONVENTIONS
from fovea.measurement.tables import (
    SORTS,
    Choice,
    comparison,
    csv_table,
    folded,
    markdown_table,
    readable_depth,
    remarks,
    rows_of,
    seen_text,
    shortened,
)
from fovea.measurement.text_table import text_table

SMALL = """\
small on 1x8x8

layer  type       output  parameters   %  MACs   %  per par.    out   kept  field  jump  start
input  Input       1x8x8                                      256 B  256 B      1     1    0.5
conv   Conv2d      2x6x6          18  14   648  87        36  288 B             3     1    1.5
relu   ReLU        2x6x6                                      288 B  288 B      3     1    1.5
pool   MaxPool2d   2x2x2                                       32 B   96 B      5     3    2.5
flat   Flatten         8                                                        5     3    2.5
head   Linear         12         108  86    96  13         1   48 B             8     0      4

Total: 126 trainable parameters (504 B), 0 values in buffers, 744 MACs.
Activations: 912 B an image; training keeps 640 B of them.
Of one image. MACs: multiply-adds (2 FLOPs each); per par.: MACs per parameter; out: activations
  made; kept: of these, kept for the backward pass; field: input pixels that a unit sees; jump:
  distance between the fields of neighbours; start: centre of the first."""


@pytest.fixture(scope="module")
def zoo():
    """Return a function of a name that gives the measurement of that network, each taken once."""
    taken = {}

    def measured(name):
        if name not in taken:
            with torch.device("meta"):
                model = registry.build(name)
            taken[name] = measure_network(model, registry.entry(name).input, name=name)
        return taken[name]

    return measured


def small():
    layers = {"conv": nn.Conv2d(1, 2, 3, bias=False), "relu": nn.ReLU(), "pool": nn.MaxPool2d(3)}
    model = nn.Sequential()
    for name, layer in {**layers, "flat": nn.Flatten(), "head": nn.Linear(8, 12)}.items():
        model.add_module(name, layer)
    return measure_network(model, (1, 8, 8), name="small")


def test_the_text_of_a_small_network():
    assert "\n".join(text_table(small(), Choice())) == SMALL


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet121", "vgg16", "cifar_resnet110"])
@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal_and_what_is_left_out_is_named(zoo, name, width):
    everything = list(text_table(zoo(name), Choice(depth=1)))
    lines = list(text_table(zoo(name), Choice(depth=1), width=width))
    assert max(map(len, lines)) <= width
    assert any(line.startswith("Columns left out: ") for line in lines) == (max(map(len, everything[2:9])) > width)
    assert not any(line.startswith("Columns left out: ") for line in everything)


def test_columns_go_by_their_rank_and_names_stay_whole(zoo):
    table = "\n".join(text_table(zoo("resnet18"), Choice(), width=60))
    assert table.splitlines()[2].split() == ["layer", "output", "parameters", "MACs", "field"]
    assert "Columns left out: type, % of parameters, buffers, % of MACs" in table


def test_the_legend_names_the_columns_that_are_there(zoo):
    legend = " ".join(" ".join(list(text_table(zoo("vgg16"), Choice(depth=1), width=60))[-3:]).split())
    assert "field: input pixels that a unit sees" in legend and "kept:" not in legend


def test_many_strides_that_do_not_divide_are_counted(zoo):
    said = list(remarks(zoo("resnet18")))
    assert (
        said[0] == "3 strides leave a row or column unseen, 5 only padding (usually harmless); `--strict` lists them."
    )
    assert said[1] == "Every stride divides for inputs of 193 or 225."


def test_a_field_larger_than_the_image_says_so(zoo):
    assert seen_text(zoo("resnet18")) == "627 (the image has 224)"
    assert seen_text(zoo("vgg16")) == "404 (the image has 224)"
    assert seen_text(small()) == "8"


def test_modules_summed_up_keep_the_totals(zoo):
    measured = zoo("resnet18")
    rows = folded(measured, 1)
    assert [row.path for row in rows] == ["input", "stem", "stage1", "stage2", "stage3", "stage4", "head"]
    for name in ("parameters", "macs", "activation_bytes", "kept_bytes", "buffers"):
        assert sum(getattr(row, name) for row in rows) == getattr(measured.total, name)
    assert rows[2].output_shapes == ((1, 64, 56, 56),) and rows[2].field[0].jump == 4


def test_a_long_network_is_shown_by_its_modules(zoo):
    assert readable_depth(zoo("vgg16")) is None
    assert readable_depth(zoo("cifar_resnet110")) == 2
    assert any("--depth 99 for all" in line for line in text_table(zoo("cifar_resnet110"), Choice()))


def test_sorting_and_the_first_few(zoo):
    rows = rows_of(zoo("vgg16"), Choice(sort="parameters", top=2))
    assert [row.path for row in rows] == ["head.dense1", "head.dense2"]
    assert rows[0].parameters == 102_764_544  # lecture 001: 102,760,448, without biases
    assert "more rows." in "\n".join(text_table(zoo("vgg16"), Choice(top=2)))
    with pytest.raises(UsageError, match="Unknown column `mac`; did you mean `macs`"):
        rows_of(zoo("vgg16"), Choice(sort="mac"))
    for name in SORTS:
        assert len(rows_of(zoo("vgg16"), Choice(sort=name))) == len(zoo("vgg16").layers)


def test_csv_has_every_layer_with_plain_numbers(zoo):
    records = list(csv.DictReader(io.StringIO(csv_table(zoo("resnet18"), Choice()))))
    assert len(records) == len(zoo("resnet18").layers)
    conv = records[1]
    assert (conv["path"], conv["input_shape"], conv["output_shape"]) == ("stem.conv", "1x3x224x224", "1x64x112x112")
    assert (conv["parameters"], conv["macs"], conv["size"], conv["jump"]) == ("9408", "118013952", "7x7", "2x2")
    assert sum(int(record["macs"]) for record in records) == 1_814_073_344


def test_markdown_is_a_table_with_its_conventions(zoo):
    lines = list(markdown_table(zoo("vgg_block3"), Choice(depth=1)))
    columns = lines[0].count("|")
    assert lines[1].startswith("|---|---|---:|") and all(line.count("|") == columns for line in lines[:6])
    assert lines[-len(CONVENTIONS) :] == [f"- {line}" for line in CONVENTIONS]


def test_branches_that_join_are_shown_and_a_bar_does_not_break_markdown(zoo):
    assert "27|43|59" in "\n".join(text_table(zoo("googlenet"), Choice(depth=3)))
    assert "27\\|43\\|59" in "\n".join(markdown_table(zoo("googlenet"), Choice(depth=3)))


def test_json_holds_layers_a_total_and_the_conventions(zoo):
    result = json.loads(json.dumps(zoo("resnet18").to_dict()))
    assert (result["total"]["parameters"], result["total"]["macs"]) == (11_689_512, 1_814_073_344)
    conv = result["layers"][1]
    assert (conv["path"], conv["type"], conv["output_shape"]) == ("stem.conv", "Conv2d", [1, 64, 112, 112])
    assert conv["receptive_field"][0] == {"size": 7, "jump": 2, "start": 0.5, "everywhere": None}
    assert conv["macs_per_parameter"] == 12_544 and conv["shares"]["macs"] == pytest.approx(0.065, abs=1e-3)
    assert conv["leftovers"][0]["padding"] == 1 and result["fitting"] == [[193, 225], [193, 225]]
    assert result["conventions"] == list(CONVENTIONS)
    assert sum(row["parameters"] for row in result["layers"]) == result["total"]["parameters"]


def test_a_comparison_has_both_and_their_ratio():
    three = measure_network(nn.Sequential(*(nn.Conv2d(8, 8, 3, bias=False) for _ in range(3))), (8, 16, 16))
    one = measure_network(nn.Conv2d(8, 8, 7, bias=False), (8, 16, 16))
    rows = {row[0]: row[1:] for row in comparison(three, one)}
    assert rows["parameters"] == ("1,728", "3,136", "1.81")  # 27 and 49 per pair of channels
    assert rows["receptive field"] == ("7", "7", "") and rows["output"] == ("8x10x10", "8x10x10", "")


def test_long_names_lose_their_middle():
    assert shortened("stage2.block10.residual.conv1", 20) == "stage2.…sidual.conv1"
    assert len(shortened("a" * 50, 20)) == 20 and shortened("short", 20) == "short"
