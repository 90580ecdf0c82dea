"""`fovea measure`: from a name, a file or a network to its table."""

import csv
import json

import pytest
from torch import nn

import fovea
from fovea.cli import run
from fovea.custom import custom_name, custom_network
from fovea.errors import BundleError, ShapeError, UsageError

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, c_in=3, classes=10):
        super().__init__()
        self.conv = nn.Conv2d(c_in, 4, 3, stride=2)
    def forward(self, x):
        return self.conv(x).mean((2, 3))

class Needs(nn.Module):
    def __init__(self, width, *, depth):
        super().__init__()

def strange():
    return 3

def fails():
    return 1 / 0

ready = nn.Conv2d(1, 1, 3, stride=3)
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "net.py"


def test_a_name_a_bundle_its_file_and_the_network_give_the_same(make_bundle):
    path = make_bundle()
    bundle = fovea.load(path)
    found = [fovea.measure(path), fovea.measure(bundle), fovea.measure(bundle.model, (3, 4, 4))]
    assert {(m.input_shape, m.total) for m in found} == {((3, 4, 4), found[0].total)}
    assert found[0].total.parameters == 3 * 48 + 3 + 3 * 3 + 3
    assert [m.name for m in found] == ["model.safetensors", "mlp", "Classifier"]


def test_a_name_is_built_for_the_input_that_is_given():
    assert fovea.measure("lenet5").input_shape == (1, 32, 32)
    measured = fovea.measure("lenet5", (3, 28, 28))
    assert measured.layers[1].parameters == 6 * 75 + 6
    assert fovea.measure("resnet18", (3, 64, 96)).layers[1].output_shapes == ((1, 64, 32, 48),)


def test_letters_and_arguments_are_measured():
    measured = fovea.measure("C4k5s2B P", (1, 9, 9))
    assert [layer.output_shapes[0][1:] for layer in measured.layers[1:4]] == [(4, 5, 5), (4, 5, 5), (4, 2, 2)]
    assert measured.layers[1].parameters == 100
    narrow = fovea.measure("foveola", (3, 32, 32), arguments={"width": "0.5"})
    assert narrow.total.parameters < 0.3 * fovea.measure("foveola").total.parameters


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("resnet18", {"widht": 1}, "no argument `widht`"),
        ("resnet18", {"c_in": 1}, "`c_in` follows from the input shape"),
        ("foveola", {"width": "wide"}, "`width` of `foveola` must be a float"),
        (nn.ReLU(), {"width": 1}, "A model file and a module take no arguments"),
    ],
)
def test_arguments_that_cannot_be_are_told(model, arguments, message):
    with pytest.raises(UsageError, match=message):
        fovea.measure(model, (3, 32, 32), arguments=arguments)


def test_arguments_on_the_command_line(capsys):
    assert run(["measure", "foveola", "--set", "width=0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["parameters"] < 600_000
    assert run(["measure", "foveola", "--set", "width=0.5", "--latency"]) == 2


def test_series_and_clips_are_built_for_their_length_sides_and_frames():
    assert fovea.measure("vgg_1d", (3, 64)).groups[0].output_shapes == ((1, 2),)
    assert fovea.measure("vgg_3d", (1, 8, 32, 32)).layers[-1].input_shapes == ((1, 4096),)
    assert fovea.measure("causal_1d").input_shape == (1, 784)
    with pytest.raises(
        UsageError, match=r"`resnet18` takes images \(.*\) of the form 3x224x224; 3x100 has a different"
    ):
        fovea.measure("resnet18", (3, 100))


def test_a_network_of_ones_own_keeps_its_weights(net):
    measured = fovea.measure(f"{net}:Net", (1, 9, 9))
    assert measured.total.parameters == 4 * 9 + 4  # `c_in` is that of the input
    model = nn.Conv2d(3, 4, 3)
    fovea.measure(model, (3, 9, 9))
    assert not model.weight.is_meta and model.weight.grad is None


def test_a_network_of_ones_own_takes_arguments(tmp_path):
    source = "from torch import nn\n\n\ndef net(classes, c_in):\n    return nn.Conv2d(c_in, classes, 3)\n"
    (tmp_path / "own.py").write_text(source)
    assert fovea.measure(f"{tmp_path / 'own.py'}:net", (1, 9, 9), arguments={"classes": "5"}).total.parameters == 50
    with pytest.raises(UsageError, match="it takes no `clases`"):
        fovea.measure(f"{tmp_path / 'own.py'}:net", (1, 9, 9), arguments={"classes": 5, "clases": 5})


def test_strict_refuses_what_does_not_fit(net):
    with pytest.raises(ShapeError) as caught:
        fovea.measure(f"{net}:ready", (1, 7, 7), strict=True)
    assert str(caught.value).endswith(
        "net.py:ready` on 1x7x7: Conv2d does not fit, (7 - 3) / 3 + 1 = 2.33: row 6 and column 6 not covered. "
        "Every stride divides for inputs of 6 or 9."
    )
    assert fovea.measure(f"{net}:ready", (1, 6, 9), strict=True).fitting == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Needs", "it needs `width`, `depth`; give them defaults, or name a function that needs none."),
        ("strange", "returns a int, not a torch.nn.Module."),
        ("fails", "does not define a network: ZeroDivisionError: division by zero."),
        ("Absent", "does not define a network: AttributeError: module 'net' has no attribute 'Absent'."),
    ],
)
def test_a_file_that_gives_no_network_says_so_in_one_line(net, name, message):
    with pytest.raises(UsageError) as caught:
        fovea.measure(f"{net}:{name}", (3, 8, 8))
    assert str(caught.value).endswith(message) and "\n" not in str(caught.value)


def test_a_file_that_does_not_import_says_so_in_one_line(tmp_path):
    (tmp_path / "bad.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(
        UsageError, match=r"bad.py:Net` does not define a network: ModuleNotFoundError: No module named"
    ):
        fovea.measure(f"{tmp_path / 'bad.py'}:Net", (3, 8, 8))
    with pytest.raises(UsageError, match=r"absent.py:Net`: there is no file `.*absent.py`\.$"):
        custom_network(*custom_name(f"{tmp_path / 'absent.py'}:Net"))


def test_what_is_refused(net, tmp_path, make_bundle):
    with pytest.raises(UsageError, match=r"Unknown network `resnet19`; did you mean `resnet18`"):
        fovea.measure("resnet19")
    with pytest.raises(UsageError, match=r"The input shape of `.*` is unknown; give it: --input 3x224x224"):
        fovea.measure(f"{net}:Net")
    with pytest.raises(UsageError, match=r"`input_shape` \(=\(3, 0, 4\)\) must be positive"):
        fovea.measure("resnet18", (3, 0, 4))
    with pytest.raises(BundleError, match="contains a custom network"):
        fovea.measure(make_bundle(architecture="custom"))


def test_the_command_prints_a_table_with_its_conventions(capsys):
    assert run(["measure", "vgg_block3", "--depth", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "vgg_block3 on 3x32x32" and lines[2].startswith("layer") and lines[3].startswith("input")
    assert "Total: 550,570 trainable parameters" in out and "MACs: multiply-adds (2 FLOPs each)" in out and err == ""


def test_the_command_prints_json_csv_and_markdown(capsys):
    assert run(["measure", "lenet5", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["total"]["parameters"], result["total"]["macs"]) == (61_706, 416_520)
    assert {row["path"] for row in result["layers"]} >= {"stage1.conv", "head.logits"}
    assert run(["measure", "lenet5", "--csv", "--sort", "macs", "--top", "1"]) == 0
    out, err = capsys.readouterr()
    assert [row["path"] for row in csv.DictReader(out.splitlines())] == ["stage2.conv"]
    assert "1 MAC = 1 multiply-add" in err
    assert run(["measure", "lenet5", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| layer | type |")


def test_the_command_compares_two(capsys, net):
    assert run(["measure", "--compare", "vgg_block1", "vgg_block3"]) == 0
    out = capsys.readouterr().out
    assert "1,060,138" in out and "550,570" in out and "0.519" in out and "1 MAC" in out
    assert run(["measure", "--compare", f"{net}:Net", "lenet5", "--input", "1x32x32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["b"]["total"]["macs"] == 416_520


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["resnet18", "--input", "big"], 2, "`--input big` must be the shape of one image, channels first: 3x224x224."),
        (["lenet5", "--sort", "mac"], 2, "Unknown column `mac`; did you mean `macs`"),
        (["lenet5", "--json", "--csv"], 2, "`--json`, `--csv` and `--markdown` cannot be used together; choose one."),
        ([], 2, "Name one network, or two with `--compare A B`."),
        (["lenet5", "--compare", "lenet5", "mlp"], 2, "Name one network, or two with `--compare A B`."),
        (["lenet5", "--input", "1x8x8"], 1, "Layer `stage2.conv` (5x5) does not fit its input of 2x2"),
    ],
)
def test_errors_of_the_command_are_one_line(capsys, arguments, code, message):
    assert run(["measure", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err


def test_strict_lists_every_stride_that_does_not_divide_and_fails(capsys):
    assert run(["measure", "resnet18", "--strict"]) == 1
    out, err = capsys.readouterr()
    listed = [line for line in err.splitlines() if not line.startswith("error: ")]
    assert out == "" and len(listed) == 8 and listed[0].startswith("stem.conv does not fit, (224 + 6 - 7) / 2 + 1")
    assert "error: `resnet18` on 3x224x224: stem.conv does not fit" in err
