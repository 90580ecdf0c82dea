"""Samples in folders: one sub-folder per class, with or without train/val/test on top, or labels in file names."""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fovea import inputs, tasks
from fovea.data.dataset import BadFile, Dataset, Part
from fovea.data.labels import CHARACTERS_NOTE, PART_NAMES, alike, in_order
from fovea.errors import DataError, UsageError, listed, readable, shortened
from fovea.files import open_regular
from fovea.inputs.interface import InputKind
from fovea.preprocess import foreign, read_header
from fovea.tasks.task import Task
from fovea.tasks.wording import PLAIN, Wording, Written
from fovea.texts import composed

IGNORED = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
LOOKED_INTO = 100
"""Files of unknown suffixes whose first bytes are looked at."""


class WithoutClassesError(DataError):
    """A folder of samples that has no folder per class, or no annotations."""


class Record(NamedTuple):
    """One sample, a file or a folder: its part, its name for people, its label as text, where it is and how large."""

    part: str
    name: str
    label: Written
    path: Path
    size_bytes: int


class Layout(NamedTuple):
    """The records of a folder, its class folders (with the empty ones), and how many samples lie outside of them."""

    records: list[Record]
    classes: set[str]
    outside: int
    notes: tuple[str, ...] = ()


def load_folder(
    root: Path,
    *,
    label_from: str | None = None,
    task: str = "classes",
    wording: Wording = PLAIN,
    input: str | None = None,
) -> Dataset:
    """Return the samples below `root`, labelled by their folder or, with `label_from`, by a regex on the file name.

    They are of the kind `input`; where none is named images, or else what its files are by their suffix.

    Raises: DataError for a folder that holds no usable classes, UsageError for a regex that is none.
    """
    pattern = _compiled(label_from) if label_from is not None else None
    # sorted, as each disk lists files in an order of its own
    found = sorted(files_below(root, "", ()))
    kind = kind_below((record.name for record in found), input)
    own = [record for record in found if is_sample(record.name, kind)]
    others = [record for record in found if not is_sample(record.name, kind)]
    if not own:
        raise _nothing_below(root, others, kind)
    layout = _layout(root, _folders_of(own) if kind.of_folders else own, flat=pattern is not None)
    records = _relabelled(layout.records, pattern) if pattern else layout.records
    # a folder of several labels, as `cat;dog`, is no label itself; an empty one says nothing
    classes = frozenset() if tasks.kind(task).several else frozenset(layout.classes)
    name = root.resolve().name
    dataset = dataset_of(records, name=name, task=task, classes=classes, wording=wording, input=kind.name)
    unread = unread_photographs(record.name for record in found)
    bad = tuple(BadFile(readable(name), f"this is {kind}") for name, kind in unread.items())
    rest = [record for record in others if record.name not in unread]
    counts = (len(rest), f"that are not {kind.nouns}"), (layout.outside, "outside the class folders")
    ignored = tuple(f"files {which}, ignored: {count}" for count, which in counts if count)
    lists = (f"labels are the folder names.{listing}",) if not pattern and (listing := _lists(root)) else ()
    notes = (*dataset.notes, *layout.notes, *ignored, *_known_among(rest), *lists)
    return replace(dataset, bad_files=bad, notes=notes)


def kind_below(names: Iterable[str], input: str | None) -> InputKind:
    """Return the kind of input that is named; else images where there are any, else the first that has such files."""
    if input is not None:
        return inputs.kind(input)
    suffixes = {os.path.splitext(name)[1].lower() for name in names}
    kinds = inputs.kinds().values()
    return next((kind for kind in kinds if kind.suffixes & suffixes), inputs.kind("images"))


def _folders_of(files: Sequence[Record]) -> list[Record]:
    """Return a record for each folder that holds some of the files, as large as they are together."""
    sizes: dict[str, int] = defaultdict(int)
    paths: dict[str, Path] = {}
    for record in files:
        folder = record.name.rpartition("/")[0] or "."
        sizes[folder] += record.size_bytes
        paths[folder] = record.path.parent
    return [Record("train", name, "", paths[name], size) for name, size in sizes.items()]


def unread_photographs(names: Iterable[str]) -> dict[str, foreign.Foreign]:
    """Return what those files are that are photographs in a form that is not read, by their suffix.

    One that lies beside an image of its name, as `1.cr2` beside `1.jpg`, has been converted already.
    """
    listed_names = list(names)
    read = {os.path.splitext(name)[0] for name in listed_names if is_image(name)}
    kinds = ((name, foreign.photograph(name)) for name in listed_names if os.path.splitext(name)[0] not in read)
    return {name: kind for name, kind in kinds if kind is not None}


def dataset_of(
    records: Sequence[Record],
    *,
    name: str,
    task: str,
    classes: frozenset[str],
    wording: Wording = PLAIN,
    input: str = "images",
) -> Dataset:
    """Return the data set of these samples, each part sorted by name; `classes` may name some that have none.

    Names of classes are compared in one form (`composed`). Raises: DataError, which names the image, for a label that
    is not one of the kind of target, or whose bytes are no UTF-8.
    """
    kind = tasks.kind(task)
    grouped: dict[str, list[Record]] = {}
    for record in sorted(map(_in_one_form, records), key=lambda record: (record.part, composed(record.name), record)):
        _check_label(kind, record, wording)
        grouped.setdefault(record.part, []).append(record)
    order = in_order(grouped)
    texts = {part: [record.label for record in grouped[part]] for part in order}
    labels, names = kind.encode(texts, classes=sorted({_utf8(composed(name)) for name in classes}), wording=wording)
    parts = {
        part: Part(
            labels=labels[part],
            names=tuple(record.name for record in grouped[part]),
            files=tuple(record.path for record in grouped[part]),
        )
        for part in order
    }
    seen = inputs.kind(input)
    channels, size, said = seen.survey([record.path for record in grouped[order[0]]])
    directional = seen.mirrors and kind.directional(names, channels=channels)
    characters = (CHARACTERS_NOTE,) if directional and kind.has_classes else ()
    return Dataset(
        name=readable(name),
        parts=parts,
        classes=names,
        channels=channels,
        task=task,
        input=input,
        native_size=size,
        directional=directional,
        fingerprint=_fingerprint([record for part in order for record in grouped[part]], wording.columns),
        notes=(*said, *characters, *kind.notes(labels, names), *alike(names)),
    )


def _in_one_form(record: Record) -> Record:
    """Return a record with its label as names are compared, and a name that can be written everywhere."""
    label = composed(record.label) if isinstance(record.label, str) else tuple(map(composed, record.label))
    return record._replace(name=readable(record.name), label=label)


def _check_label(kind: type[Task], record: Record, wording: Wording) -> None:
    for text in (record.label,) if isinstance(record.label, str) else record.label:
        _utf8(text)
    try:
        kind.check_written(record.label, wording)
    except DataError as error:
        raise DataError(f"`{shortened(record.name, most=120)}`: {error}") from error


def _utf8(label: str) -> str:
    """Return a label, where its bytes are UTF-8: it goes into model files, tables and pages."""
    if label != readable(label):
        raise DataError(f"The name of the class `{shortened(readable(label))}` is not UTF-8; rename the folder.")
    return label


def _nothing_below(root: Path, others: Sequence[Record], kind: InputKind) -> DataError:
    recognised = f"supported are {', '.join(sorted(kind.suffixes))}"
    if known := _known_among(others):
        return DataError(f"No readable {kind.nouns} in `{root}`; {'; '.join(known)}.")
    return DataError(f"No {kind.nouns} in `{root}`; {recognised}.")


def _known_among(files: Sequence[Record]) -> list[str]:
    """Return a line for each format that is not read, and one for images whose suffix does not tell that they are."""
    found: dict[foreign.Foreign | str, list[str]] = defaultdict(list)
    looked_into = 0
    for record in files:
        kind: foreign.Foreign | str | None = foreign.by_suffix(record.name)
        if kind is None and looked_into < LOOKED_INTO:
            looked_into += 1
            kind = _content_of(record.path)
        if kind:
            found[kind].append(readable(record.name))
    return [
        f"{len(names)} of them, for example `{shortened(names[0])}`: this is {kind}"
        for kind, names in found.items()
        if names
    ]


def _content_of(path: Path) -> foreign.Foreign | str | None:
    try:
        with open_regular(path) as stream:
            kind = foreign.by_content(stream.read(foreign.HEAD_BYTES))
    except OSError:
        return None
    if kind is None and read_header(path):
        return "an image with the wrong suffix; rename it to .jpg, .png and so on"
    return kind


def is_image(name: str) -> bool:
    """Tell whether a file is taken for an image, by its suffix in any case."""
    return is_sample(name, inputs.kind("images"))


def is_sample(name: str, kind: InputKind) -> bool:
    """Tell whether a file is taken for a sample of a kind, or for a part of one, by its suffix in any case."""
    return os.path.splitext(name)[1].lower() in kind.suffixes


def is_ignored(name: str) -> bool:
    """Tell whether a file or folder name is hidden or left by an operating system."""
    return name.startswith(".") or name.lower() in IGNORED


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in `folder`, hidden ones left out, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_ignored(entry.name) and _is_folder(entry))


def files_below(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Record]:
    """Yield the files below, links followed, save those to a folder `above`; names begin with `prefix`."""
    status = folder.stat()
    # what a folder is, whichever link leads to it: a link to one above would lead round for ever
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not is_ignored(entry.name)]
    for entry in visible:
        path, name = Path(entry.path), prefix + entry.name
        if _is_folder(entry):
            yield from files_below(path, f"{name}/", (*above, here))
        else:
            yield Record("train", name, "", path, _size(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a broken link: decoding names it as a bad file
        return 0


def _layout(root: Path, images: Sequence[Record], *, flat: bool) -> Layout:
    """Sort the images into parts and classes; `flat` means that labels come from file names."""
    tops = {record.name.partition("/")[0] for record in images if "/" in record.name}
    splits = {top for top in tops if top.lower() in PART_NAMES}
    nested = any(record.name.count("/") > 1 for record in images if record.name.partition("/")[0] in splits)
    # a class can be called `test`: such a folder is a part where labels come from names, where class folders lie in it,
    # or where all folders are such
    if splits and (flat or nested or splits == tops):
        return _split_layout(root, images, splits=splits, flat=flat)
    records, outside = _labelled("train", "", images, flat=flat)
    if not records:
        raise WithoutClassesError(
            f"`{root}` contains images but no sub-folder per class. If the file names contain the labels, give "
            f"`--label-from REGEX`; otherwise list the images with their labels in a CSV manifest.{_lists(root)}"
        )
    return Layout(records, set() if flat else set(subfolders(root)), outside)


def _lists(root: Path) -> str:
    """Return which CSV files in the folder may list its images."""
    found = sorted(path.name for path in root.iterdir() if path.suffix.lower() == ".csv" and not is_ignored(path.name))
    return f" There is {listed(found)}: give that file if it lists the images." if found else ""


def _split_layout(root: Path, images: Sequence[Record], *, splits: set[str], flat: bool) -> Layout:
    all_records: list[Record] = []
    classes: set[str] = set()
    for top in sorted(splits):
        part = PART_NAMES[top.lower()]
        own = [record for record in images if record.name.startswith(f"{top}/")]
        records, _ = _labelled(part, f"{top}/", own, flat=flat)
        if not records:
            raise DataError(
                f"`{root / top}` contains images but no sub-folder per class; sort them into such folders, give "
                f"`--label-from REGEX` if the file names contain the labels, or move the folder away.{_lists(root)}"
            )
        all_records += records
        if part == "train" and not flat:
            classes.update(subfolders(root / top))
    _refuse_other_tops(images, splits)
    empty = [name for name in subfolders(root) if name.lower() in PART_NAMES and name not in splits]
    notes = (f"no image in {listed(empty)}, so it is not used as a split",) if empty else ()
    return Layout(all_records, classes, len(images) - len(all_records), notes)


def _refuse_other_tops(images: Sequence[Record], splits: set[str]) -> None:
    tops = {record.name.partition("/")[0] for record in images if "/" in record.name}
    if tops - splits:
        raise DataError(
            f"Unknown split folder `{min(tops - splits)}` beside `{min(splits)}`; allowed are {', '.join(PART_NAMES)}."
        )


def _labelled(part: str, prefix: str, images: Sequence[Record], *, flat: bool) -> tuple[list[Record], int]:
    """Return the images with part and class folder, and how many have no class folder."""
    records = []
    for record in images:
        label, slash, _ = record.name.removeprefix(prefix).partition("/")
        if slash or flat:
            records.append(record._replace(part=part, label=label))
    return records, len(images) - len(records)


def _compiled(label_from: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(label_from)
    except re.error as error:
        raise UsageError(f"`--label-from` `{label_from}` is not a regular expression: {error}.") from error
    if not pattern.groups:
        raise UsageError(rf"`--label-from` `{label_from}` needs a group around the label, for example `^([a-z]+)\.`.")
    return pattern


def _relabelled(records: Sequence[Record], pattern: re.Pattern[str]) -> list[Record]:
    matches = [pattern.search(record.path.name) for record in records]
    labels = [match.group(1) if match else None for match in matches]
    missed = [record.name for record, label in zip(records, labels, strict=True) if not label]
    if missed:
        which = "none" if len(missed) == len(records) else f"all but {len(missed)}"
        raise DataError(
            f"`--label-from` `{pattern.pattern}` matches {which} of {len(records)} file names "
            f"(not `{missed[0]}`); change it, or move those files away."
        )
    return [record._replace(label=label or "") for record, label in zip(records, labels, strict=True)]


def _fingerprint(records: Sequence[Record], columns: Sequence[str]) -> str:
    """Return SHA-256 over the records; labels in columns count by the names of these, in whatever order they come."""
    # by size in place of content: no file is opened for it
    rows = sorted((each.part, composed(each.name), each.size_bytes, _named(each.label, columns)) for each in records)
    return hashlib.sha256("\n".join(json.dumps(row) for row in rows).encode()).hexdigest()


def _named(label: Written, columns: Sequence[str]) -> Written | list[tuple[str, str]]:
    return sorted(zip(columns, label, strict=True)) if columns else label
