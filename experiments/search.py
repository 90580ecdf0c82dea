"""A small architecture search: regularised evolution against random search, with the latency timed on this machine.

Lecture 001: "neural architecture search can now automate architecture design". Real et al. 2018, arXiv:1802.01548,
Algorithm 1: a population in which the best of a random sample is copied with one change, and the oldest dies. Tan et
al. 2018, arXiv:1807.11626, equation 2: a network is worth its accuracy times (latency / bound)^w, here with w = 0 up to
the bound and -1 beyond.

Searched are pattern strings (`fovea/zoo/pattern.py`): up to four stages of one to three 3x3 convolutions with ReLU,
each with a width and pooling behind it, and perhaps a hidden dense layer. What judges a network is a cheap proxy: a
short training on images of Fashion-MNIST, and as many others of the training part to judge by. Only the networks that
the searches return are then trained for longer and judged on the test part. Latencies are timed, so that two runs
differ.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, first, load, over_seeds, probabilities, started, trained
from fovea import registry, zoo  # noqa: F401 (registers the networks)
from fovea.data.dataset import Part
from fovea.measurement.latency import time_forward
from fovea.training.recipe import Recipe

SIZE, MOST_STAGES, MOST_CONVOLUTIONS = 28, 4, 3
WIDTHS, HIDDEN = (4, 8, 12, 16, 24, 32), (0, 32, 64)  # channels of a stage; units of the hidden layer, 0 for none
POPULATION, SAMPLE = 8, 3
TIMING_S = 0.1
LONGER = 2  # times the images and the epochs of the proxy, for the networks found

Rng = np.random.Generator


@dataclass(frozen=True)
class Genome:
    """A network as what may change: of each stage its convolutions and width, and the hidden layer's units."""

    stages: tuple[tuple[int, int], ...]
    hidden: int

    @property
    def pattern(self) -> str:
        """The letters, as `CRCRP CRP FRF`."""
        stages = ["CR" * convolutions + "P" for convolutions, _ in self.stages]
        return " ".join([*stages, "FRF" if self.hidden else "F"])

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the stages and of the hidden layer."""
        return (*(width for _, width in self.stages), *([self.hidden] if self.hidden else []))

    def __str__(self) -> str:
        return f"{self.pattern} ({', '.join(map(str, self.widths))})"


@dataclass(frozen=True)
class Judged:
    """What the proxy says of a network."""

    genome: Genome
    accuracy: float
    latency_s: float
    """A tenth of the passes of one image took at most this: other work on the machine makes them longer."""
    objective: float


Judge = Callable[[Genome], Judged]


def _stage(rng: Rng) -> tuple[int, int]:
    return int(rng.integers(1, MOST_CONVOLUTIONS + 1)), int(rng.choice(WIDTHS))


def drawn(rng: Rng) -> Genome:
    """Return a network by chance."""
    stages = tuple(_stage(rng) for _ in range(rng.integers(1, MOST_STAGES + 1)))
    return Genome(stages, int(rng.choice(HIDDEN)))


def mutated(genome: Genome, rng: Rng) -> Genome:
    """Return a network that differs in one thing: a stage more, less or other, or the hidden layer."""
    kinds = ["other stage", "hidden"]
    kinds += ["more"] * (len(genome.stages) < MOST_STAGES) + ["less"] * (len(genome.stages) > 1)
    kind, stages = rng.choice(kinds), list(genome.stages)
    if kind == "hidden":
        return replace(genome, hidden=int(rng.choice([units for units in HIDDEN if units != genome.hidden])))
    if kind == "more":
        stages.insert(int(rng.integers(len(stages) + 1)), _stage(rng))
    elif kind == "less":
        stages.pop(int(rng.integers(len(stages))))
    else:
        at = int(rng.integers(len(stages)))
        convolutions, width = stages[at]
        changed = _stage(rng)
        stages[at] = (changed[0], width) if rng.random() < 0.5 else (convolutions, changed[1])
    return replace(genome, stages=tuple(stages))


def random_search(judge: Judge, rng: Rng, *, budget: int) -> list[Judged]:
    """Return what was judged, in its order."""
    return [judge(drawn(rng)) for _ in range(budget)]


def evolution(judge: Judge, rng: Rng, *, budget: int) -> list[Judged]:
    """Return what was judged, in its order: Real et al. 2018, Algorithm 1; the first population is drawn by chance."""
    history = [judge(drawn(rng)) for _ in range(min(POPULATION, budget))]
    population = deque(history)
    while len(history) < budget:
        sample = [population[i] for i in rng.integers(len(population), size=SAMPLE)]
        parent = max(sample, key=lambda each: each.objective)
        history.append(judge(mutated(parent.genome, rng)))
        population.append(history[-1])
        population.popleft()
    return history


SEARCHES = {"random search": random_search, "regularised evolution": evolution}


def network(genome: Genome) -> nn.Module:
    return registry.build("pattern", c_in=1, size=SIZE, pattern=genome.pattern, widths=genome.widths)


def judge_by(data: Data, recipe: Recipe, *, bound_s: float) -> Judge:
    """Return what judges a network on `data.test`; one that has been judged is remembered, and costs nothing."""
    known: dict[Genome, Judged] = {}

    def judge(genome: Genome) -> Judged:
        if genome not in known:
            model = trained(lambda: network(genome), data, recipe)
            right = accuracy(probabilities(model, data.test, data.preprocess), data.test)
            latency_s = time_forward(model, (1, SIZE, SIZE), macs=None, seconds=TIMING_S).p10_s
            known[genome] = Judged(genome, right, latency_s, right * min(1.0, bound_s / latency_s))
        return known[genome]

    return judge


def proxy(data: Data, images: int) -> Data:
    """Return the first training images to train on, and the following ones of the training part to judge by."""
    rest = Part(labels=data.train.labels[images:], names=data.train.names[images:], pixels=data.train.decoded[images:])
    return replace(data, train=first(data.train, images), test=first(rest, images))


def best_so_far(history: Sequence[Judged]) -> list[float]:
    return list(np.maximum.accumulate([each.objective for each in history]))


def run(judge: Judge, *, seeds: Sequence[int], budget: int) -> dict[str, list[list[Judged]]]:
    """Return what every search has judged, of each seed; the two begin with the same networks."""
    found: dict[str, list[list[Judged]]] = {}
    for name, search in SEARCHES.items():
        found[name] = [search(judge, np.random.default_rng(seed), budget=budget) for seed in seeds]
        rounded = [[round(value, 4) for value in best_so_far(history)] for history in found[name]]
        print(json.dumps({name: rounded}), flush=True)
    return found


def print_best(found: dict[str, list[list[Judged]]], test: Callable[[Genome], float], seeds: Sequence[int]) -> None:
    """Print the network that each search returns, with its accuracy after the longer training."""
    print("| search | seed | network | latency, ms | objective | proxy accuracy, % | test accuracy, % |")
    print("|---|---|---|---|---|---|---|")
    for name, histories in found.items():
        objectives, accuracies = [], []
        for seed, history in zip(seeds, histories, strict=True):
            best = max(history, key=lambda each: each.objective)
            objectives.append(best.objective)
            accuracies.append(test(best.genome))
            figures = f"{1e3 * best.latency_s:.2f} | {100 * best.objective:.1f} | {100 * best.accuracy:.1f}"
            print(f"| {name} | {seed} | {best.genome} | {figures} | {100 * accuracies[-1]:.1f} |", flush=True)
        print(f"| {name} | mean | | | {over_seeds(objectives)} | | {over_seeds(accuracies)} |")


def draw(found: dict[str, list[list[Judged]]], out: Path, *, bound_s: float) -> None:
    """Draw the best so far of each seed (thin) and their mean, and all networks by latency and accuracy."""
    figure, (progress, networks) = axes(2, width=4.8)
    for colour, (name, histories) in zip(COLOURS, found.items(), strict=False):
        curves = 100 * np.array([best_so_far(history) for history in histories])
        steps = np.arange(1, curves.shape[1] + 1)
        progress.plot(steps, curves.T, color=colour, lw=0.7, alpha=0.5)
        progress.plot(steps, curves.mean(axis=0), color=colour, lw=2, label=name)
        judged = {each for history in histories for each in history}
        at = sorted((1e3 * each.latency_s, 100 * each.accuracy) for each in judged)
        networks.plot(*zip(*at, strict=True), color=colour, marker=".", ls="", alpha=0.6, label=name)
    networks.axvline(1e3 * bound_s, color="black", lw=0.8, ls=":")
    progress.set(xlabel="networks judged", ylabel="best objective so far, %")
    networks.set(xlabel="latency in ms", ylabel="accuracy in %, held-out training images")
    progress.legend(frameon=False, fontsize=8, loc="lower right")
    save(figure, out)


def main() -> None:
    parser = experiment(__doc__, images=500, epochs=4, seeds=(0, 1, 2), picture="search.png")
    parser.add_argument("--budget", type=int, default=20, help="networks that a search judges")
    parser.add_argument("--bound", type=float, default=0.4, help="of the latency, in ms")
    given = started(parser, budget=12)
    recipe = Recipe(epochs=given.epochs, batch=16, lr=0.02, clip=1.0, keep_best=False, threads=1)
    every = load("fashion-mnist", train=LONGER * given.images, test=LONGER * given.images)
    print(f"proxy: {given.images:,} images, {given.epochs} epochs; {given.budget} networks, at most {given.bound} ms")
    judge = judge_by(proxy(every, given.images), recipe, bound_s=given.bound / 1e3)
    found = run(judge, seeds=given.seeds, budget=given.budget)

    def test(genome: Genome) -> float:
        model = trained(lambda: network(genome), every, recipe.replace(epochs=LONGER * given.epochs))
        return accuracy(probabilities(model, every.test, every.preprocess), every.test)

    print_best(found, test, given.seeds)
    draw(found, given.out, bound_s=given.bound / 1e3)


if __name__ == "__main__":
    main()
