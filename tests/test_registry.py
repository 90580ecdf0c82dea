import re
import subprocess
import sys

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.errors import ShapeError, UsageError

CARD = {"paper": "lecture", "title": "T", "year": 2000, "input": (1, 2, 2), "params": 5, "macs": 4}


@pytest.fixture
def tiny(monkeypatch):
    """A registry of one network: dense, (2 x 2) -> classes, that records what it was built with."""
    monkeypatch.setattr(registry, "_builders", {})
    monkeypatch.setattr(registry, "_entries", {})
    seen = []

    @registry.register(**CARD)
    def tiny(classes: int = 1, *, c_in: int = 1, slope: float = 0.5, bias: bool = True, widths: tuple = (3, 4)):
        seen.append((classes, c_in, slope, bias, widths))
        if slope < 0:
            raise ValueError("slope must be positive")
        if slope > 9:
            raise ShapeError("Layer `stage1` is too steep.")
        return nn.Sequential(nn.Flatten(), nn.Linear(4 * c_in, classes, bias=bias))

    return seen


def test_a_registered_network_is_known_by_its_own_name(tiny):
    assert registry.names() == ("tiny",)
    assert registry.entry("tiny") == registry.Entry(name="tiny", family="test_registry", **CARD)


def test_what_is_not_given_has_the_builders_default(tiny):
    registry.build("tiny", classes=7, slope=2)
    assert tiny == [(7, 1, 2, True, [3, 4])]


def test_size_reaches_only_builders_that_take_it(tiny):
    model = registry.build("tiny", size=2)
    assert model(torch.zeros(1, 1, 2, 2)).shape == (1, 1)


def test_arguments_are_resolved_as_json_holds_them(tiny):
    resolved = registry.arguments_of("tiny", classes=2, size=64)
    assert resolved == {"classes": 2, "c_in": 1, "slope": 0.5, "bias": True, "widths": [3, 4]}
    assert registry.arguments_of("tiny", **resolved) == resolved


def test_each_size_of_an_input_is_an_argument():
    assert registry.axes_of((2, 30)) == (("c_in", 2), ("size", 30))
    assert registry.axes_of((3, 8, 9)) == (("c_in", 3), ("size", 8), ("size", 9))
    assert registry.axes_of((3, 4, 8, 9)) == (("c_in", 3), ("frames", 4), ("size", 8), ("size", 9))


def test_a_network_is_fitted_to_the_longer_side_and_to_no_other_number_of_axes(tiny):
    assert registry.fitted("tiny", (2, 8, 9)) == {"c_in": 2, "size": 9}
    assert registry.fitted("tiny", (7,)) == {"c_in": 7, "size": 1}
    with pytest.raises(UsageError, match=r"`tiny` takes images .*; 2x8 has a different number of dimensions"):
        registry.fitted("tiny", (2, 8))


def test_the_name_in_torchvision_is_an_alias_unless_it_is_a_name_here(tiny):
    for own, there in (("small", "their_small"), ("large", "tiny")):
        builder = lambda classes=1: nn.Flatten()  # noqa: E731  named below
        builder.__name__ = own
        registry.register(**CARD, peers={"torchvision": registry.Peer(there)})(builder)
    assert registry.resolve("their_small") == registry.entry("their_small").name == "small"
    assert registry.resolve("tiny") == "tiny"
    assert isinstance(registry.build("their_small"), nn.Flatten)


def test_networks_are_known_by_what_they_answer():
    assert registry.entry("resnet18").answers == "classes"
    assert {"unet", "unet_padded", "unet_on"} <= set(registry.answering("masks"))
    assert set(registry.answering("masks", "logits")) == set(registry.answering("masks"))
    assert not set(registry.answering("classes")) & set(registry.answering("masks"))


def test_a_network_that_answers_something_else_is_refused_with_those_that_do():
    registry.require_answer("unet", "masks")
    with pytest.raises(UsageError, match=r"`unet` predicts masks, not classes; use `.*` \(`fovea models --answers cl"):
        registry.require_answer("unet", "classes")
    registry.require_answer("centres", "boxes", ["centres"])
    with pytest.raises(UsageError, match=r"`yolo_v1` predicts boxes as `yolo`, not `centres`; use `centres` \("):
        registry.require_answer("yolo_v1", "boxes", ["centres"])


def test_rules_rename_one_after_the_other():
    peer = registry.Peer("net", rules=((r"^layer(\d)\.(\d)", r"stage\1.block\2"), (r"^fc\.", "head.logits.")))
    assert peer.renamed("layer2.0.conv1.weight") == "stage2.block0.conv1.weight"
    assert peer.renamed("fc.bias") == "head.logits.bias"


def test_a_name_taken_twice_is_refused(tiny):
    with pytest.raises(UsageError, match="A network named `tiny` is already registered"):

        @registry.register(**CARD)
        def tiny(): ...


@pytest.mark.parametrize("call", [registry.build, registry.entry, registry.arguments_of])
def test_an_unknown_name_is_answered_with_neighbours(tiny, call):
    with pytest.raises(UsageError, match=r"Unknown network `tinny`; did you mean `tiny`\? `fovea models` lists them\."):
        call("tinny")


def test_an_unknown_argument_is_answered_with_those_allowed(tiny):
    message = (
        "`tiny` has no argument `slop`; did you mean `slope`? Its arguments are bias, c_in, classes, size, "
        "slope, widths."
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        registry.build("tiny", slop=1)
    with pytest.raises(UsageError, match=r"`tiny` has no argument `pooling`\. Its arguments are bias"):
        registry.build("tiny", pooling=1)


@pytest.mark.parametrize("dropout", [1.5, -0.1, float("nan")])
@pytest.mark.parametrize("name", ["fashion_cnn", "senet154"])
def test_a_dropout_that_is_no_share_is_refused(name, dropout):
    default = registry.arguments_of(name)["dropout"]
    message = f"`dropout` (={dropout}) must be from 0 (none) to 1; the default is {default}."
    with pytest.raises(UsageError, match=re.escape(message)):
        registry.build(name, dropout=dropout)


@pytest.mark.parametrize("key", ["classes", "c_in", "size"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True, "3", None])
def test_counts_are_positive_integers(tiny, key, value):
    with pytest.raises(UsageError, match=rf"`{key}` \(={value!r}\) must be an integer of at least 1\."):
        registry.build("tiny", **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "kinds"),
    [("slope", "steep", "float or int"), ("bias", 1, "bool"), ("widths", 3, "tuple or list"), ("slope", True, "float")],
)
def test_other_arguments_have_the_type_of_their_default(tiny, key, value, kinds):
    with pytest.raises(UsageError, match=rf"`{key}` \(={value!r}\) must be of type {kinds}"):
        registry.build("tiny", **{key: value})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [("slope", "2", 2.0), ("bias", "No", False), ("widths", "8, 16,", [8, 16]), ("classes", "7", 7)],
)
def test_text_becomes_a_value_of_the_arguments_type(tiny, key, text, value):
    found = registry.parsed("tiny", key, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "text", "kind"),
    [("slope", "steep", "a float"), ("bias", "2", "a bool"), ("widths", "8 16", "integers separated by commas")],
)
def test_text_that_is_no_such_value_is_refused(tiny, key, text, kind):
    with pytest.raises(UsageError, match=f"`{key}` of `tiny` must be {kind}, not `{text}`"):
        registry.parsed("tiny", key, text)


def test_what_a_builder_refuses_is_told_with_the_network(tiny):
    with pytest.raises(UsageError, match="Network `tiny`: slope must be positive"):
        registry.build("tiny", slope=-1.0)
    with pytest.raises(ShapeError, match="Network `tiny`: Layer `stage1` is too steep"):
        registry.build("tiny", slope=10.0)


def test_importing_the_registry_does_not_import_torch():
    code = "import sys, fovea.registry; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
