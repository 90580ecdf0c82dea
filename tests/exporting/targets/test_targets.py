import inspect

import pytest

from fovea.cli.export import export as command
from fovea.errors import UsageError
from fovea.exporting.targets import TARGETS, target_named


def test_the_command_line_names_every_target():
    text = str(inspect.signature(command).parameters["to"].annotation.__metadata__[0].help)
    assert sorted(text.rstrip(".").partition(": ")[2].replace(" or ", ", ").split(", ")) == sorted(
        target.name for target in TARGETS
    )


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_each_target_is_a_module_with_its_function(target):
    assert target_named(target.name) is target
    assert callable(target.write) and target.does


def test_an_unknown_target_names_its_neighbours():
    with pytest.raises(UsageError, match="Unknown target `tflite`.*litert"):
        target_named("tflite")
