"""Checkpoints: a training that goes on from one ends in the same weights, and a foreign file is refused."""

import json
import math

import pytest
import torch
from torch import nn

from fovea.errors import BundleError, StorageError
from fovea.tasks.score import Score
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.recipe import OPTIMISERS


def tensors(trainer):
    return {
        **trainer.model.state_dict(),
        **({f"average.{k}": v for k, v in trainer.average.model.state_dict().items()} if trainer.average else {}),
    }


def same_state(one, other):
    assert tensors(one).keys() == tensors(other).keys()
    different = [name for name, tensor in tensors(one).items() if not torch.equal(tensor, tensors(other)[name])]
    assert not different
    assert {**vars(one.clock), "elapsed_s": 0} == {**vars(other.clock), "elapsed_s": 0}


RECIPES = [
    *({"optimiser": name, "lr": 0.01} for name in OPTIMISERS),
    {"ema": 0.9, "clip": 1.0},
    {"precision": "bfloat16", "optimiser": "muon"},
    {"momentum": 0.0, "balanced": True},
    {"accumulate": 2, "batch": 4, "augment": ("flip", "shift 2")},
    {"augment": ("trivial", "pca 0.1", "mixup 0.2", "cutmix 1")},
]


@pytest.mark.parametrize("fields", RECIPES, ids=str)
def test_a_training_from_a_checkpoint_repeats_the_other_to_the_bit(tmp_path, make_trainer, fit, fields):
    whole, first = make_trainer(**fields), make_trainer(**fields)
    fit(whole)
    fit(first, steps=6)
    save_checkpoint(tmp_path / "last.safetensors", first)
    resumed = make_trainer(**{**fields, "seed": 0})
    load_checkpoint(tmp_path / "last.safetensors", resumed)
    same_state(first, resumed)
    fit(resumed)
    same_state(whole, resumed)


def test_channels_last_weights_keep_their_layout(tmp_path, make_trainer, fit):
    trainers = [make_trainer(model=nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 4, 3), *head())) for _ in range(2)]
    fit(trainers[0], steps=2)
    save_checkpoint(tmp_path / "last.safetensors", trainers[0])
    load_checkpoint(tmp_path / "last.safetensors", trainers[1])
    for trainer in trainers:
        weight = trainer.model[1].weight
        for tensor in (weight, trainer.optimisers[0].state[weight]["momentum_buffer"]):
            assert tensor.is_contiguous(memory_format=torch.channels_last)
    same_state(*trainers)


def head():
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)


def test_the_best_result_and_the_plateau_are_kept(tmp_path, make_trainer, images):
    path = tmp_path / "last.safetensors"
    first, second = (make_trainer(schedule="plateau", val=images(8)) for _ in range(2))
    first.clock.best, first.clock.best_epoch = Score(0.25, 0.75), 4
    first.plateau.observe(0.5)
    save_checkpoint(path, first)
    load_checkpoint(path, second)
    assert (second.clock.best, second.clock.best_epoch, second.plateau) == (Score(0.25, 0.75), 4, first.plateau)
    assert math.isnan(second.clock.first_loss)


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten())
        self.one = nn.Linear(2, 2)
        self.two = nn.Linear(2, 2)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(self.body(x)))


def test_shared_weights_stay_shared(tmp_path, make_trainer, fit):
    first, second = make_trainer(model=Tied()), make_trainer(model=Tied())
    fit(first)
    save_checkpoint(tmp_path / "last.safetensors", first)
    load_checkpoint(tmp_path / "last.safetensors", second)
    same_state(first, second)
    assert second.model.two.weight is second.model.one.weight


def test_a_checkpoint_holds_no_pickle(tmp_path, make_trainer):
    save_checkpoint(tmp_path / "last.safetensors", make_trainer())
    content = (tmp_path / "last.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["fovea-checkpoint"])["clock"]["total_steps"] == 0


def truncated(path, _):
    path.write_bytes(path.read_bytes()[:-10])


def foreign(path, _):
    path.write_bytes(b"no safetensors at all")


def absent(path, _):
    path.unlink()


def of_another_network(path, make_trainer):
    save_checkpoint(path, make_trainer(model=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))))


def of_another_optimiser(path, make_trainer):
    trainer = make_trainer(optimiser="muon")
    trainer.train_step(next(trainer.batches()))
    save_checkpoint(path, trainer)


@pytest.mark.parametrize("spoil", [truncated, foreign, absent, of_another_network, of_another_optimiser])
def test_a_file_that_is_no_checkpoint_of_this_run_is_refused(tmp_path, make_trainer, spoil):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, make_trainer())
    spoil(path, make_trainer)
    with pytest.raises(
        BundleError, match=r"^`last.safetensors` is not a checkpoint of this run: .*\. Start a new run "
    ):
        load_checkpoint(path, make_trainer())


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, make_trainer, fit, monkeypatch):
    path = tmp_path / "last.safetensors"
    trainer = make_trainer()
    save_checkpoint(path, trainer)
    before = path.read_bytes()
    fit(trainer, steps=1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_checkpoint(path, trainer)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("fields", RECIPES, ids=str)
def test_a_training_on_cuda_goes_on_from_its_checkpoint(tmp_path, make_trainer, fit, fields):
    whole, first, resumed = (make_trainer(**fields, device="cuda") for _ in range(3))
    fit(whole)
    fit(first, steps=6)
    save_checkpoint(tmp_path / "last.safetensors", first)
    load_checkpoint(tmp_path / "last.safetensors", resumed)
    same_state(first, resumed)
    fit(resumed)
    for name, tensor in tensors(whole).items():
        torch.testing.assert_close(tensor, tensors(resumed)[name], rtol=1e-2, atol=1e-2)
