"""Families of networks: each file of the zoo has its place, and descent is a tree that time allows."""

import pytest

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.jobs.models import models
from fovea.zoo.families import FAMILIES, Family, family_of, grouped, tree

HERE = grouped(
    [registry.entry(name) for name in registry.names() if registry._builders[name].__module__.startswith("fovea.zoo.")]
)
YEARS = {name: HERE[name][0].year for name in FAMILIES}


def test_every_file_of_the_zoo_is_a_family_of_the_table():
    assert set(HERE) <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_parents_are_families_not_younger_than_their_child(name):
    for parent in FAMILIES[name].parents:
        assert parent in FAMILIES
        assert YEARS[parent] <= YEARS[name], parent
    assert len(set(FAMILIES[name].parents)) == len(FAMILIES[name].parents)


def test_no_family_descends_from_itself():
    done: set[str] = set()

    def visit(name, below):
        assert name not in below, below
        for parent in FAMILIES[name].parents if name not in done else ():
            visit(parent, (*below, name))
        done.add(name)

    for name in FAMILIES:
        visit(name, ())


def test_titles_and_what_was_new_tell_families_apart():
    assert len({family.title for family in FAMILIES.values()}) == len(FAMILIES)
    assert len({family.adds for family in FAMILIES.values()}) == len(FAMILIES)
    assert all(family.adds for family in FAMILIES.values())


def test_descent_by_the_papers():
    def ancestors(name):
        parents = FAMILIES[name].parents
        return {*parents, *(further for parent in parents for further in ancestors(parent))}

    assert {"lenet", "alexnet", "vgg", "neocognitron"} <= ancestors("resnet")
    assert {"resnet", "vgg"} <= ancestors("resnext") & ancestors("densenet")
    assert {"googlenet", "nin", "resnet"} <= ancestors("inception_resnet")
    assert {"mobilenet_v1", "mobilenet_v2", "mnasnet"} <= ancestors("mobilenet_v3")
    assert "resnet" not in ancestors("vgg")


def test_an_entry_knows_its_family():
    assert registry.entry("wide_resnet50").family == "wide_resnet"
    assert registry.entry("wide_resnet50").to_dict()["family"] == "wide_resnet"


def test_groups_are_in_the_order_of_years_and_so_are_their_networks():
    groups = grouped(models())
    first = [group[0].year for group in groups.values()]
    assert first == sorted(first)
    for group in groups.values():
        assert [entry.year for entry in group] == sorted(entry.year for entry in group)
    assert sum(map(len, groups.values())) == len(models())


def test_the_tree_of_some_networks_has_all_that_they_descend_from():
    lines = tree(models("resnext50*"))
    assert [line.text() for line in lines if line.name in ("lenet", "vgg", "resnet", "resnext")] == [
        "└── LeNet 1989: convolutions trained by back-propagation; also from Multilayer perceptron",
        "        └── VGG 2014: nothing but 3x3, and deeper",
        "            └── ResNet 2015: a shortcut past every block; also from PReLU-net, BN-Inception",
        "                └── ResNeXt 2016: many narrow groups in a block; also from GoogLeNet",
    ]
    networks = {line.name: line.networks for line in lines}
    assert networks["resnext"] == ("resnext50_32x4d",)
    assert networks["vgg"] == ()
    assert "densenet" not in networks


def test_each_family_stands_once_behind_its_first_parent():
    lines = tree(models())
    places = {line.name: index for index, line in enumerate(lines)}
    assert len(places) == len(lines)
    depth = {line.name: len(line.branch) for line in lines}
    for line in lines:
        if line.descends_from:
            assert places[line.descends_from[0]] < places[line.name]
            assert depth[line.name] == depth[line.descends_from[0]] + 4
        else:
            assert line.branch == ""


def test_a_family_that_is_in_no_table_stands_alone(monkeypatch):
    assert family_of("mine") == Family("mine", "")
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @registry.register(paper="this project", title="Mine", year=2030, input=(1, 8, 8), params=1, macs=1)
    def mine(classes: int = 1, *, c_in: int = 1):
        raise NotImplementedError

    (line,) = tree(models("mine"))
    assert (line.title, line.year, line.networks, line.branch) == ("test_families", 2030, ("mine",), "")
