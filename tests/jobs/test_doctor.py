"""What the machine has: every check has its line, and what is missing says for which command and what to do."""

import json
import platform

import numpy as np
import pytest
import torch

from fovea import devices
from fovea.jobs import doctor as module
from fovea.jobs.doctor import doctor


@pytest.fixture
def checks(monkeypatch, tmp_path):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.delenv("FOVEA_DATA", raising=False)
    monkeypatch.setattr(module, "LOW_DISK_BYTES", 0)
    return lambda: {check.name: check for check in doctor()}


def test_versions_and_rates_are_those_of_this_process(checks):
    found = checks()
    assert found["Python"].value == platform.python_version()
    assert found["PyTorch"].value == torch.__version__
    assert found["threads"].value.startswith(f"{torch.get_num_threads()} of ")
    assert int(found["matrix products"].value.split()[0]) > 0
    assert {"processor", "memory", "MPS", "cache", "FOVEA_DATA", "tensorboard"} <= found.keys()


def test_checks_are_json_values(checks):
    values = [check.to_dict() for check in checks().values()]
    assert json.loads(json.dumps(values)) == values


def test_an_absent_library_names_its_command_and_its_extra(checks, monkeypatch):
    monkeypatch.setattr(module, "OPTIONAL", {"extra": ("no_such_library", "fovea something")})
    check = checks()["extra"]
    assert (check.ok, check.value) == (False, "absent, which `fovea something` needs")
    assert check.advice == 'pip install "fovea-cnn[extra]"'


def test_a_present_library_shows_its_version(checks, monkeypatch):
    monkeypatch.setattr(module, "OPTIONAL", {"extra": ("numpy", "fovea something")})
    assert (checks()["extra"].ok, checks()["extra"].value) == (True, f"numpy {np.__version__}")


def test_a_cache_that_does_not_exist_yet_is_fine_and_a_full_disk_is_not(checks, monkeypatch, tmp_path):
    assert checks()["cache"].ok
    assert not (tmp_path / "not").exists()
    monkeypatch.setattr(module, "LOW_DISK_BYTES", 1e30)
    assert not checks()["cache"].ok


def test_fovea_data_lists_what_it_holds(checks, monkeypatch, tmp_path):
    assert "not set" in checks()["FOVEA_DATA"].value
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path))
    assert checks()["FOVEA_DATA"].value.endswith("no published data set")
    (tmp_path / "cifar10").mkdir()
    assert checks()["FOVEA_DATA"].value.endswith("with cifar10")
    monkeypatch.setenv("FOVEA_DATA", str(tmp_path / "absent"))
    assert not checks()["FOVEA_DATA"].ok


def test_memory_is_unknown_where_the_system_does_not_say(checks, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "MEMINFO", tmp_path / "absent")
    assert checks()["memory"].value == "unknown on this system"
