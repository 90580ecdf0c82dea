"""The list of images to label: a manifest with empty labels, filled in by a person and read by a training.

A list that exists is continued: rows with a label stay as they are, those without one are chosen anew.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fovea.data.sources.manifests import DEFAULT_COLUMNS, header_of, read_cells
from fovea.errors import DataError, readable
from fovea.files import is_file
from fovea.storage import write_atomically
from fovea.tasks.task import MISSING
from fovea.texts import in_cell

PATH, LABEL, SPLIT = DEFAULT_COLUMNS
HINTS = ("prediction", "probability", "doubt")
"""Columns beside path and label: what the network says, how probable that is to it, and why the image was chosen."""


class Proposal(NamedTuple):
    """An image that a person is asked to label."""

    file: Path
    prediction: str
    probability: float | None
    doubt: float


@dataclass(frozen=True, kw_only=True)
class LabelList:
    """A list of images with labels and without."""

    file: Path
    header: tuple[str, ...]
    labelled: tuple[tuple[str, ...], ...]
    """The rows that have a label, a cell for each of `header`."""
    known: frozenset[str]
    """The absolute paths of the images that have a label."""
    unlabelled: Mapping[str, tuple[str, ...]]
    """The rows without one, by the absolute path of their image."""

    def write(self, proposals: Iterable[Proposal], *, whole: bool = False) -> None:
        """Write the rows that have a label, and below them the proposals; where it is `whole` all others follow.

        Raises: StorageError if it cannot be written.
        """
        header = [*self.header, *(name for name in (PATH, LABEL, *HINTS) if name not in self.header)]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([*row, *[""] * (len(header) - len(row))] for row in self.labelled)
        rest = dict(self.unlabelled) if whole else {}
        for proposal in proposals:
            own = self._own(rest.pop(os.path.abspath(proposal.file), None))
            cells = {**self._cells(proposal), **own}
            writer.writerow([cells.get(name, "") for name in header])
        for row in rest.values():
            own = self._own(row)
            writer.writerow([own.get(name, "") for name in header])
        write_atomically(self.file, text.getvalue().encode())

    def _own(self, row: tuple[str, ...] | None) -> dict[str, str]:
        """Return what a row says by itself: not the hints, which were given by another model."""
        cells = {} if row is None else dict(zip(self.header, row, strict=True))
        return {name: text for name, text in cells.items() if name not in HINTS and text}

    def _cells(self, proposal: Proposal) -> dict[str, object]:
        shown = "" if proposal.probability is None else f"{proposal.probability:.4f}"
        found = {
            PATH: relative_path(proposal.file, self.file.parent),
            "prediction": in_cell(proposal.prediction),
            "probability": shown,
            "doubt": f"{proposal.doubt:.6g}",
        }
        return {**found, SPLIT: "train"} if SPLIT in self.header else dict(found)


def label_list(file: Path) -> LabelList:
    """Return the list in a CSV file, or an empty one where there is none.

    Raises: DataError for a file that is no such list.
    """
    if not is_file(file):
        return LabelList(file=file, header=(), labelled=(), known=frozenset(), unlabelled={})
    header = header_of(file)
    for column in (PATH, LABEL):
        if column not in header:
            raise DataError(
                f"`{file}` exists but has no column `{column}`, so it is not a list of labels; give another file."
            )
    others = [name for name in header if name != PATH]
    labelled, known, unlabelled = [], set[str](), dict[str, tuple[str, ...]]()
    for row in read_cells(file, others):
        cells = dict(zip(others, row.texts, strict=True)) | {PATH: row.path}
        written = tuple(cells[name] for name in header)
        if not is_without_label(cells):
            labelled.append(written)
            # a path is taken as it is written, and as a manifest is read, where all lie in a folder beside it
            known |= {os.path.abspath(file.parent / row.path), os.path.abspath(row.file)}
        else:
            unlabelled[os.path.abspath(row.file)] = written
    return LabelList(
        file=file, header=tuple(header), labelled=tuple(labelled), known=frozenset(known), unlabelled=unlabelled
    )


def is_without_label(cells: Mapping[str, str], *, several: bool = False) -> bool:
    """Tell whether a row has no label: nothing, or what programs write where they have no value.

    Where an image may have `several` an empty cell is a label, that none applies, unless the row asks for one.
    """
    text = cells[LABEL]
    return (not text and not (several and not cells.get("doubt"))) or text.lower() in MISSING


def relative_path(file: Path, folder: Path) -> str:
    """Return the POSIX path of a file as seen from a folder, in a form that no spreadsheet computes."""
    path = Path(os.path.relpath(os.path.abspath(file), os.path.abspath(folder))).as_posix()
    return path if in_cell(path) == path else f"./{path}"


def can_be_listed(files: Sequence[Path]) -> list[bool]:
    """Return of each file whether its name is text, which a list in UTF-8 can hold."""
    return [str(file) == readable(str(file)) for file in files]
