"""The examples in the page on convolution and in the docstrings of the reference are run."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import fovea.reference

PAGE = Path(__file__).parents[2] / "docs" / "convolution.md"
MODULES = [module.name for module in pkgutil.iter_modules(fovea.reference.__path__)]


def test_the_page_on_convolution():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 15 and not failed


@pytest.mark.parametrize("name", MODULES)
def test_the_docstrings_of(name):
    assert not doctest.testmod(importlib.import_module(f"fovea.reference.{name}")).failed
