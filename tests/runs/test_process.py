"""A training leaves the process as it found it."""

import gc

import torch

import fovea
from fovea.display import Display
from fovea.runs.process import as_found


def test_threads_and_random_state_come_back_also_after_an_error():
    torch.set_num_threads(1)
    state = torch.get_rng_state()
    try:
        with as_found():
            torch.set_num_threads(2)
            torch.manual_seed(5)
            raise RuntimeError
    except RuntimeError:
        pass
    assert torch.get_num_threads() == 1 and torch.equal(torch.get_rng_state(), state)


def test_training_and_measuring_leave_threads_random_state_and_collection(tmp_path):
    torch.set_num_threads(1)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    options = {"threads": 2, "epochs": 1, "precision": "float32", "device": "cpu", "display": Display(quiet=True)}
    fovea.train("digits", out=tmp_path / "run", **options)
    fovea.preview("digits", out=tmp_path / "sheet.png", display=Display(quiet=True))
    fovea.measure("lenet5")
    fovea.latency("lenet5", device="cpu")
    assert torch.get_num_threads() == 1 and torch.equal(torch.get_rng_state(), state) and gc.isenabled()


def test_one_training_may_run_within_another():
    with as_found(), as_found():
        torch.set_num_threads(2)
    assert torch.get_num_threads() == 1
