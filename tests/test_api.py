"""The Python API: every public name is there, is imported on first use only, and is what its module defines."""

import subprocess
import sys
import types

import pytest

import fovea


def test_all_is_sorted_and_every_name_resolves():
    assert fovea.__all__ == sorted(fovea.__all__)
    assert dir(fovea) == fovea.__all__
    for name in fovea.__all__:
        assert not isinstance(getattr(fovea, name), types.ModuleType)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module `fovea` has no attribute `trian`"):
        _ = fovea.trian


def test_functions_stay_functions_after_their_modules_are_imported():
    import fovea.data.cache.decoded
    import fovea.jobs.cache
    import fovea.jobs.evaluate
    import fovea.metrics

    for name in ("cache", "evaluate", "train"):
        assert isinstance(getattr(fovea, name), types.FunctionType)


def test_networks_are_known_without_another_import():
    code = "import fovea, sys; sys.exit('lenet5' not in fovea.names())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert sum(p.numel() for p in fovea.build("lenet5").parameters()) == 61_706


def test_importing_the_package_imports_no_library():
    code = (
        "import sys, fovea; heavy = {'torch', 'numpy', 'PIL', 'scipy', 'sklearn', 'typer', 'rich'} & set(sys.modules);"
        "print(*heavy); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
