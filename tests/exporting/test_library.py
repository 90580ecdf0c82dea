import logging
import sys
import warnings

import pytest

from fovea.errors import MissingDependencyError
from fovea.exporting.library import NEEDED, check_installed, library, without_its_warnings


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_library_names_the_extra_that_brings_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=rf"`{name}`.*pip install 'fovea-cnn\[export\]'"):
        check_installed()


def test_a_library_that_is_there_is_given():
    assert library("onnx").__name__ == "onnx"


def test_the_exporters_warning_is_silenced_and_no_other():
    with without_its_warnings():
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use ...", FutureWarning, stacklevel=1)
        with pytest.raises(FutureWarning, match="Other"):
            warnings.warn("`isinstance(treespec, Other)` is deprecated", FutureWarning, stacklevel=1)


def test_the_logger_is_as_before_afterwards_even_after_an_error():
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = logger.level
    with pytest.raises(ZeroDivisionError), without_its_warnings():
        assert not logger.isEnabledFor(logging.WARNING)
        1 / 0  # noqa: B018
    assert logger.level == before
