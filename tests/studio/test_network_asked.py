"""What the room Network makes of an address and of what is typed, without a browser."""

from pathlib import Path

import pytest
from seeded_bundles import seeded_bundle

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.errors import FoveaError
from fovea.model.bundle import save_bundle
from fovea.studio.network.asked import (
    FIRST,
    Asked,
    asked_by,
    commands_of,
    fields_of,
    letters_of,
    measured,
    python_of,
    train_address,
)
from fovea.studio.network.shown import compared, shown
from fovea.studio.opened import Opened, opened
from fovea.studio.rooms import ROOMS

NOTHING = Opened()


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32)
    save_bundle(folder / "digits.safetensors", bundle.model, bundle.card)
    found = opened(folder / "digits.safetensors")
    found.load()
    found.folder = folder
    return found


def test_an_address_asks_for_a_network_its_input_and_its_arguments():
    state = {"model": "foveola", "input": "3x64x64", "set.width": "0.5", "set.size": "9", "other": "x"}
    asked = asked_by(state, NOTHING)
    assert asked == Asked(text="foveola", shape="3x64x64", arguments={"width": "0.5"})
    assert asked.query() == {"model": "foveola", "input": "3x64x64", "set.width": "0.5"}
    assert measured(asked, NOTHING).input_shape == (3, 64, 64)
    assert asked_by({}, NOTHING).text == FIRST
    assert asked_by({"model": "pattern", "set.pattern": "CRP"}, NOTHING).letters == "CRP"


def test_what_is_open_becomes_its_name_as_soon_as_it_is_changed(studio):
    asked = asked_by({}, studio)
    assert asked == Asked() and measured(asked, studio).total.parameters == 61_111
    assert {field.key: field.value for field in fields_of(asked, studio)} == {"classes": "3"}
    changed = asked.with_argument("classes", "5", studio)
    assert changed == Asked(text="lenet5", shape="1x32x32", arguments={"classes": "5"})
    assert measured(changed, studio).layers[-1].output_shapes == ((1, 5),)


def test_a_file_of_the_folder_is_measured_and_no_other(studio):
    assert measured(Asked(text="digits.safetensors"), studio).total.parameters == 61_111
    assert fields_of(Asked(text="digits.safetensors"), studio) == []
    for text in ("../digits.safetensors", "/etc/passwd.safetensors", "net.py:Net", "/etc/passwd", "", "resnet"):
        with pytest.raises(FoveaError):
            measured(Asked(text=text), NOTHING)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(text="foveola", shape="3x99999x9"), "must be the shape of one input"),
        (Asked(text="foveola", shape="<b>"), "must be the shape of one input"),
        (Asked(text="foveola", arguments={"width": "1e9"}), "at most 10,000 here"),
        (Asked(text="mlp", arguments={"widths": "3, 1000000"}), "at most 10,000 here"),
        (Asked(text="Ck9p0", shape="3x4x4"), r"does not fit its input of 4x4: `size` \(=4\) must be at least 9"),
        (Asked(text="resnet19"), "did you mean `resnet18`"),
        (Asked(text="C<script>"), "Unknown network"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(asked, message):
    with pytest.raises(FoveaError, match=message) as caught:
        measured(asked, NOTHING)
    assert "\n" not in str(caught.value)


def test_letters_python_and_commands_are_of_the_same_network():
    asked = letters_of(Asked(text="vgg_block1"), NOTHING, (3, 32, 32))
    assert asked == Asked(text="C32RC32RP F128R F", shape="3x32x32", arguments={"classes": "10"})
    assert "self.head.dense1 = nn.Linear(8192, 128)" in python_of(asked, NOTHING)
    assert commands_of(asked, (3, 32, 32))[0] == "fovea build 'C32RC32RP F128R F' --classes 10"
    assert commands_of(Asked(text="lenet5"), (3, 28, 28))[0] == "fovea build lenet5 --size 28 --c-in 3"
    assert train_address(asked, (3, 32, 32)) == "/train?model=pattern&size=32&more=%27pattern%3DC32RC32RP+F128R+F%27"
    assert train_address(Asked(), (3, 32, 32)) == ""


def test_two_networks_are_shown_with_what_differs():
    first, second = (measured(Asked(text=text), NOTHING) for text in ("C4RP F", "C4k5RP F"))
    assert compared(first, first, depth=None)["differences"] == []
    assert compared(first, second, depth=None)["differences"] == [
        ("stage1.conv1", "Conv2d 4x32x32, 112 parameters, 111 k MACs", "Conv2d 4x32x32, 304 parameters, 307 k MACs")
    ]
    page = shown(first, depth=1)
    assert [row[0] for row in page["rows"]] == ["input", "stage1", "head"]
    assert [box["path"] for box in page["graph"]["boxes"]] == ["input", "stage1", "head"]
    assert shown(first, depth=99)["rows"][1][0] == "stage1.conv1"


def test_rooms_say_what_they_cannot_do_with_an_exported_network():
    file = Opened(name="net.onnx", exported=Path("net.onnx"))
    told = {room.name: room.told(file) for room in ROOMS if room.told(file)}
    assert set(told) == {"Look", "Explain", "Label"}
    assert told["Look"].startswith("The exported network net.onnx runs as a whole, and its feature maps cannot")
    assert not any(room.told(NOTHING) for room in ROOMS)
