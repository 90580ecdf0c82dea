"""`fovea evaluate --retrieval`: how good a network's embeddings are for search, on a split of a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from fovea import inputs
from fovea.data.dataset import BadFile
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.display import Display
from fovea.evaluation.embedded import embedded
from fovea.evaluation.parts import found_part
from fovea.model.bundle import Bundle, load
from fovea.model.embedding import embedder_of
from fovea.retrieval.neighbours import check_metric
from fovea.retrieval.scores import Measured, RetrievalScores, retrieval_scores
from fovea.texts import percent


@dataclass(frozen=True, kw_only=True)
class RetrievalResult:
    """How good a network's embeddings are for search, and on what."""

    data: str
    queries: str
    """The part that asks: `test`, ..., or `whole`."""
    searched: str
    """The part that is searched: `train`, or that of the queries, each of which asks for the others."""
    layer: str
    """What the embedding enters, or is given by."""
    dimensions: int
    scores: RetrievalScores
    notes: tuple[str, ...] = ()
    bad_files: tuple[BadFile, ...] = ()
    nouns: str = "images"

    def summary(self) -> list[str]:
        """Return lines for the terminal: what asked where, and the figures with their intervals."""
        found = self.scores
        asked, searched = ("" if name == "whole" else f" of {name}" for name in (self.queries, self.searched))
        alone = f"; {found.alone:,} have no other image of their class" if found.alone else ""
        among = f"{found.searched:,} {self.nouns}{searched}"
        where = (
            f", each searched among the {found.searched:,} others"
            if found.leave_one_out
            else f" searched among {among}"
        )
        rows = {f"Recall@{k}": measured for k, measured in found.recall.items()}
        rows |= {
            "Mean average precision": found.mean_average_precision,
            f"Vote of {found.voters}": found.vote,
            "Class means": found.class_mean,
        }
        return [
            f"{self.data}: {found.queries:,} {self.nouns}{asked}{where}{alone}",
            f"By {found.metric}, {self.dimensions} numbers at `{self.layer}`",
            *(f"{name:24}{_text(measured)}" for name, measured in rows.items()),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        own = {name: getattr(self, name) for name in ("data", "layer", "dimensions", "notes")}
        parts = {"queries_part": self.queries, "searched_part": self.searched}
        return {**own, **parts, **self.scores.to_dict(), "bad_files": [bad._asdict() for bad in self.bad_files]}


def _text(measured: Measured) -> str:
    low, high = measured.interval
    return f"{percent(measured.value, 2):>8}   95 % interval {100 * low:.2f} to {percent(high, 2)}"


@reads_data
def evaluate_retrieval(
    model: str | Path | Bundle,
    data: str | Path,
    *,
    split: str = "test",
    metric: str = "l2",
    voters: int = 10,
    layer: str | None = None,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 64,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> RetrievalResult:
    """Return how well images of one class are found by each other among what `model` makes of `data`.

    The images of `split` ask, and those of the training split are searched. Where there is none besides, each image
    asks for the others of its part. The classes of `data` need not be those of the model. `layer` names another
    place than what enters the last layer; `metric` is `l2` or `cosine`; `voters` neighbours vote on a class.

    Raises:
        BundleError: a model file that cannot be loaded.
        DataError: data that cannot be used.
        UsageError: an unknown `split`, `metric` or `layer`, or no two images of one class.
    """
    check_metric(metric)
    display = display or Display(quiet=True)
    bundle = model if isinstance(model, Bundle) else load(model, device=device)
    embedder = embedder_of(bundle, layer)
    given: Reading = {**reading, "input": reading.get("input") or bundle.preprocess.input}
    source = DataSource(data=data, allow_bad=allow_bad, **given)
    dataset = source.find(progress=display.fetched)
    asking = found_part(bundle, dataset, split=split, display=display, labelled=False)
    both = asking.name in ("val", "test") and "train" in dataset.parts
    parts = [asking]
    if both:
        parts += [found_part(bundle, dataset, split="train", display=display, labelled=False, shown=asking.notes)]
    found = [embedded(part.dataset, source, embedder, batch=batch, display=display, what=part.name) for part in parts]
    scores = retrieval_scores(
        *((each.features, each.labels) for each in found),
        metric=metric,
        voters=voters,
        progress=display.counter("searching"),
    )
    return RetrievalResult(
        data=dataset.name,
        queries=asking.name,
        searched=parts[-1].name,
        layer=embedder.layer,
        dimensions=found[0].features.shape[1],
        scores=scores,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        bad_files=tuple(bad for each in found for bad in each.decoded.bad_files),
        nouns=inputs.kind(dataset.input).nouns,
    )
