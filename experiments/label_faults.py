"""Are wrong labels found? Five percent are planted into real data, and `fovea check --model` is asked.

Each planted label is another class, any with the same probability. Images are ordered as the check orders them:
precision among the first hundred, recall among the first five percent, and of the list that the check prints how long
it is and how much of it was planted. Labels that were wrong before count as false alarms.

With `--model` the features are those of a model file, and the labels those of a part that it was not trained on.
Without, two small networks are trained alike: one on other images, and one on these with the wrong labels in place.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.harness import Data, experiment, load, over_seeds, started, trained
from experiments.labelling import network
from fovea.data.dataset import Part
from fovea.data.splits import take
from fovea.evaluation.label_faults import out_of_fold
from fovea.explanation.features.embedding import embed
from fovea.model.bundle import load as load_model
from fovea.model.embedding import embedder_of
from fovea.retrieval.confident import doubts
from fovea.training.inference import as_evaluated
from fovea.training.recipe import Recipe

SHARE = 0.05
FIRST = 100
CLASSES = 10


class Found(NamedTuple):
    """How well planted labels are found."""

    precision: float
    """Among the first hundred."""
    recall: float
    """Among as many images as were planted."""
    listed: int
    """How many labels the check says look wrong."""
    planted: float
    """The share of these that were planted."""


def main() -> None:
    """Plant, ask, and print a row per network."""
    parser = experiment(__doc__, images=5000, epochs=6, picture="", seeds=(0, 1, 2))
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--model", help="a model file that was not trained on the test part of the data")
    given = started(parser)
    print(f"| network | images | precision at {FIRST} | recall in the first 5 % | listed | of these planted |")
    print("|---|---|---|---|---|---|")
    if given.model:
        data = load(given.data, train=1, test=given.images)
        bundle = load_model(given.model)
        features = embedder_of(bundle)(data.test.decoded).features.numpy()
        row("not trained on these", len(data.test), [judged(features, data.test, seed)[0] for seed in given.seeds])
        return
    data = load(given.data, train=2 * given.images, test=1)
    here, there = (take(data.train, np.arange(first, first + given.images)) for first in (0, given.images))
    recipe = Recipe(epochs=given.epochs, batch=64, optimiser="adamw", lr=0.002, threads=1, precision="float32")
    for name, part in (("trained on others", there), ("trained on these, wrong ones too", here)):
        found = []
        for seed in given.seeds:
            learned = part if part is there else replace(here, labels=with_wrong(here.labels, seed)[0])
            found.append(judged(features_of(learned, here, data, recipe.replace(seed=seed)), here, seed)[0])
        row(name, len(here), found)


def features_of(learned: Part, asked: Part, data: Data, recipe: Recipe) -> NDArray[np.float32]:
    """Return what a network, trained on `learned`, makes of the images `asked`: (N, 64) float32."""
    model = trained(network, replace(data, train=learned), recipe)
    device = next(model.parameters()).device
    found: NDArray[np.float32] = embed(
        model, as_evaluated(asked, data.preprocess, device, rows=range(len(asked)), batch=256)
    ).features.numpy()
    return found


def with_wrong(labels: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels (N,) int64 of which `SHARE` are another class, and the rows that are."""
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(labels))[: round(SHARE * len(labels))]
    wrong = labels.copy()
    wrong[rows] = (wrong[rows] + generator.integers(1, CLASSES, len(rows))) % CLASSES
    return wrong, rows


def judged(features: NDArray[np.float32], part: Part, seed: int) -> tuple[Found, NDArray[np.int64]]:
    """Return how well labels planted into a part are found by its features (N, D) float32, and the order of doubt."""
    labels, rows = with_wrong(np.asarray(part.labels), seed)
    planted = np.isin(np.arange(len(labels)), rows)
    found = doubts(out_of_fold(features, labels), labels)
    order, listed = found.order(), found.faults(labels)
    figures = Found(
        precision=float(planted[order[:FIRST]].mean()),
        recall=float(planted[order[: len(rows)]].mean()),
        listed=len(listed),
        planted=float(planted[listed].mean()) if len(listed) else 0.0,
    )
    return figures, order


def row(name: str, images: int, found: list[Found]) -> None:
    """Print the means over seeds."""
    precision, recall, listed, planted = zip(*found, strict=True)
    counts = over_seeds(listed, digits=0, scale=1)
    cells = over_seeds(precision), over_seeds(recall), counts, over_seeds(planted)
    print(f"| {name} | {images:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
