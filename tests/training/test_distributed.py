"""Two processes train as one: their sum of gradients, their shares of images, and the decisions they take together.

One start of `torchrun` runs all of two_processes.py; the tests look at what its processes saw.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fovea.errors import TrainingError, UsageError
from fovea.training import distributed
from fovea.training.distributed import (
    agreed,
    gathered,
    greatest,
    joined,
    own_device,
    own_part,
    own_rows,
    own_share,
    rank,
    world_size,
)

DEADLINE_S = 300
SAME = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what the two processes saw."""
    out = tmp_path_factory.mktemp("found")
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, out]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 0, ended.stderr
    return [torch.load(out / f"{number}.pt", weights_only=True) for number in range(2)]


TRAININGS = [
    *("plain", "uneven", "fewer images than processes", "accumulated", "mixed", "binary", "head first", "average"),
    *("heads", "validated on 1", "validated on 7"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_end_where_one_does(found, name):
    one, two, other = (found[0]["one"][name], found[0]["two"][name], found[1]["two"][name])
    assert two["steps"] == one["steps"] > 2
    torch.testing.assert_close(two["weights"], one["weights"], **SAME)
    torch.testing.assert_close(other["weights"], two["weights"], rtol=0, atol=0)
    torch.testing.assert_close(two["results"], one["results"], **SAME)
    assert other["results"] == two["results"]


@pytest.mark.slow
def test_batch_norm_takes_the_statistics_of_each_share_and_keeps_those_of_the_first(found):
    one, two, other = (found[0]["one"]["normed"], found[0]["two"]["normed"], found[1]["two"]["normed"])
    torch.testing.assert_close(two["weights"], one["weights"], **SAME)
    torch.testing.assert_close(two["results"], one["results"], **SAME)
    torch.testing.assert_close(other["weights"], two["weights"], rtol=0, atol=0)


@pytest.mark.slow
def test_images_are_augmented_and_mixed_as_one_batch_and_then_shared_out(found):
    shares = [process["two"]["seen"]["images"] for process in found]
    assert [len(share) for share in shares] == [4, 4]
    assert torch.equal(torch.cat(shares), found[0]["one"]["seen"]["images"])


@pytest.mark.slow
def test_dropout_differs_between_processes_and_follows_from_the_seed(found):
    first, second = (process["two"]["seen"]["seeds"] for process in found)
    assert first == found[0]["one"]["seen"]["seeds"] and len({*first, *second}) == len(first) + len(second)


@pytest.mark.slow
def test_a_gradient_of_one_process_counts_and_one_of_none_stays_none(found):
    for process in found:
        used, shared, unused = process["gradients"]
        assert used.tolist() == [1, 1] and shared.tolist() == [3, 3] and unused is None


@pytest.mark.slow
def test_decisions_are_the_same_everywhere(found):
    for process in found:
        assert process["greatest"] == (1, 0) and process["agreed"] == {"rank": 0}
        assert process["stopped"] == 3, "the second process asked for it"
    assert found[0]["budget"] == found[1]["budget"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux")
def test_no_thread_of_the_group_outlives_it(found):
    for process in found:
        assert process["threads"] and not [name for name in process["threads"] if "gloo" in name]


def test_alone_everything_is_as_it_was():
    images, outputs = torch.rand(3, 1, 2, 2), (torch.rand(3, 2), torch.rand(3, 2))
    with joined():
        assert (rank(), world_size()) == (0, 1)
        assert own_share(images) is images and own_part(images) is images and gathered(outputs, 3) is outputs
        assert greatest(0.1, True) == (0.1, True) and agreed(images) is images
        assert own_device(torch.device("cuda")) == torch.device("cuda")


@pytest.mark.parametrize(
    ("count", "world", "rows"), [(6, 2, [[0, 1, 2], [3, 4, 5]]), (5, 2, [[0, 1, 2], [3, 4, 0]]), (1, 3, [[0]] * 3)]
)
def test_rows_are_shared_out_evenly_and_filled_up_from_the_start(monkeypatch, count, world, rows):
    monkeypatch.setattr(distributed, "world_size", lambda: world)
    for number in range(world):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        assert own_rows(count).tolist() == rows[number]
        part = own_part(np.arange(count * 2).reshape(count, 1, 1, 2))
        assert part[:].tolist() == [[[[2 * row, 2 * row + 1]]] for row in rows[number]]


def test_each_process_has_the_gpu_of_its_number(monkeypatch):
    chosen = []
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1) and chosen == [torch.device("cuda", 1)]
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(UsageError, match=r"^`--nproc-per-node` \(=4\) needs as many GPUs; this machine has 2\.$"):
        own_device(torch.device("cuda"))
    with pytest.raises(UsageError, match="^`--device mps` serves one process; use --device cpu"):
        own_device(torch.device("mps"))


def test_a_process_that_is_gone_is_said_to_be(monkeypatch):
    def closed(*_):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", closed)
    with pytest.raises(TrainingError, match=r"^Another process .* has ended .* Continue the run with --resume\.$"):
        greatest(1.0)
