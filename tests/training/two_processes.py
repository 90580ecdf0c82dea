"""What `torchrun` runs for test_distributed.py: small trainings by all processes, then the same by the first one alone.

Each process writes what it saw to OUT/RANK.pt: torchrun --nproc-per-node 2 two_processes.py OUT
"""

import sys
from pathlib import Path

import torch
from conftest import SIZE, bright_halves, target_of
from torch import nn

from fovea.data.augment.recipes import compose
from fovea.preprocess import Preprocess
from fovea.training.distributed import agreed, greatest, joined, rank, sum_gradients
from fovea.training.engine import Trainer
from fovea.training.recipe import Recipe

MIXED = {"augment": ("flip", "shift 1", "mixup 0.4"), "class_weights": True, "label_smoothing": 0.1}
RECIPES = {
    "plain": {},
    "uneven": {"batch": 7},
    "fewer images than processes": {"batch": 1, "epochs": 1},
    "accumulated": {"batch": 5, "accumulate": 2, "clip": 0.5},
    "mixed": MIXED,
    "binary": {"loss": "binary", "class_weights": True},
    "head first": {"head_first": 0.5},
    "average": {"ema": 0.9, "optimiser": "muon", "lr": 0.02},
}


def net(outputs=2, *, norm=False):
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(8)] if norm else []
    layers = [nn.Conv2d(1, 8, 3, padding=1), *norms, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(32, outputs))


class Heads(nn.Module):
    """A network with an auxiliary head, and a layer that nothing comes from."""

    def __init__(self):
        super().__init__()
        self.body, self.auxiliary, self.unused = net(8), nn.Linear(8, 2), nn.Linear(8, 2)
        self.head = nn.Linear(8, 2)

    def forward(self, images):
        features = self.body(images)
        return self.head(features), self.auxiliary(features)


def make_trainer(model=None, *, val=None, train=None, **fields):
    recipe = Recipe(**{"epochs": 2, "batch": 8, "lr": 0.05, "schedule": "constant", "threads": 1, **fields})
    return Trainer(
        model or net(1 if recipe.loss == "binary" else 2),
        train or bright_halves(31),
        recipe,
        val=val,
        target=target_of(train or bright_halves(31), recipe),
        preprocess=Preprocess(size=(SIZE, SIZE), channels=1, mean=(0.4,), std=(0.2,)),
        augmentation=compose(recipe.augment, size=SIZE),
        device=torch.device("cpu"),
    )


def fit(trainer, *, stopped=lambda trainer: False):
    """Return the weights at the end and what the epochs came to, without their times."""
    results = []
    trainer.fit(
        on_step=lambda _: None,
        on_epoch=lambda _, result: results.append({**result.to_dict(), "elapsed_s": 0.0}),
        stopped=lambda: stopped(trainer),
    )
    return {"weights": trainer.evaluated_model.state_dict(), "results": results, "steps": trainer.clock.total_steps}


def seen(trainer):
    """Return what goes into the network in the first step, and the seeds of its dropout in all of them."""
    batches, seeds, seed_dropout = [], [], trainer.seed_dropout

    class Seen(type(trainer.loader.prepare)):
        def __call__(self, images):
            batches.append(images.clone())
            return super().__call__(images)

    trainer.loader.prepare = Seen(trainer.preprocess, trainer.device)
    trainer.seed_dropout = lambda seed: (seeds.append(seed), seed_dropout(seed))[1]
    fit(trainer)
    return {"images": batches[0], "seeds": seeds}


def by_shares(trainer):
    """Let a trainer that is alone normalise each half of a batch by itself; statistics are those of the first."""
    model, half = trainer.model, trainer.recipe.batch // 2

    def forward(images):
        outputs = model(images[:half])
        kept = [buffer.clone() for buffer in model.buffers()]
        outputs = torch.cat([outputs, model(images[half:])])
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.data.copy_(value)  # unseen by autograd, which needs them in evaluation only
        return outputs

    trainer.forward = forward
    return trainer


def trainings():
    """Yield the name of a training and its end, for one process as for two."""
    for name, fields in RECIPES.items():
        yield name, fit(make_trainer(**fields))
    yield "heads", fit(make_trainer(Heads(), weight_decay=0.1))
    for images in (1, 7):
        yield f"validated on {images}", fit(make_trainer(val=bright_halves(images, seed=1), test_flip=True))
    yield "seen", seen(make_trainer(**MIXED))


def together():
    """Return what only several processes can show."""
    used, shared, unused = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    shared.grad = torch.full((2,), 1.0 + rank())
    used.grad = None if rank() else torch.ones(2)
    sum_gradients([used, shared, unused])
    budget = make_trainer(epochs=0, budget_s=0.2)
    return {
        "gradients": [used.grad, shared.grad, unused.grad],
        "greatest": greatest(float(rank()), -float(rank())),
        "agreed": agreed({"rank": rank()}),
        "stopped": fit(make_trainer(), stopped=lambda t: rank() == 1 and t.clock.total_steps == 3)["steps"],
        "budget": (fit(budget)["steps"], budget.clock.elapsed_s),
    }


def main(out):
    normed = {"epochs": 3, "val": bright_halves(9, seed=1)}
    with joined():
        number, found = rank(), {"two": dict(trainings()), **together()}
        found["two"]["normed"] = fit(make_trainer(net(norm=True), **normed))
    found["threads"] = [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]
    if number == 0:
        found["one"] = {**dict(trainings()), "normed": fit(by_shares(make_trainer(net(norm=True), **normed)))}
    torch.save(found, Path(out) / f"{number}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
