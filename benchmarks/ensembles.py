"""What several networks are worth to one: an ensemble, bagged or not, `distil` from it, and `soup`, and a control each.

Small networks on some images of Fashion-MNIST, several seeds. Members of an ensemble begin from random weights of
their own; those that are bagged draw their images with replacement. A small student is trained on labels alone, then
further: on labels (`finetune`), or by what one network, an ensemble, or a bagged one says (`distil`). Members of a soup
are trained further from the first network, each by another seed; the greedy soup is chosen on validation images, where
the best member is chosen, too. All figures are of the test part, which nothing is chosen on.

    python -m benchmarks.ensembles
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, started, trained
from fovea import registry, zoo  # noqa: F401 (registers the networks)
from fovea.compression.refit import Refit, refit_recipe
from fovea.compression.soups import greedy_soup, uniform_soup
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Part
from fovea.data.splits import take
from fovea.layers import copied
from fovea.training.inference import as_evaluated
from fovea.training.recipe import Recipe

PATTERN = "CRP CRP CRP F"
LARGE, SMALL = (16, 32, 64), (4, 8, 16)
CHOSEN_ON, TESTED = 2000, 5000
"""Validation images, which come behind those that are trained on, and test images."""
STATISTICS = 2048

Teacher = Callable[[Tensor], Tensor]


class Run(NamedTuple):
    """One seed."""

    data: Data
    val: Part
    recipe: Recipe
    members: int
    student_epochs: int
    """For which a student is trained further."""

    def network(self, widths: Sequence[int], **changes: object) -> nn.Module:
        """Return a network trained from random weights."""
        build = partial(registry.build, "pattern", classes=10, pattern=PATTERN, widths=widths, c_in=1, size=28)
        return trained(build, self.data, self.recipe.replace(**changes))

    def further(self, model: nn.Module, *, seed: int, epochs: int, teacher: Teacher | None = None) -> nn.Module:
        """Return a copy that was trained for so many epochs more, as `finetune` and `distil` do."""
        model = copied(model)
        recipe = refit_recipe(self.recipe, seed=seed)
        refit = Refit(
            train=self.data.train,
            recipe=recipe,
            target=self.data.target,
            preprocess=self.data.preprocess,
            augmentation=compose(recipe.augment, size=self.data.preprocess.size[0], without=()),
            device=torch.device("cpu"),
        )
        refit(model, epochs=epochs, teacher=teacher)
        return model

    def score(self, model: nn.Module, part: Part | None = None) -> float:
        """Return the accuracy of a network, on the test part unless told."""
        part = part or self.data.test
        return accuracy(probabilities(model, part, self.data.preprocess), part)

    def worth(self, models: Sequence[nn.Module]) -> tuple[float, float]:
        """Return the mean accuracy of several networks, and that of the mean of their probabilities."""
        found = [probabilities(model, self.data.test, self.data.preprocess) for model in models]
        alone = np.mean([accuracy(each, self.data.test) for each in found])
        return float(alone), accuracy(np.mean(found, axis=0), self.data.test)

    def batches(self) -> list[Tensor]:
        """Return training images as networks are evaluated on them."""
        rows = range(min(STATISTICS, len(self.data.train)))
        return list(as_evaluated(self.data.train, self.data.preprocess, torch.device("cpu"), rows=rows, batch=256))


def saying(models: Sequence[nn.Module]) -> Teacher:
    """Return what gives the mean of the logits of several networks, as `--teacher A,B` does."""
    return lambda inputs: torch.stack([model(inputs) for model in models]).mean(0)


def ensembles(run: Run, seed: int) -> tuple[dict[str, float], list[nn.Module], list[nn.Module]]:
    """Return what ensembles are worth, their members, and those that are bagged."""
    seeds = [100 * seed + number for number in range(run.members)]
    plain, bagged = ([run.network(LARGE, seed=one, resample=draws) for one in seeds] for draws in (False, True))
    (one, several), (one_bagged, several_bagged) = run.worth(plain), run.worth(bagged)
    figures = {
        "one network, the mean of the members": one,
        f"ensemble of {run.members}": several,
        "one bagged network, the mean of the members": one_bagged,
        f"bagged ensemble of {run.members}": several_bagged,
    }
    return figures, plain, bagged


def students(run: Run, seed: int, plain: Sequence[nn.Module], bagged: Sequence[nn.Module]) -> dict[str, float]:
    """Return what a small network learns from labels, and from others."""
    student = run.network(SMALL, seed=100 * seed + 50)
    teachers: dict[str, Teacher | None] = {
        "finetune": None,
        "distil from one": saying(plain[:1]),
        "distil from the ensemble": saying(plain),
        "distil from the bagged one": saying(bagged),
    }
    figures = {"student, a quarter as wide": run.score(student)}
    for name, teacher in teachers.items():
        figures[f"student, {name}"] = run.score(
            run.further(student, seed=seed, epochs=run.student_epochs, teacher=teacher)
        )
    return figures


def soups(run: Run, seed: int, first: nn.Module) -> dict[str, float]:
    """Return what means of weights are worth beside the networks that they are of."""
    epochs = run.recipe.epochs
    models = [run.further(first, seed=100 * seed + 60 + number, epochs=epochs) for number in range(run.members)]
    on_val = partial(run.score, part=run.val)
    greedy, _ = greedy_soup(models, on_val, batches=run.batches)
    alone, together = run.worth(models)
    return {
        "trained further, the mean of the members": alone,
        "trained further, the best on validation": run.score(max(models, key=on_val)),
        "soup, uniform": run.score(uniform_soup(models, batches=run.batches)),
        "soup, greedy": run.score(greedy),
        "their ensemble": together,
    }


def main() -> None:
    """Train, and print a row for each way."""
    parser = experiment(__doc__, images=4000, epochs=6, picture="", seeds=(0, 1, 2))
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--student-epochs", type=int, default=24, help="for which a student is trained further")
    parser.add_argument("--data", default="fashion-mnist")
    given = started(parser, members=2, student_epochs=2)
    whole = load(given.data, train=given.images + CHOSEN_ON, test=TESTED)
    val = take(whole.train, np.arange(given.images, len(whole.train)))
    data = replace(whole, train=take(whole.train, np.arange(given.images)))
    recipe = Recipe(epochs=given.epochs, batch=64, optimiser="adamw", lr=0.003, threads=1, precision="float32")
    found: list[dict[str, float]] = []
    for seed in given.seeds:
        run = Run(data, val, recipe, given.members, given.student_epochs)
        figures, plain, bagged = ensembles(run, seed)
        found.append(figures | students(run, seed, plain, bagged) | soups(run, seed, plain[0]))
        print(f"seed {seed}: {json.dumps({name: round(value, 4) for name, value in found[-1].items()})}", flush=True)
    print(f"{given.images:,} images of {given.data}, {given.epochs} epochs, accuracy on {TESTED:,} test images in %")
    print("| networks | accuracy |\n|---|---|")
    for name in found[0]:
        print(f"| {name} | {over_seeds([figures[name] for figures in found])} |", flush=True)


if __name__ == "__main__":
    main()
