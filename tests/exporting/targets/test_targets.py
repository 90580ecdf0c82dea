import pytest

from fovea.errors import UsageError
from fovea.exporting.targets import TARGETS, target_named


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_a_module_that_writes_it(target):
    assert callable(target.write)
    assert target_named(target.name) is target


def test_an_unknown_target_names_its_neighbours():
    with pytest.raises(UsageError, match="Unknown target `onx`; did you mean `onnx`?"):
        target_named("onx")
