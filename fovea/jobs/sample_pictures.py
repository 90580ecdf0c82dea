"""Pictures of samples that an index or a list names: read from their data when a page wants them."""

from pathlib import Path

import numpy as np

from fovea import inputs
from fovea.data.dataset import Dataset
from fovea.data.sources.source import NAMES, DataSource
from fovea.data.sources.unlabelled import find_with_or_without_labels
from fovea.display import Display
from fovea.errors import DataError, ImageError
from fovea.files import is_file
from fovea.inputs.interface import Preprocessing, Stored
from fovea.preprocess import Pixels, decode
from fovea.report.page import THUMBNAIL
from fovea.retrieval.index_file import safe_place


class SamplePictures:
    """The pictures (H, W, 1 or 3) uint8 of data, by part and name."""

    def __init__(self, source: DataSource, preprocess: Preprocessing, *, display: Display) -> None:
        """Take where the data is; it is looked through when a sample is not simply a file of that name."""
        self._source, self._preprocess, self._display = source, preprocess, display
        named = isinstance(source.data, str) and source.data in NAMES
        self._folder = None if named or not source.path.is_dir() else source.path
        self._dataset: Dataset | None = None
        self._rows: dict[tuple[str, str], int] = {}

    def __call__(self, part: str, name: str) -> Pixels | None:
        """Return a sample as a picture; None if it is gone, or cannot be read."""
        try:
            if self._folder is not None and safe_place(name) and is_file(self._folder / name):
                return picture_of(self._folder / name, self._preprocess)
            source = self._of_data(part, name)
            return None if source is None else picture_of(source, self._preprocess)
        except ImageError:
            return None

    def _of_data(self, part: str, name: str) -> Path | Stored | None:
        if self._dataset is None:
            self._dataset = self._found()
            self._rows = {(p, n): row for p, own in self._dataset.parts.items() for row, n in enumerate(own.names)}
        if (row := self._rows.get((part, name))) is None:
            return None
        own = self._dataset.parts[part]
        return own.files[row] if own.files is not None else np.asarray(own.decoded[row])

    def _found(self) -> Dataset:
        dataset, _ = find_with_or_without_labels(self._source, progress=self._display.fetched)
        if dataset.input != self._preprocess.input:
            raise DataError(f"`{self._source.data}` is not the data of this index; give the data with `--data`.")
        return dataset


def picture_of(source: Path | Stored, preprocess: Preprocessing) -> Pixels:
    """Return a sample in a file, or its values, as a picture (H, W, 1 or 3) uint8.

    Raises: ImageError if it cannot be read.
    """
    kind = inputs.kind_of(preprocess)
    if not kind.pictures:
        return kind.thumbnail(preprocess.read(source))
    return decode(source, channels=3, at_least=(THUMBNAIL, THUMBNAIL)) if isinstance(source, Path) else source
