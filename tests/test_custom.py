"""A user's file is loaded as Python loads a module: its neighbours are found, and it stands where modules stand."""

import dataclasses
import json
import sys

import pytest
from torch import nn

from fovea.custom import custom_network
from fovea.errors import UsageError


@pytest.fixture(autouse=True)
def as_before():
    """Leave path and modules as they were."""
    path, modules = sys.path[:], set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a network, and the module beside it that says how wide it is."""

    def written(folder, width, *, name="net.py", begin="from widths import WIDTH"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "widths.py").write_text(f"WIDTH = {width}\n")
        file = tmp_path / folder / name
        file.write_text(f"{begin}\nfrom torch import nn\ndef Net(): return nn.Linear(2, WIDTH)\n")
        return file

    return written


def test_a_file_imports_its_neighbour(write):
    assert custom_network(write("a", 3), "Net").out_features == 3


def test_a_neighbour_is_found_later_too(write):
    file = write("a", 3, begin="WIDTH = 1")
    text = file.read_text().replace("def Net():", "def Net():\n    from widths import WIDTH\n   ")
    file.write_text(text)
    assert custom_network(file, "Net").out_features == 3


def test_files_of_two_folders_have_each_their_own_neighbour(write):
    files = write("a", 3), write("b", 5)
    assert [custom_network(file, "Net").out_features for file in (*files, *files)] == [3, 5, 3, 5]


def test_what_asks_for_its_module_finds_it(tmp_path):
    (tmp_path / "typed.py").write_text(
        "from __future__ import annotations\nimport dataclasses, sys\nfrom torch import nn\n"
        "@dataclasses.dataclass(slots=True)\nclass Width:\n    value: int = 4\n"
        "class Net(nn.Linear):\n    def __init__(self):\n"
        "        super().__init__(2, sys.modules[__name__].Width().value)\n"
    )
    model = custom_network(tmp_path / "typed.py", "Net")
    assert model.out_features == 4 and type(model) is sys.modules["typed"].Net


@pytest.mark.parametrize("name", ["json.py", "dataclasses.py"])
def test_a_file_called_like_a_module_that_is_there_does_not_take_its_place(write, name):
    assert isinstance(custom_network(write("a", 3, name=name), "Net"), nn.Linear)
    assert sys.modules["json"] is json and sys.modules["dataclasses"] is dataclasses


def test_a_file_that_has_changed_is_run_again(write):
    file = write("a", 3)
    assert custom_network(file, "Net").out_features == 3
    file.write_text(file.read_text().replace("WIDTH)", "WIDTH + 100)"))
    assert custom_network(file, "Net").out_features == 103


def test_a_file_that_ends_the_process_is_one_line(write):
    with pytest.raises(UsageError, match=r"net\.py:Net` does not define a network: SystemExit: enough\.$"):
        custom_network(write("a", 3, begin="import sys\nsys.exit('enough')"), "Net")
    assert "net" not in sys.modules
