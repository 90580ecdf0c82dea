"""A classifier from a few images a class, without training: what class means, a probe and neighbours are worth.

The features are those of a model file; the classes those of the data, which the network need not know. Of each class
so many training images are drawn, several times; accuracy is on the first images of the test part.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from experiments.harness import experiment, over_seeds, started
from fovea.data.sources.source import DataSource
from fovea.data.splits import take
from fovea.display import Display
from fovea.evaluation.embedded import embedded
from fovea.model.bundle import load
from fovea.model.embedding import embedder_of
from fovea.retrieval.scores import Embeddings, Labels, retrieval_scores
from fovea.training.probing import Moments, discriminants, nearest_means

Head = Callable[[Moments], tuple[torch.Tensor, torch.Tensor]]
TESTED = 1000
BATCH = 64


def main() -> None:
    """Embed, draw, and print a row per number of images."""
    parser = experiment(__doc__, images=8000, epochs=0, picture="", seeds=(0, 1, 2, 3, 4))
    parser.add_argument("model", help="a model file")
    parser.add_argument("data", help="the name of a data set with the parts train and test")
    parser.add_argument("--each", type=int, nargs="+", default=(1, 5, 20), help="images a class")
    given = started(parser)
    bundle, source = load(given.model), DataSource(data=given.data)
    dataset = source.find()
    known, asked = (
        embedded(
            type(dataset)(**{**vars(dataset), "parts": {part: take(dataset.parts[part], np.arange(count))}}),
            source,
            embedder_of(bundle),
            batch=BATCH,
            display=Display(),
            what=part,
        )
        for part, count in (("train", given.images), ("test", TESTED))
    )
    print("| images a class | class means | probe | nearest neighbour |\n|---|---|---|---|")
    for each in given.each:
        rows = [drawn(known.labels, each, seed) for seed in given.seeds]
        some = [(known.features[chosen], known.labels[chosen]) for chosen in rows]
        query = asked.features, asked.labels
        figures = (
            [fitted(nearest_means, *few, *query) for few in some],
            [fitted(discriminants, *few, *query) for few in some],
            [retrieval_scores(query, few, voters=1).vote.value for few in some],
        )
        print(f"| {each} | {' | '.join(map(over_seeds, figures))} |", flush=True)


def drawn(labels: Labels, each: int, seed: int) -> NDArray[np.int64]:
    """Return the rows (M,) int64 of `each` images of every class, at random."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)]
    return np.concatenate(chosen)


def fitted(head: Head, x: Embeddings, labels: Labels, asked: Embeddings, truth: Labels) -> float:
    """Return the accuracy on `asked` (M, D) float32 of a head in closed form for `x` (N, D) float32."""
    weight, bias = head(Moments.of(torch.from_numpy(x), one_hot(torch.from_numpy(labels))))
    outputs = torch.from_numpy(asked).double() @ weight.T + bias
    return float((outputs.argmax(1).numpy() == truth).mean())


if __name__ == "__main__":
    main()
