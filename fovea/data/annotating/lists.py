"""Labels of whole images in a CSV file: the manifest that `fovea label` writes and `fovea train` reads.

Rows and columns that were there before stay. Of several labels an empty cell says that none applies; where nothing is
known stands `nan`.
"""

import csv
import io
import os
from pathlib import Path
from typing import Any

from fovea.data.annotating.kinds import Kind, Size
from fovea.data.labelling import HINTS, LABEL, PATH, SPLIT, is_without_label, relative_path
from fovea.data.sources.manifests import header_of, read_cells
from fovea.errors import DataError, shortened
from fovea.files import is_file
from fovea.storage import file_stamp, in_turn, remove_temporary, write_atomically
from fovea.tasks.task import MISSING
from fovea.tasks.wording import PLAIN
from fovea.texts import composed

NOT_KNOWN = MISSING[0]


class ListedLabels:
    """The labels in a CSV file, by the absolute path of each image."""

    def __init__(self, file: Path, kind: Kind) -> None:
        """Read what is there. Raises: DataError for a file that is no such list."""
        self.file, self._several = file, kind.several
        self._header: list[str] = []
        self._rows: dict[str, dict[str, str]] = {}
        self._seen: tuple[int, int] | None = None
        self._read()

    @property
    def data(self) -> Path:
        """What a training reads."""
        return self.file

    @property
    def classes(self) -> tuple[str, ...]:
        """The names listed there."""
        self._read()
        found = map(self._said, self._rows)
        texts = (text for label in found if label is not None for text in (label if self._several else [label]))
        return tuple(dict.fromkeys(texts))

    @property
    def labelled(self) -> frozenset[str]:
        """The images that have a label."""
        self._read()
        return frozenset(image for image in self._rows if self._said(image) is not None)

    @property
    def without_label(self) -> int:
        """How many rows have none."""
        return len(self._rows) - len(self.labelled)

    def label(self, image: str, size: Size = (0, 0)) -> Any:
        """Return the label of an image, or None."""
        self._read()
        return self._said(image)

    def _said(self, image: str) -> Any:
        row = self._rows.get(image)
        if row is None or is_without_label(row, several=self._several):
            return None
        text = row[LABEL]
        return (
            [composed(name) for name in text.split(PLAIN.separator) if composed(name)]
            if self._several
            else composed(text)
        )

    def put(self, image: str, size: Size, label: Any, classes: tuple[str, ...]) -> None:
        """Keep a label of an image, or take it away where it is None, and write the file.

        Another process may keep labels in it meanwhile. Raises: StorageError; what was in the file is still there, and
        here.
        """
        with in_turn(self.file):
            self._put(image, label)

    def _put(self, image: str, label: Any) -> None:
        self._read()
        before = dict(self._rows)
        row = {name: text for name, text in self._rows.get(image, {}).items() if name not in HINTS}
        row.setdefault(PATH, relative_path(Path(image), self.file.parent))
        if SPLIT in self._header:
            row[SPLIT] = row.get(SPLIT) or "train"
        row[LABEL] = PLAIN.separator.join(label) if self._several and label is not None else label or ""
        if label is None and not any(text for name, text in row.items() if name not in (PATH, LABEL, SPLIT)):
            self._rows.pop(image, None)
        elif label is None:
            self._rows[image] = row | {LABEL: NOT_KNOWN if self._several else ""}
        else:
            self._rows[image] = row
        try:
            self._write()
        except BaseException:
            self._rows = before
            raise

    def _write(self) -> None:
        header = [*self._header, *(name for name in (PATH, LABEL) if name not in self._header)]
        with io.StringIO(newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header)
            for row in self._rows.values():
                known = {LABEL: NOT_KNOWN} if self._several and is_without_label(row, several=True) else {}
                writer.writerow([(row | known).get(name, "") for name in header])
            remove_temporary(self.file.parent, of=self.file.name)
            write_atomically(self.file, stream.getvalue().encode())
        self._header, self._seen = header, file_stamp(self.file)

    def _read(self) -> None:
        """Read the file where another page or program has changed it."""
        if (now := file_stamp(self.file)) == self._seen:
            return
        self._header, self._rows, self._seen = [], {}, now
        if not is_file(self.file):
            return
        self._header = header_of(self.file)
        for column in (PATH, LABEL):
            if column not in self._header:
                raise DataError(
                    f"`{self.file}` has no column `{column}`, so it is not a list of labels; give another file."
                )
        others = [name for name in self._header if name != PATH]
        for row in read_cells(self.file, others):
            image = os.path.abspath(row.file)
            if image in self._rows:
                raise DataError(
                    f"`{self.file}`, line {row.line}: `{shortened(row.path)}` is listed twice; keep one of the rows."
                )
            self._rows[image] = {PATH: row.path, **dict(zip(others, row.texts, strict=True))}
