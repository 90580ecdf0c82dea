"""What an index holds: an embedding for each image, what the image was, and which network, layer and input made it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.data.dataset import PARTS
from fovea.retrieval.neighbours import Floats, Neighbours, nearest
from fovea.tasks.task import Labels

MOST_PATTERNS, LONGEST_PATTERN = 1000, 1000
"""Patterns of dropped names that an index may have, and characters of one: each is compared with every name."""


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What made the embeddings: two that differ in it cannot be compared."""

    model_sha256: str
    """Of the model file, hexadecimal."""
    layer: str
    """The path of the layer in the network."""
    entering: bool
    """Whether the embedding is what enters the layer, not what it gives."""
    preprocess: Mapping[str, Any]
    """How an image becomes the input, as `Preprocessing.to_dict` gives it."""

    @property
    def where(self) -> str:
        """Where in the network the embedding is taken, in words."""
        return f"{'before' if self.entering else 'by'} {self.layer}"


class Look(NamedTuple):
    """What a file looks like from outside: whether it may have changed, without a look at its content."""

    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What is known of each of N images, beside its embedding; arrays and sequences have N entries."""

    names: Sequence[str]
    """POSIX paths relative to the data's folder, or numbers in an array."""
    parts: NDArray[np.uint8]
    """(N,) positions in `PARTS`."""
    labels: Labels
    """As the data set has them, (N,) int64, (N,) float32 or (N, L) float32; int64 of -1 where there are none."""
    digests: NDArray[np.uint8]
    """(N, 32): SHA-256 of the file, or of the stored sample."""
    looks: NDArray[np.int64]
    """(N, 2): the `Look` of each file; zeros where it is not a file."""

    def __len__(self) -> int:
        return len(self.names)

    def part(self, row: int) -> str:
        """Return the name of the part in which an image is."""
        return PARTS[int(self.parts[row])]

    def key(self, row: int) -> tuple[str, str]:
        """Return what tells an image from all others: its part and its name."""
        return self.part(row), self.names[row]


@dataclass(frozen=True, kw_only=True)
class Index:
    """Embeddings of images, which may lie in a file that is mapped and not read."""

    embeddings: Floats
    """(N, D) float32 or float16."""
    squares: NDArray[np.float32]
    """(N,): their squared norms."""
    rows: Rows
    maker: Maker
    metric: str
    """What neighbours are by where nothing else is asked for: `l2` or `cosine`."""
    task: str
    """The kind of the labels (`fovea.tasks`)."""
    classes: tuple[str, ...]
    """What the labels are indices into; empty if they are none."""
    data: str
    """What the data is called."""
    model_file: str
    """Where the model was: a path relative to the folder of the index where it lay below it, else its bare name."""
    data_place: str
    """Where the data was, likewise; the name of a published data set; nothing where it lay elsewhere."""
    complete: bool = True
    """False while some of the data is still to be embedded."""
    dropped: tuple[str, ...] = ()
    """Patterns of the names that are left out, whatever the data holds."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the file that this version does not know."""

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, queries: Floats, k: int, *, metric: str | None = None) -> Neighbours:
        """Return the `k` nearest images for each of `queries` (Q, D) float: rows, and distances."""
        return nearest(queries, self.embeddings, k, metric=metric or self.metric, squares=self.squares)

    def label_text(self, row: int) -> str:
        """Return the label of an image as text; nothing where the data has none."""
        return tasks.kind(self.task).text_of(self.rows.labels[row], self.classes) if self.labelled else ""

    @cached_property
    def labelled(self) -> bool:
        """Whether the data had labels."""
        labels = self.rows.labels
        return not (labels.ndim == 1 and labels.dtype == np.int64 and len(labels) > 0 and bool((labels < 0).all()))


def check_patterns(patterns: Sequence[str], fault: Callable[[str], Exception]) -> None:
    """Raise `fault` of a sentence where there are more patterns of dropped names than an index may have, or longer."""
    if len(patterns) > MOST_PATTERNS or any(len(pattern) > LONGEST_PATTERN for pattern in patterns):
        raise fault(
            f"{len(patterns):,} patterns to exclude; an index may have at most {MOST_PATTERNS:,}, of "
            f"{LONGEST_PATTERN:,} characters each. Use fewer patterns with `*`."
        )
