"""A training leaves its process as it found it, also after an error."""

import pytest
import torch

from fovea.runs.process import as_found


def test_memory_can_be_kept_more_than_once():
    with as_found():
        pass
    with as_found(), as_found():
        pass


def test_threads_and_random_state_come_back_after_an_error():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with pytest.raises(KeyError), as_found():
        torch.set_num_threads(threads + 1)
        torch.manual_seed(7)
        torch.rand(3)
        raise KeyError
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
