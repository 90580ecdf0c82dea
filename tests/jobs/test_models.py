"""Listing the zoo: which networks, in which order, and the picture."""

import json

import pytest

from fovea.cli import output, run
from fovea.errors import UsageError
from fovea.jobs.models import models


def names(*arguments, **options):
    return [entry.name for entry in models(*arguments, **options)]


def test_the_lineage_is_in_the_order_of_years():
    found = models()
    years = [entry.year for entry in found]
    assert years == sorted(years)
    assert {"lenet5", "alexnet", "resnet50", "mobilenet_v2"} <= {entry.name for entry in found}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"year": 1998}, ["lenet5", "lenet5_1998"]),
        ({"year": "-1985"}, ["neocognitron", "neocognitron_1980"]),
        ({"year": "1981-1990"}, ["mlp", "lenet1"]),
        ({"pattern": "mobilenet*", "max_params": "1.5M"}, ["mobilenet_v1_025", "mobilenet_v1_05"]),
        ({"pattern": "mobilenet*", "max_macs": 6e7, "year": "2018-2018"}, ["mobilenet_v2_035"]),
        ({"pattern": "shufflenet_v2_x1_0"}, ["shufflenet_v2"]),
        ({"pattern": "no*such"}, []),
    ],
)
def test_filters_narrow_down_together(options, found):
    assert names(**options) == found


def test_a_part_of_names_finds_all_that_have_it_and_a_name_itself_alone():
    assert {"resnet18", "cifar_resnet20", "inception_resnet_v2", "resnet_1d"} <= set(names("ResNet"))
    assert all("resnet" in name for name in names("resnet"))
    assert names("vgg16") == ["vgg16"]


def test_numbers_in_names_are_in_their_order():
    found = names("cifar_resnet*", year=2015)
    assert found.index("cifar_resnet20") < found.index("cifar_resnet56") < found.index("cifar_resnet110")


def test_networks_are_found_by_what_they_answer():
    assert {entry.answers for entry in models(answers="masks")} == {"masks"}
    assert {"unet", "unet_on"} <= {entry.name for entry in models(answers="masks")}
    with pytest.raises(UsageError, match="Unknown answer `mask`; did you mean `masks`"):
        models(answers="mask")


@pytest.mark.parametrize("text", ["3504872", "3504872.0", "3504.872k", "3.504872M"])
def test_a_limit_may_be_a_number_or_text_and_is_included(text):
    assert names("mobilenet_v2", max_params=text) == ["mobilenet_v2"]
    assert names("mobilenet_v2", max_params=3_504_871) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "resnet51"}, r"Unknown network `resnet51`; did you mean `resnet50`"),
        ({"year": "2014 to 2016"}, r"`year` \(=2014 to 2016\) must be a year or a span"),
        ({"year": "20142016"}, r"`year` \(=20142016\) must be"),
        ({"year": ""}, r"`year` \(=\) must be"),
        ({"year": "2016-2014"}, r"`year` \(=2016-2014\) ends before it begins; .*: 2014-2016\."),
        ({"max_params": "many"}, r"`max_params` \(=many\) must be a number, for example 4000000, 5M or 1.5G"),
        ({"plot": "zoo.doc"}, r"`plot` \(=zoo.doc\) must end in .png"),
        ({"pattern": "cifar*", "plot": "zoo.png"}, r"None of the \d+ networks has a published ImageNet accuracy"),
        ({"pattern": "no*such", "tree": True, "plot": "tree.png"}, r"No network matches"),
    ],
)
def test_what_cannot_be_read_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        models(**options)


def test_the_command_prints_families_and_their_tree(capsys):
    assert run(["models", "squeezenet*"]) == 0
    out = capsys.readouterr().out
    assert [line.strip() for line in out.splitlines()[3:6]][0] == "SqueezeNet"
    assert (
        out.index("SqueezeNet") < out.index("  squeezenet1_0") < out.index("  squeezenet1_1") < out.index("2 networks.")
    )
    assert run(["models", "squeezenet*", "--tree"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Multilayer perceptron 1986: ")
    assert lines[-1].lstrip(" │").startswith("└── SqueezeNet 2016: ")
    assert run(["models", "squeezenet*", "--tree", "--json"]) == 0
    (last,) = [family for family in json.loads(capsys.readouterr().out) if family["networks"]]
    assert last["networks"] == ["squeezenet1_0", "squeezenet1_1"]
    assert last["descends_from"] == ["googlenet", "alexnet"]


def test_a_narrow_terminal_shows_whole_names_and_says_what_it_lacks(capsys, monkeypatch):
    monkeypatch.setattr(output, "terminal_width", lambda: 60)
    assert run(["models", "vgg16"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert "Columns left out: authors" in out and "  vgg16 " in out
    assert "1 network.\n`fovea models '*vgg16*'` lists 4 more.\n" in out


def test_the_card_says_what_peers_there_are_without_their_rules():
    entry = models("squeezenet1_1")[0].to_dict()
    assert entry["params"] == 1_235_496
    assert entry["input"] == [3, 224, 224]
    assert entry["peers"]["torchvision"]["weights"].endswith("squeezenet1_1-b8a52dc0.pth")
    assert "rules" not in entry["peers"]["torchvision"]
