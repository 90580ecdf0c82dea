"""Finding a data set: from what the user names (a folder, a file, a published name) to parts of images with labels."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

from fovea.data.archives import TAR_SUFFIXES, ZIP_SUFFIXES, Progress, stem, unpack
from fovea.data.arrays import load_digits, load_npz
from fovea.data.cifar import cifar_version, load_cifar
from fovea.data.dataset import Dataset, Task
from fovea.data.download import CATALOGUE, locate
from fovea.data.folders import load_folder
from fovea.data.idx import idx_files, load_idx
from fovea.data.manifests import Columns, load_manifest, manifest_in
from fovea.data.parquet import load_parquet, parquet_files
from fovea.errors import DataError, UsageError, unknown

NAMES = ("digits", *CATALOGUE)
FILE_SUFFIXES = (".csv", ".parquet", ".npz", *ZIP_SUFFIXES, *TAR_SUFFIXES)


def find(
    spec: str | Path,
    *,
    label_from: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    task: Task = "classes",
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Return the data set that `spec` means: one of NAMES, or the path of a folder, archive, `.csv`, `.parquet`
    or `.npz`.

    A plain word that is a name means the name, even where a folder is called so: write `./mnist` for the folder.
    A folder of images without class folders, and with one `.csv`, is what that file lists.
    `label_from` is a regex whose first group is the label in a file name; `progress` hears of downloads and unpacking.

    Raises: UsageError for an unknown name or an option that does not apply; DataError for data that cannot be used.
    """
    if task not in get_args(Task):
        raise UsageError(f"`--task {task}` is none of {', '.join(get_args(Task))}.")
    if isinstance(spec, str) and spec in NAMES:
        _refuse_options(spec, label_from, task)
        if spec == "digits":
            return load_digits()
        return _arrays(locate(spec, download=download, progress=progress), progress)
    path = _existing(spec)
    suffix, columns = path.suffix.lower(), Columns(path_column, label_column, split_column)
    if suffix in (".csv", ".npz"):
        _refuse_options(spec, label_from)
        return load_manifest(path, columns=columns, task=task) if suffix == ".csv" else load_npz(path, task=task)
    if suffix == ".parquet" or (path.is_dir() and parquet_files(path)):
        _refuse_options(spec, label_from)
        return load_parquet(path, columns=columns, task=task, progress=progress)
    if _holds_arrays(path):
        _refuse_options(spec, label_from, task)
        return _arrays(path, progress)
    if path.is_dir():
        manifest = manifest_in(path) if label_from is None else None
        if manifest is not None:
            return replace(load_manifest(manifest, columns=columns, task=task), name=path.resolve().name)
        return load_folder(path, label_from=label_from, task=task)
    folder = unpack(path, progress=progress)
    try:
        return replace(load_folder(folder, label_from=label_from, task=task), name=stem(path))
    except DataError as error:  # it names the folder in the cache, where the user gave the archive
        raise DataError(str(error).replace(str(folder), str(path))) from error


def _existing(spec: str | Path) -> Path:
    """Return the path meant, if it is there and of a kind that can be read."""
    path = Path(spec).expanduser()
    if path.is_dir() or (path.is_file() and path.name.lower().endswith(FILE_SUFFIXES)):
        return path
    if path.is_file():
        raise UsageError(f"`{spec}` is not a kind of data set; wanted is a folder, or {', '.join(FILE_SUFFIXES)}.")
    if "://" in str(spec):
        raise UsageError(f"`{spec}` is an address, and only files are read; download it first.")
    if isinstance(spec, Path) or path.suffix or path.name != spec:
        raise DataError(f"No file or folder `{spec}`; check the path.")
    raise unknown("data set", spec, NAMES, see=f"Known: {', '.join(sorted(NAMES))}, or a path.")


def _holds_arrays(path: Path) -> bool:
    """Tell whether a folder or tar archive holds CIFAR or idx files rather than images."""
    if path.is_dir():
        return bool(idx_files(path) or cifar_version(path))
    return path.name.lower().endswith(TAR_SUFFIXES) and cifar_version(path) is not None


def _arrays(path: Path, progress: Progress | None) -> Dataset:
    version = cifar_version(path)
    return load_cifar(path, version, progress=progress) if version else load_idx(path)


def _refuse_options(spec: str | Path, label_from: str | None, task: Task = "classes") -> None:
    if label_from is not None:
        raise UsageError(f"`--label-from` is for folders and archives of images; `{spec}` brings its own labels.")
    if task == "number":
        raise UsageError(f"`--task number` does not fit `{spec}`, which has classes; leave it out.")
