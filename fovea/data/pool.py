"""Where the samples are that a person is asked to label: below a folder, in an archive, or listed in a manifest."""

import filecmp
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fovea import inputs
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.archives import Progress, stem, unpack
from fovea.data.sources.manifests import DEFAULT_COLUMNS, Columns, load_listed
from fovea.data.sources.source import NAMES, is_archive
from fovea.data.sources.unlabelled import load_unlabelled, without_labels
from fovea.data.splits import take
from fovea.errors import DataError, StorageError, UsageError
from fovea.files import irregular, open_regular
from fovea.storage import make_folder, remove_temporary, write_atomically

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Samples without labels, each a file or a folder."""

    dataset: Dataset
    """One part, `train`."""
    labelled: frozenset[str] = frozenset()
    """The names of those that have a label already."""
    copies: Path | None = None
    """The folder for copies of what lies in the cache, which may be emptied; None of files that stay."""

    @property
    def part(self) -> Part:
        """The samples."""
        return self.dataset.parts["train"]

    @property
    def files(self) -> list[Path]:
        """Where each sample is to be found by whoever reads the list."""
        if self.copies is None:
            return list(self.part.files or ())
        return [self.copies / name for name in self.part.names]

    def only(self, rows: Sequence[int]) -> "Pool":
        """Return the pool of some of its samples."""
        return replace(self, dataset=replace(self.dataset, parts={"train": take(self.part, list(rows))}))

    def bring(self, names: Sequence[str]) -> None:
        """Copy these samples to where the list says they are, where that is not where they lie.

        Raises: StorageError if something else is there, or nothing can be written.
        """
        if self.copies is None:
            return
        of_name = dict(zip(self.part.names, self.part.files or (), strict=True))
        for name in names:
            _copy(of_name[name], self.copies / name)


def find_pool(
    data: str | Path,
    *,
    copies: Path,
    input: str,
    columns: Columns = DEFAULT_COLUMNS,
    progress: Progress | None = None,
) -> Pool:
    """Return the samples that `data` holds: a folder of any depth, a zip or tar archive of one, or a CSV manifest.

    `input` is the kind of the samples; `copies` the folder for those of an archive. Columns are those of a manifest,
    where that of labels may be empty, or missing.

    Raises:
        UsageError: data of another form, whose samples are no files of their own or have labels.
        DataError: data without samples.
    """
    path = Path(data).expanduser()
    if isinstance(data, str) and data in NAMES:
        raise UsageError(f"`{data}` already has a label for every image; give {FORMS}.")
    if path.is_dir():
        return _of_files(Pool(dataset=load_unlabelled(path, input=input)), data)
    if path.is_file() and path.suffix.lower() == ".csv":
        dataset, labelled = load_listed(path, columns=columns, input=input)
        return _of_files(Pool(dataset=without_labels(dataset), labelled=labelled), data)
    if is_archive(path):
        dataset = replace(_unpacked(path, input, progress), name=stem(path))
        return Pool(dataset=dataset, copies=copies)
    kind = irregular(path) or ("of another form" if path.exists() else "not there")
    raise UsageError(f"`{data}` is {kind}; expected {FORMS}.")


FORMS = "a folder of files, a zip or tar archive of one, or a CSV manifest of paths"


def _of_files(pool: Pool, data: str | Path) -> Pool:
    if pool.part.files is None:
        nouns = inputs.kind(pool.dataset.input).nouns
        raise UsageError(f"The {nouns} of `{data}` are not separate files and cannot be listed.")
    return pool


def _unpacked(path: Path, input: str, progress: Progress | None) -> Dataset:
    folder = unpack(path, progress=progress)
    try:
        return load_unlabelled(folder, input=input)
    except DataError as error:  # it names the folder in the cache
        raise DataError(str(error).replace(str(folder), str(path))) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or the files of a folder, unless they are there; StorageError if others are."""
    if source.is_dir():
        for file in sorted(source.iterdir()):
            _copy(file, target / file.name)
        return
    make_folder(target.parent)
    remove_temporary(target.parent, of=target.name)
    if not os.path.lexists(target):
        write_atomically(target, _pieces(source))
    elif not target.is_file() or not filecmp.cmp(source, target, shallow=False):
        raise StorageError(
            f"`{target}` exists and is not a list of labels; choose another name, or move that file away."
        )


def _pieces(file: Path) -> Iterator[bytes]:
    with open_regular(file) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece
