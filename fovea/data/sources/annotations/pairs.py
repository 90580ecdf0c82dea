"""Which file belongs to which image: two folders, of images and of their annotations, with files of like names.

Names are alike that are equal without suffix, or that are once what all names of a folder begin and end with is taken
away, as `street_leftImg8bit.png` and `street_gtFine_labelIds.png`.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fovea.data.labels import PART_NAMES
from fovea.data.sources.folders import files_below, is_ignored, subfolders
from fovea.errors import listed
from fovea.texts import composed

IMAGE_FOLDERS = (
    *("images", "image", "imgs", "img", "jpegimages", "leftimg8bit", "input", "inputs", "original", "originals"),
    *("photos", "frames"),
)
"""What a folder of images is called, in any case."""


class Pair(NamedTuple):
    """An image and the file that says something of it."""

    part: str
    name: str
    """Of the image, from the root on."""
    image: Path
    other: Path


class Place(NamedTuple):
    """A folder of images and one of annotations, of one part."""

    part: str
    images: Path
    others: Path


class Found(NamedTuple):
    """The pairs below a folder, and what is to be said of files without a partner."""

    pairs: list[Pair]
    notes: list[str]
    places: list[Place]


Accepts = Callable[[str], bool]


def places_below(root: Path, wanted: Sequence[str], holds: Callable[[Path], bool]) -> list[Place]:
    """Return where images and annotations lie: folders called as `wanted` (the first counts) that `holds` accepts.

    `images/` and `masks/` may stand in the root, there with or without a folder for each part in both, or in a folder
    for each part; or the parts are `train/` and `train_masks/`.
    """
    tops = {top.lower(): top for top in reversed(subfolders(root))}
    if there := _side_by_side(root, wanted, holds):
        return _divided(*there)
    found = []
    for top in sorted(tops):
        if top in PART_NAMES and (there := _side_by_side(root / tops[top], wanted, holds)):
            found.append(Place(PART_NAMES[top], *there))
        elif top in PART_NAMES:
            others = (tops.get(f"{top}{mark}{name}") for name in (*wanted, "annot") for mark in ("_", "-", ""))
            if other := next((other for other in others if other and holds(root / other)), None):
                found.append(Place(PART_NAMES[top], root / tops[top], root / other))
    return found


def _side_by_side(folder: Path, wanted: Sequence[str], holds: Callable[[Path], bool]) -> tuple[Path, Path] | None:
    tops = {top.lower(): folder / top for top in reversed(subfolders(folder))}
    images = next((tops[name] for name in IMAGE_FOLDERS if name in tops), None)
    others = next((tops[name] for name in wanted if name in tops and holds(tops[name])), None)
    return (images, others) if images and others else None


def _divided(images: Path, others: Path) -> list[Place]:
    """Return a place for each part that both folders have below, or one for all."""
    here, there = ({PART_NAMES.get(top.lower()): top for top in subfolders(each)} for each in (images, others))
    parts = [part for part in here if part and part in there]
    return [Place(part, images / here[part], others / there[part]) for part in parts] or [
        Place("train", images, others)
    ]


def folders_of_both(root: Path, *, is_image: Accepts, is_other: Accepts) -> list[Place]:
    """Return the folders of parts, or else the root, where images and annotations are beside each other."""
    parts = [(PART_NAMES[top.lower()], root / top) for top in subfolders(root) if top.lower() in PART_NAMES]
    both = [
        (part, folder)
        for part, folder in (*parts, ("train", root))
        if (stems := _stems_in(folder, is_other)) and stems & _stems_in(folder, is_image)
    ]
    return [Place(part, folder, folder) for part, folder in both]


def _stems_in(folder: Path, accepts: Accepts) -> set[str]:
    """Return the stems of the files right in a folder that are accepted."""
    return {_stem(path.name) for path in folder.iterdir() if accepts(path.name) and not is_ignored(path.name)}


def pairs_of(root: Path, places: Sequence[Place], *, is_image: Accepts, is_other: Accepts) -> Found:
    """Return the pairs in all places, sorted by name; images and annotations without a partner are reported."""
    pairs: list[Pair] = []
    alone: list[str] = []
    spare: list[str] = []
    for place in places:
        images, others = files_in(place.images, is_image), files_in(place.others, is_other)
        partners = matched(images, others)
        prefix = "" if place.images == root else f"{place.images.relative_to(root).as_posix()}/"
        pairs += [Pair(place.part, prefix + name, images[name], others[partner]) for name, partner in partners.items()]
        alone += [prefix + name for name in images if name not in partners]
        used = set(partners.values())
        spare += [f"{place.others.relative_to(root).as_posix()}/{name}" for name in others if name not in used]
    notes = []
    if alone:
        notes.append(f"{len(alone):,} images without an annotation are ignored: {listed(alone, most=3)}")
    if spare:
        notes.append(f"{len(spare):,} annotations have no image: {listed(spare, most=3)}")
    return Found(sorted(pairs, key=lambda pair: (pair.part, composed(pair.name))), notes, list(places))


def matched_share(place: Place, *, is_image: Accepts, is_other: Accepts) -> float:
    """Return which share of the images of a place has a partner."""
    images = files_in(place.images, is_image)
    return len(matched(images, files_in(place.others, is_other))) / max(1, len(images))


def files_in(folder: Path, accepts: Accepts) -> dict[str, Path]:
    """Return the files below a folder that are accepted, by name from it on, sorted."""
    found = files_below(folder, "", ())
    return {record.name: record.path for record in sorted(found) if accepts(record.name)}


def matched(images: Collection[str], others: Collection[str]) -> dict[str, str]:
    """Return the partner among `others` of each of the `images` that has one; names are POSIX paths.

    >>> matched(["b/2.jpg", "1.jpg"], ["1.png", "b/2.png", "3.png"])
    {'b/2.jpg': 'b/2.png', '1.jpg': '1.png'}
    >>> matched(["street_01_photo.jpg"], ["street_01_mask.png"])
    {'street_01_photo.jpg': 'street_01_mask.png'}
    """
    stems = {_stem(name): name for name in sorted(others, reverse=True)}
    found = {name: stems[stem] for name in images if (stem := _stem(name)) in stems}
    if found or not images or not others:
        return found
    own, partners = _keys(images), {key: name for name, key in _keys(others).items()}
    return {name: partners[key] for name, key in own.items() if key in partners}


def _keys(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return folder and stem of each name, without what all stems begin and end with; digits stay."""
    split = {name: os.path.split(_stem(name)) for name in names}
    stems = [stem for _, stem in split.values()]
    begin = re.sub(r"\d+$", "", os.path.commonprefix(stems))
    end = re.sub(r"^\d+", "", os.path.commonprefix([stem[len(begin) :][::-1] for stem in stems])[::-1])
    return {name: (folder, stem[len(begin) : len(stem) - len(end)]) for name, (folder, stem) in split.items()}


def _stem(name: str) -> str:
    return composed(os.path.splitext(name)[0])


def holds_any(folder: Path, accepts: Accepts) -> bool:
    """Tell whether any file below a folder is accepted by its name; hidden ones aside."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_ignored(name)]
        if any(accepts(name) and not is_ignored(name) for name in files):
            return True
    return False


def by_list(pairs: Sequence[Pair], lists: Mapping[str, Collection[str]]) -> list[Pair]:
    """Return the pairs whose image is in the list of a part, by its stem, each with that part."""
    part_of = {stem: part for part, stems in lists.items() for stem in stems}
    found = [(pair, part_of.get(pair.image.stem)) for pair in pairs]
    return [pair._replace(part=part) for pair, part in found if part]
