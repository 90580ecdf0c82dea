"""What a page of the room asks for: images, kind of label, names and file; and the labelling that comes of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from fovea import tasks
from fovea.data.annotating.coco import CocoLabels
from fovea.data.annotating.kinds import KINDS, class_names, kind_named
from fovea.data.annotating.lists import ListedLabels
from fovea.data.annotating.mask_folder import MaskFolder
from fovea.data.labelling import can_be_listed
from fovea.data.pool import Pool, find_pool
from fovea.data.sources.annotations.mask_folders import mask_places
from fovea.errors import DataError, UsageError, shortened
from fovea.jobs.label_order import FARTHEST, ways_for
from fovea.model.bundle import Bundle, load
from fovea.storage import check_writable
from fovea.studio.label.labelling import Kept, Labelling, Steps
from fovea.studio.opened import Opened

AS_FOUND, BY_CHANCE = "in the order of the files", "by chance"
"""Orders that need no network."""
BRUSH = "brush"
FIELDS = ("data", "kind", "classes", "out", "by", "model", "image")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a page asks for, as text; empty is what is usual."""

    data: str = ""
    """A folder, an archive or a manifest, from the studio's folder on."""
    kind: str = ""
    classes: str = ""
    """Names, one on each line, or between commas."""
    out: str = ""
    """The file that keeps the labels; of covered pixels it may be a folder of masks."""
    by: str = ""
    """The order."""
    model: str = ""
    """A model file; the one that is open where it is empty."""
    image: str = ""
    """The name of the image to look at first."""
    known: str = ""
    """The names that the network knows, which no address has to hold."""

    @classmethod
    def of(cls, state: Mapping[str, str], opened: Opened) -> "Asked":
        """Return what the state of an address asks for, completed by what is open."""
        given = {name: state.get(name, "") for name in FIELDS}
        kind = given["kind"] if given["kind"] in KINDS else usual_kind(opened.bundle)
        target = None if opened.bundle is None else opened.bundle.target
        fits = target is not None and isinstance(target, tasks.kind(KINDS[kind].task))
        known = "\n".join(opened.bundle.classes) if fits and opened.bundle else ""
        data = given["data"] or opened.data or ""
        out = (_masks_beside(data, opened) if kind == BRUSH else "") or f"labels{KINDS[kind].suffix}"
        usual = {"data": data, "kind": kind, "classes": known, "out": out}
        completed = {name: given[name] or text for name, text in usual.items()}
        return cls(**{**given, **completed, "kind": kind, "known": known})

    @property
    def address(self) -> str:
        """The address of the room in this state."""
        given = {name: text for name in FIELDS if (text := getattr(self, name))}
        if self.classes.strip() == self.known:
            given.pop("classes", None)
        return f"/label?{urlencode(given)}"

    @property
    def names(self) -> list[str]:
        """The classes that are asked for."""
        return self.classes.split("\n" if "\n" in self.classes else ",")


def usual_kind(bundle: Bundle | None) -> str:
    """Return the kind of label that a network is for."""
    name = "classes" if bundle is None else bundle.target.name
    return next((kind for kind, each in KINDS.items() if name in (kind, each.task)), "classes")


def network(asked: Asked, opened: Opened) -> Bundle | None:
    """Return the network that says what is doubtful; None without one.

    Raises: UsageError, BundleError for a file that is none.
    """
    if asked.model:
        return load(opened.inside(asked.model))
    return None if opened.bundle is None else opened.own_bundle()


def proposes(bundle: Bundle | None, kind: str) -> bool:
    """Tell whether a network proposes labels of a kind."""
    return bundle is not None and isinstance(bundle.target, tasks.kind(kind_named(kind).task))


def orders(bundle: Bundle | None, kind: str) -> tuple[str, ...]:
    """Return the orders there are for a kind of label, the usual one first.

    What a network doubts are its own answers: where they are of another kind, it orders by its embeddings alone.
    """
    ways = () if bundle is None else ways_for(bundle.target)
    return (*(way for way in ways if way == FARTHEST or proposes(bundle, kind)), AS_FOUND, BY_CHANCE)


def first_order(asked: Asked, bundle: Bundle | None) -> str:
    """Return the order that is asked for, or the usual one where there is none of that name."""
    found = orders(bundle, asked.kind)
    return asked.by if asked.by in found else found[0]


STEPS = Steps()
"""What was done on the pages of this process: a page that is loaded anew can take it back."""


def begun(asked: Asked, opened: Opened, *, tab: str = "") -> Labelling:
    """Return the labelling that is asked for, gone on with where the file is there, in a browser's `tab`.

    Raises:
        UsageError: no such data, a place outside of the studio's folder, names that cannot be kept.
        DataError: no images, or a file that is none of labels.
        StorageError: the file cannot be written.
    """
    file = _file(asked, opened)
    pool = _pool(asked, opened, file)
    kept = _kept(asked, file, pool)
    there = kept.classes
    names = there if asked.kind == "points" and there else (*asked.names, *there)
    classes = class_names([*names], asked.kind)
    steps = STEPS.of(tab, file.resolve(), asked.kind) if tab else []
    found = Labelling(name=asked.kind, pool=pool, kept=kept, classes=classes, steps=steps)
    if asked.by == BY_CHANCE:
        found.shuffle()
    if asked.image in pool.part.names:
        found.place = found.order.index(pool.part.names.index(asked.image))
    return found


def _kept(asked: Asked, file: Path, pool: Pool) -> Kept:
    kind = kind_named(asked.kind)
    if not kind.lies_on_image:
        return ListedLabels(file, kind)
    if file.suffix.lower() == kind.suffix:
        return CocoLabels(file, asked.kind)
    return MaskFolder(file, [os.path.abspath(image) for image in pool.files])


def _masks_beside(data: str, opened: Opened) -> str:
    """Return the folder of masks beside the images of a folder, from the studio's folder on; empty without one."""
    try:
        root = opened.inside(data)
    except (UsageError, OSError):
        return ""
    places = mask_places(root) if root.is_dir() else []
    if len(places) != 1 or not places[0].others.resolve().is_relative_to(opened.folder.resolve()):
        return ""
    return places[0].others.resolve().relative_to(opened.folder.resolve()).as_posix()


def _file(asked: Asked, opened: Opened) -> Path:
    given = Path(asked.out)
    suffix = kind_named(asked.kind).suffix
    masks = asked.kind == BRUSH and not given.suffix and given.name
    if given.suffix.lower() != suffix and not masks:
        folder = ", or name a folder of masks," if asked.kind == BRUSH else ""
        raise UsageError(f"The file (={shortened(asked.out)}) must end in {suffix}{folder} for this kind of label.")
    file = opened.inside(str(given.parent)) / given.name
    if file.exists():
        opened.inside(asked.out)  # a link may lead elsewhere
    check_writable(file)
    return file


def _pool(asked: Asked, opened: Opened, file: Path) -> Pool:
    """Return the images to label; of data that a page names only those in the studio's folder."""
    own = bool(opened.data) and asked.data == opened.data
    data = asked.data if own else str(opened.inside(asked.data or "."))
    pool = find_pool(data, copies=file.with_suffix(""), input="images")
    rows = [row for row, each in enumerate(pool.files) if not each.is_relative_to(file)]  # masks are no images
    if own or pool.copies is not None:
        return _listable(pool, rows)
    root = opened.folder.resolve()
    return _listable(pool, [row for row in rows if pool.files[row].resolve().is_relative_to(root)])


def _listable(pool: Pool, rows: Sequence[int]) -> Pool:
    """Return the pool of these rows whose names are text. Raises: DataError where none is left."""
    good = can_be_listed(pool.files)
    kept = [row for row in rows if good[row]]
    if not kept:
        raise DataError("None of the images lies in the folder that the studio was started in.")
    return pool if len(kept) == len(pool.part) else pool.only(kept)


def with_model(asked: Asked, model: str) -> Asked:
    """Return the same for another network, in its usual order."""
    return replace(asked, model=model, by="", image="")
