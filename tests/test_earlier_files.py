"""Runs and model files of version 0.1.0 load, resume and predict as they did then: `earlier/make.py` made them.

On the machine that made them, to the bit; on another its arithmetic may round differently.
"""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import fovea
from fovea.display import Display

HERE = Path(__file__).parent / "earlier"
EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def make():
    """Return the script that made them; it and `net.py` beside it are importable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        spec = importlib.util.spec_from_file_location("earlier_make", HERE / "make.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    sys.modules.pop("net", None)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Return a copy of all that was made, as the working folder."""
    shutil.copytree(HERE, tmp_path / "earlier", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "earlier")
    return tmp_path / "earlier"


def assert_equal(found, expected, *, exact):
    """Compare nested lists and objects; numbers to the bit where `exact`, else up to what rounding does to a run."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_equal(found[key], value, exact=exact)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other, exact=exact)
    elif isinstance(expected, float) and not exact:
        assert found == pytest.approx(expected, rel=0.05, abs=0.03)
    else:
        assert found == expected


def at_the_temperature_of(expected, found):
    """Return the probabilities `found` (N, K) at the one temperature that brings them nearest to `expected`."""
    logs = [np.log(rows) - np.log(rows).mean(axis=1, keepdims=True) for rows in (np.array(found), np.array(expected))]
    ours, theirs = logs
    rows = np.exp(ours * (ours * theirs).sum() / (ours * ours).sum())
    return (rows / rows.sum(axis=1, keepdims=True)).tolist()


@pytest.mark.parametrize("name", EXPECTED["bundles"])
def test_a_model_file_says_what_it_said(name, make, there):
    found = make.said(there / "bundles" / f"{name}.safetensors")
    if make.machine() == EXPECTED["machine"]:
        assert found == EXPECTED["bundles"][name]
    assert np.allclose(found, EXPECTED["bundles"][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EXPECTED["runs"])
def test_a_run_goes_on_to_the_end_that_it_had(name, make, there):
    code = "net.py:Net" if name == "killed" else None
    run = fovea.train(resume=there / "runs" / name, model=code, display=Display(quiet=True)).run
    exact = make.machine() == EXPECTED["machine"]
    found, expected = make.end_of(run), dict(EXPECTED["runs"][name])
    if not exact:
        del found["tensors"], expected["tensors"]
    if name == "number":  # that version rounded the errors in a card to float32, those of `evaluate` not; now none are
        for result, was in zip(found.pop("results"), expected.pop("results"), strict=True):
            assert result == {**was, **{key: pytest.approx(was[key], rel=1e-6) for key in ("mae", "rmse", "r2")}}
    else:  # temperatures were fitted without smoothing then: what is said is the same up to that
        said, was = found.pop("said"), expected.pop("said")
        np.testing.assert_allclose(
            at_the_temperature_of(was, said), was, **({"rtol": 1e-6} if exact else {"rtol": 0.05, "atol": 0.03})
        )
    assert_equal(found, expected, exact=exact)
