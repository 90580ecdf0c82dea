"""Finding a data set: from what the user names (a folder, a file, a published name) to parts of images with labels."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from fovea import inputs, tasks
from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset
from fovea.data.sources.annotations.layouts import Asked, is_annotated, load_annotated
from fovea.data.sources.archives import TAR_SUFFIXES, ZIP_SUFFIXES, Progress, stem, unpack
from fovea.data.sources.arrays import load_digits, load_npz
from fovea.data.sources.cifar import cifar_version, load_cifar
from fovea.data.sources.download import CATALOGUE, locate
from fovea.data.sources.folders import load_folder
from fovea.data.sources.idx import idx_files, load_idx
from fovea.data.sources.manifests import Columns, load_manifest, manifests_in, read_column
from fovea.data.sources.parquet import SUFFIX, load_parquet, parquet_files, read_parquet_column
from fovea.data.sources.series import SUFFIXES as SERIES_SUFFIXES
from fovea.data.sources.series import are_series, load_series
from fovea.errors import DataError, NotFoundError, UsageError, nearest, readable
from fovea.files import irregular
from fovea.inputs.interface import Preprocessing
from fovea.signatures import spelled_out
from fovea.tasks.wording import PLAIN, Wording
from fovea.texts import composed

NAMES = ("digits", *CATALOGUE)
FILE_SUFFIXES = (".csv", ".json", ".parquet", ".npz", *SERIES_SUFFIXES, *ZIP_SUFFIXES, *TAR_SUFFIXES)


class Reading(TypedDict, total=False):
    """How labels are found in data that leaves it open: the options of `DataSource` that all commands share."""

    input: str | None
    label_from: str | None
    path_column: str
    label_column: str
    split_column: str
    label_separator: str | None
    label_columns: str | Sequence[str] | None
    order: str | Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Which data, and how to read it."""

    data: str | Path
    """One of NAMES, or the path, which a `Path` always is, of a folder, an archive or a file of FILE_SUFFIXES."""
    input: str | None = None
    """The kind of its samples (`fovea.inputs`); None if the data tells."""
    label_from: str | None = None
    """A regex whose first group is the label in a file name."""
    path_column: str = "path"
    label_column: str = "label"
    split_column: str = "split"
    """Names of the columns of a manifest."""
    label_separator: str | None = None
    """What stands between several labels in one text; None is `;`."""
    label_columns: str | Sequence[str] | None = None
    """The columns of a manifest that hold 1 or 0 for a label each: names, or text as `a,b,c`."""
    order: str | Sequence[str] | None = None
    """The grades, the lowest first: names, or text as `small,medium,large`."""
    known: tuple[str, ...] | None = None
    """The names that a network knows, which the data is for; None if there is none yet."""
    task: str = "classes"
    """The kind of target (`fovea.tasks`)."""
    allow_bad: bool = False
    """Whether to continue even if more than 5 % of the files are bad."""

    def __post_init__(self) -> None:
        if self.input is not None:
            inputs.kind(self.input)
        for name in ("label_columns", "order"):
            if (value := getattr(self, name)) is not None:
                # as names, whether from text, from a list of recipe.toml or from Python
                object.__setattr__(self, name, _names(value))
        for name in ("path_column", "label_column", "split_column"):
            object.__setattr__(self, name, composed(getattr(self, name)))

    @property
    def wording(self) -> Wording:
        """How the texts of labels are to be taken."""
        return Wording(
            separator=PLAIN.separator if self.label_separator is None else self.label_separator,
            columns=tuple(self.label_columns or ()),
            order=tuple(self.order or ()),
            known=tuple(map(composed, self.known or ())),
        )

    @property
    def columns(self) -> Columns:
        """The names of the columns of a manifest."""
        return Columns(self.path_column, self.label_column, self.split_column)

    @property
    def path(self) -> Path:
        """Where it is, if it is not a name."""
        return Path(self.data).expanduser()

    def manifests(self) -> list[Path]:
        """Return the CSV files that list the images; none where the data has another form."""
        if (isinstance(self.data, str) and self.data in NAMES) or self.label_from is not None:
            return []
        path = unpack(self.path) if is_archive(self.path) else self.path
        return manifests_in(path) if path.is_dir() else [path] if path.suffix.lower() == ".csv" else []

    def find(self, *, download: bool = True, progress: Progress | None = None) -> Dataset:
        """Return the data set; errors as `fovea.find`. `progress` hears of downloads and unpacking."""
        _check_labelling(self)  # before anything is read
        if str(self.data) != readable(str(self.data)):
            raise UsageError(
                f"The name `{readable(str(self.data))}` is not valid UTF-8, and runs and pages store it; rename it."
            )
        if isinstance(self.data, str) and self.data in NAMES:
            return _named(self, download=download, progress=progress)
        further = [reader for reader in _FURTHER if reader.reads(self.path, self)]
        path = self.path if further else _existing(self.data)
        reader = next(reader for reader in (*further, *_READERS) if reader.reads(path, self))
        _check_form(self, reader)
        return reader.load(path, self, progress)

    def decode(
        self,
        dataset: Dataset,
        preprocess: Preprocessing,
        *,
        room: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Dataset:
        """Return the data set with its samples decoded, as `decode_dataset` does."""
        return decode_dataset(dataset, preprocess, room=room, allow_bad=self.allow_bad, progress=progress)

    def column(self, name: str) -> dict[str, str]:
        """Return the contents of any column of the manifest by the name of each image.

        Raises:
            UsageError: the data is not a manifest.
            DataError: it has no such column.
        """
        path = unpack(self.path) if is_archive(self.path) else self.path
        if path.suffix.lower() == SUFFIX or (path.is_dir() and parquet_files(path)):
            return read_parquet_column(path, name)
        manifests = self.manifests()
        if not manifests:
            raise UsageError(
                f"`--slice {name}` needs a CSV or Parquet manifest with that column, and `{self.data}` is not one."
            )
        columns = Columns(path=self.path_column)
        return {image: text for file in manifests for image, text in read_column(file, name, columns=columns).items()}


reads_data = spelled_out(
    {name: (kind, getattr(DataSource, name)) for name, kind in Reading.__annotations__.items()}, before="display"
)
"""Shows the options of `Reading` in the signature of a function that takes them as `**reading`."""


class Reader(NamedTuple):
    """What reads one form of data."""

    reads: Callable[[Path, DataSource], bool]
    load: Callable[[Path, DataSource, Progress | None], Dataset]
    labels_in_names: bool = False
    """Whether `label_from` applies."""
    classes_only: bool = False
    """Whether labels can be nothing but classes."""
    has_columns: bool = False
    """Whether labels can have a column each."""
    has_texts: bool = True
    """Whether labels are texts, which can hold several."""


_FURTHER: list[Reader] = []


@contextmanager
def reading_also(reader: Reader) -> Iterator[None]:
    """Ask `reader` first, while the body runs: for forms of data that this package does not know."""
    _FURTHER.insert(0, reader)
    try:
        yield
    finally:
        _FURTHER.remove(reader)


@reads_data
def find(
    spec: str | Path,
    *,
    task: str = "classes",
    download: bool = True,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Dataset:
    """Return the data set that `spec` means: one of NAMES, or the path of a folder, archive, `.csv`, `.parquet`
    or `.npz`.

    A plain word that is a name means the name, even where a folder is called so: write `./mnist` for the folder.
    A folder of images without class folders, and with one `.csv`, is what that file lists. `input` is the kind of the
    samples (images, series, ...) where the data leaves that open.
    `label_from` is a regex whose first group is the label in a file name; `path_column`, `label_column` and
    `split_column` name the columns of a manifest. Several labels per image are separated by `label_separator` (`;`), or
    are columns of 0 and 1, `label_columns`; `order` names the grades, the lowest first. `progress` hears of downloads
    and unpacking.

    Raises: UsageError for an unknown name or an option that does not apply; DataError for data that cannot be used.
    """
    return DataSource(data=spec, task=task, **reading).find(download=download, progress=progress)


def _named(source: DataSource, *, download: bool, progress: Progress | None) -> Dataset:
    _check_form(source, _NAMED)
    if source.data == "digits":
        return load_digits()
    return _arrays(locate(str(source.data), download=download, progress=progress), source, progress)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names in a text as `a,b,c`, or in a sequence.

    >>> _names("small, large"), _names(["a,b", "c"])
    (('small', 'large'), ('a,b', 'c'))
    """
    return tuple(composed(name) for name in (given.split(",") if isinstance(given, str) else given))


def _check_labelling(source: DataSource) -> None:
    """Raise UsageError if what is said of labels contradicts itself, the kind of target, or what is known."""
    kind = tasks.kind(source.task)
    _check_kind(source, "label-separator", source.label_separator, wanted="labels", fits=kind.several)
    _check_kind(source, "label-columns", source.label_columns, wanted="labels", fits=kind.several)
    _check_kind(source, "order", source.order, wanted="grade", fits=kind.ordered)
    if source.label_columns is not None:
        _check_names("label-columns", source.label_columns, least=1)
        others = {
            "label-separator": source.label_separator is not None,
            "label-column": source.label_column != DataSource.label_column,
        }
        if other := next((name for name, given in others.items() if given), None):
            raise UsageError(f"`--{other}` and `--label-columns` cannot be used together; give one of them.")
    if source.label_separator == "":
        raise UsageError("`--label-separator` is empty; give the character between two labels, for example ; or |.")
    if source.order is not None:
        _check_names("order", source.order, least=2)
        if source.known and source.order != source.wording.known:
            raise UsageError(f"`--order` differs from the order of the model, {', '.join(source.known)}; leave it out.")


def _check_kind(source: DataSource, option: str, given: object, *, wanted: str, fits: bool) -> None:
    if given is not None and not fits:
        raise UsageError(f"`--{option}` works with `--task {wanted}`, not `--task {source.task}`; change one of them.")


def _check_names(option: str, names: Sequence[str], *, least: int) -> None:
    written = f"`--{option} {','.join(names)}`"
    if not all(names):
        raise UsageError(f"{written} has an empty name; write names separated by commas, for example a,b,c.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{written} has `{twice}` twice; give each name once.")
    if len(names) < least:
        raise UsageError(f"{written} must have at least {least} names, separated by commas, for example a,b,c.")


def _check_form(source: DataSource, reader: Reader) -> None:
    """Raise UsageError if an option, or the kind of target, is not for the form that the data has."""
    if source.label_from is not None and not reader.labels_in_names:
        raise UsageError(
            f"`--label-from` works for folders and archives of images; `{source.data}` has its own labels."
        )
    kind = tasks.kind(source.task)
    if reader.classes_only and (not kind.has_classes or kind.several or kind.ordered or kind.lies_on_image):
        asked = f"`--task {source.task}`" if source.known is None else f"A model of the task `{source.task}`"
        way_out = "leave it out" if source.known is None else "give other data"
        raise UsageError(f"{asked} does not fit `{source.data}`, which has classes; {way_out}.")
    if source.label_columns is not None and not reader.has_columns:
        raise UsageError(f"`--label-columns` works for manifests (CSV or Parquet), and `{source.data}` is not one.")
    if source.label_separator is not None and not reader.has_texts:
        raise UsageError(f"`--label-separator` works for labels stored as text; those of `{source.data}` are arrays.")


def _existing(spec: str | Path) -> Path:
    """Return the path meant, if it is there and of a kind that can be read."""
    path = Path(spec).expanduser()
    if path.is_dir() or (path.is_file() and path.name.lower().endswith(FILE_SUFFIXES)):
        return path
    if path.is_file():
        raise UsageError(f"`{spec}` is not a supported data set; expected a folder, or {', '.join(FILE_SUFFIXES)}.")
    if kind := irregular(path):
        raise DataError(f"`{spec}` is {kind}; expected a folder, or {', '.join(FILE_SUFFIXES)}.")
    if "://" in str(spec):
        raise UsageError(f"`{spec}` is an address, and only local files are supported; download it first.")
    if isinstance(spec, Path) or path.suffix or path.name != spec:
        raise NotFoundError(f"There is no file or folder `{spec}`.")
    named = f"no data set of that name{nearest(spec, NAMES)} Give a path, or one of {', '.join(sorted(NAMES))}."
    raise UsageError(f"There is no folder `{spec}` here, and {named}")


def _holds_arrays(path: Path) -> bool:
    """Tell whether a folder or tar archive holds CIFAR or idx files rather than images."""
    if path.is_dir():
        return bool(idx_files(path) or cifar_version(path))
    return path.name.lower().endswith(TAR_SUFFIXES) and cifar_version(path) is not None


def _arrays(path: Path, _: DataSource, progress: Progress | None) -> Dataset:
    version = cifar_version(path)
    return load_cifar(path, version, progress=progress) if version else load_idx(path)


def _given(source: DataSource) -> dict[str, Any]:
    """Return how a manifest is read."""
    return {"columns": source.columns, "task": source.task, "wording": source.wording, "input": source.input}


def _from_series(path: Path, source: DataSource, _: Progress | None) -> Dataset:
    return load_series(path, columns=source.columns, task=source.task, wording=source.wording)


def _from_manifest(path: Path, source: DataSource, _: Progress | None) -> Dataset:
    return load_manifest(path, **_given(source))


def _from_parquet(path: Path, source: DataSource, progress: Progress | None) -> Dataset:
    return load_parquet(path, columns=source.columns, task=source.task, wording=source.wording, progress=progress)


def _from_folder(path: Path, source: DataSource, _: Progress | None) -> Dataset:
    return load_folder(path, label_from=source.label_from, task=source.task, wording=source.wording, input=source.input)


def _from_npz(path: Path, source: DataSource, _: Progress | None) -> Dataset:
    return load_npz(path, task=source.task, wording=source.wording)


def _asked(source: DataSource, progress: Progress | None = None, *, within: Path | None = None) -> Asked:
    return Asked(source.task, source.wording.known, source.columns, progress, within)


def _is_annotated(path: Path, source: DataSource) -> bool:
    said = source.known is not None or source.label_from is not None or source.input not in (None, "images")
    kind = tasks.kind(source.task)
    return is_annotated(path, _asked(source), guess=kind.has_classes and not (kind.several or kind.ordered or said))


def _is_listed(path: Path, source: DataSource) -> bool:
    return path.is_dir() and source.label_from is None and bool(manifests_in(path))


def _listed(path: Path, source: DataSource, _: Progress | None, *, within: Path | None = None) -> Dataset:
    files = manifests_in(path)
    if not files:
        raise DataError(f"the manifest of `{path}` no longer exists.")
    return replace(load_manifest(*files, within=within, **_given(source)), name=path.resolve().name)


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip or tar archive of samples, and not of arrays."""
    return path.is_file() and path.name.lower().endswith((*ZIP_SUFFIXES, *TAR_SUFFIXES)) and not _holds_arrays(path)


def _archive(path: Path, source: DataSource, progress: Progress | None) -> Dataset:
    """Return the contents of an archive, read as the folder is; its manifest lists nothing that lies outside."""
    folder = unpack(path, progress=progress)
    try:
        if _is_annotated(folder, source):
            dataset = load_annotated(folder, _asked(source, progress, within=folder.resolve()))
        elif _is_listed(folder, source):
            dataset = _listed(folder, source, progress, within=folder.resolve())
        else:
            _check_form(source, _FOLDER)
            dataset = _from_folder(folder, source, progress)
        return replace(dataset, name=stem(path))
    except DataError as error:  # it names the folder in the cache, where the user gave the archive
        raise DataError(str(error).replace(str(folder), str(path))) from error


_NAMED = Reader(lambda *_: False, _arrays, classes_only=True)
"""What holds of published data sets, which are found by name."""
_FOLDER = Reader(lambda path, _: path.is_dir(), _from_folder, labels_in_names=True)
_READERS = (
    Reader(_is_annotated, lambda path, *more: load_annotated(path, _asked(*more)), has_columns=True),
    Reader(lambda path, source: are_series(path, source.columns, input=source.input), _from_series),
    Reader(lambda path, _: path.suffix.lower() == ".csv", _from_manifest, has_columns=True),
    Reader(lambda path, _: path.suffix.lower() == ".npz", _from_npz, has_texts=False),
    Reader(
        lambda path, _: path.suffix.lower() == SUFFIX or (path.is_dir() and bool(parquet_files(path))),
        _from_parquet,
        has_columns=True,
    ),
    Reader(lambda path, _: _holds_arrays(path), _arrays, classes_only=True),
    Reader(_is_listed, _listed, labels_in_names=True, has_columns=True),
    _FOLDER,
    Reader(lambda *_: True, _archive, labels_in_names=True, has_columns=True),
)
"""In the order in which they are asked."""
