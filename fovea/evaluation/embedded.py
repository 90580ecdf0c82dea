"""All samples of a data set as a network sees them at one layer, beside their labels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.data.dataset import Dataset
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.model.embedding import Embedder
from fovea.tasks.task import Labels, Rows


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The samples of all parts of a data set, one part after the other."""

    decoded: Dataset
    """Its parts in the order of the rows, bad files left out."""
    features: NDArray[np.float32]
    """(N, D) float32."""
    labels: Labels
    """(N,) as the data set has them."""

    rows: Rows
    """(N, ...) outputs as the task of the network decodes them: of classes probabilities (N, classes)."""

    @property
    def places(self) -> list[tuple[str, str]]:
        """The part and the name of each sample."""
        return [(part, name) for part, samples in self.decoded.parts.items() for name in samples.names]


def embedded(
    dataset: Dataset, source: DataSource, embedder: Embedder, *, batch: int, display: Display, what: str = "images"
) -> Embedded:
    """Return the samples of a data set that is not decoded yet; `what` names them while it goes on.

    Raises:
        DataError: too many bad files, or a part without good ones.
        BundleError: an embedding that is not finite.
    """
    geometry = embedder.bundle.preprocess
    decoded = source.decode(dataset, geometry, progress=display.counter(f"decoding {what}"))
    parts, done, total = [], 0, sum(map(len, decoded.parts.values()))
    for samples in decoded.parts.values():

        def advance(images: int, _: int, before: int = done) -> None:
            display.advance(f"embedding {what}", before + images, total)

        parts.append(embedder(samples.decoded, batch=batch, progress=advance))
        done += len(samples)
    labels = np.concatenate([samples.labels for samples in decoded.parts.values()])
    return Embedded(
        decoded=decoded,
        features=np.concatenate([part.features.numpy() for part in parts]),
        rows=embedder.bundle.target.decode(torch.cat([part.outputs for part in parts])),
        labels=labels,
    )
