"""Images with masks in folders: `images/` and `masks/`, Pascal VOC, Cityscapes and CamVid.

Pascal VOC and Cityscapes number the single objects of a mask in a second file, which is read where it is there.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fovea.data.dataset import Dataset
from fovea.data.masks import MaskFile, ObjectFile, Table
from fovea.data.sources.annotations.assembly import Sample, assembled
from fovea.data.sources.annotations.conventions import (
    CITYSCAPES_OBJECTS,
    SEGNET_CAMVID,
    VOC,
    Named,
    cityscapes,
    cityscapes_in_training,
    segnet_camvid,
    voc,
)
from fovea.data.sources.annotations.image_sets import image_sets
from fovea.data.sources.annotations.pairs import (
    Accepts,
    Found,
    Pair,
    Place,
    by_list,
    holds_any,
    pairs_of,
    places_below,
)
from fovea.data.sources.annotations.tables import found_table, read_table, table_file
from fovea.data.sources.archives import Progress
from fovea.data.sources.folders import is_image, subfolders
from fovea.errors import DataError
from fovea.files import is_file
from fovea.preprocess import VOID

MASK_FOLDERS = (
    *("1st_manual", "masks", "mask", "segmentationclass", "segmentation", "segmentations", "labels", "label"),
    *("annotations", "annotation", "gt", "ground_truth", "groundtruth", "targets", "target"),
)
"""What a folder of masks is called, in any case, the likeliest first."""
CITY_MASKS = ("_labelIds.png", "_labelTrainIds.png")
"""What the names of masks of Cityscapes end with, the likeliest first."""


def mask_places(root: Path) -> list[Place]:
    """Return where images and masks are in a folder; empty if there are none."""
    if city := _cityscapes(root):
        return city
    return places_below(root, MASK_FOLDERS, lambda folder: holds_any(folder, is_image))


def _cityscapes(root: Path) -> list[Place]:
    images, masks = root / "leftImg8bit", root / "gtFine"
    if not images.is_dir() or not masks.is_dir():
        return []
    return [Place(part, images / part, masks / part) for part in ("train", "val") if part in subfolders(masks)]


def load_masks(
    root: Path, places: Sequence[Place], *, known: Sequence[str] = (), progress: Progress | None = None
) -> Dataset:
    """Return the images with masks in `places`, which `mask_places` gives; of names `known` classes have that order.

    Raises: DataError if no image has a mask, and where it is not clear which classes the masks have.
    """
    found = _pairs(root, places)
    if not found.pairs:
        raise DataError(
            f"No image in `{root}` has a mask with the same name; {'; '.join(found.notes) or 'there are none'}."
        )
    table, said = _table(root, found, progress)
    table = in_known_order(table, known)
    objects = _objects([pair.other for pair in found.pairs], table.names)
    samples = [
        Sample(pair.part, pair.name, pair.image, MaskFile(pair.other, table.table, single), _bytes(pair.other))
        for pair, single in zip(found.pairs, objects, strict=True)
    ]
    notes = [said, *found.notes, *_without_masks(root, places)]
    return assembled(samples, name=root.resolve().name, task="masks", classes=table.names, notes=notes)


def _pairs(root: Path, places: Sequence[Place]) -> Found:
    found = pairs_of(root, places, is_image=is_image, is_other=_mask_names(root, places))
    lists = image_sets(root, "Segmentation")
    return found._replace(pairs=by_list(found.pairs, lists)) if lists else found


def _mask_names(root: Path, places: Sequence[Place]) -> Accepts:
    """Return what tells masks by their names; beside those of Cityscapes are other pictures, and masks of other ids."""
    if not _cityscapes(root):
        return is_image
    found = (end for end in CITY_MASKS if any(holds_any(place.others, _ending(end)) for place in places))
    return _ending(next(found, CITY_MASKS[0]))


def _ending(end: str) -> Accepts:
    return lambda name: name.endswith(end)


def _objects(masks: Sequence[Path], names: Sequence[str]) -> list[ObjectFile | None]:
    """Return what numbers the objects of each mask of VOC or Cityscapes; None if there is no such file."""
    counted = tuple(index for index, name in enumerate(names) if name in CITYSCAPES_OBJECTS)
    found: list[ObjectFile | None] = []
    for mask in masks:
        kind = next((end for end in CITY_MASKS if mask.name.endswith(end)), "")
        if kind:
            objects = ObjectFile(
                mask.with_name(mask.name.removesuffix(kind) + "_instanceIds.png"), by_id=True, counted=counted
            )
        else:
            objects = ObjectFile(mask.parent.parent / "SegmentationObject" / mask.name)
        wanted = bool(kind) or mask.parent.name == "SegmentationClass"
        found.append(objects if wanted and is_file(objects.path) else None)
    return found


def _table(root: Path, found: Found, progress: Progress | None) -> tuple[Named, str]:
    """Return what the values of the masks stand for, and a line that says how that is known."""
    above = {folder for place in found.places for folder in (place.others, place.others.parent)}
    if file := table_file(root, *sorted(above)):
        return read_table(file), f"classes by `{file.name}`"
    masks = [pair.other for pair in found.pairs]
    if _cityscapes(root) and masks[0].name.endswith("_labelIds.png"):
        return cityscapes(
            colours=False
        ), "masks contain Cityscapes ids; the 19 evaluation classes are used, all others are void"
    if _cityscapes(root) and masks[0].name.endswith("_labelTrainIds.png"):
        return cityscapes_in_training(), "masks contain Cityscapes training ids; 255 is void"
    table, said = found_table(masks, progress=progress)
    if _is_voc(found.pairs) and not table.table.colours and set(table.table.values) <= {*range(len(VOC)), VOID}:
        return voc(colours=False), "masks contain Pascal VOC indices; 255 is void"
    if _is_segnet(found.places) and table.table.values[:-1] == (*range(len(SEGNET_CAMVID) + 1),):
        return segnet_camvid(), "masks contain CamVid indices as in the SegNet tutorial; 11 is void"
    return table, said


def _is_segnet(places: Sequence[Place]) -> bool:
    """Return whether masks lie in `trainannot` beside `train`, as nobody else calls them."""
    return all(place.others.name == f"{place.images.name}annot" for place in places)


def _is_voc(pairs: Sequence[Pair]) -> bool:
    return pairs[0].other.parent.name == "SegmentationClass"


def in_known_order(found: Named, known: Sequence[str]) -> Named:
    """Return a table for classes in the order that a network knows them, where it knows them all."""
    names = found.names
    if set(names) <= set(known):
        order = [known.index(name) for name in names]
    elif all(name.isdecimal() for name in names) and len(names) <= len(known) and _counted(found.table):
        order = list(range(len(names)))  # indices without names
    else:
        return found
    look_up = np.full(256, VOID)
    look_up[: len(names)] = order
    classes = tuple(int(look_up[index]) for index in found.table.classes)
    return Named(Table(found.table.values, classes, found.table.colours), tuple(known))


def _counted(table: Table) -> bool:
    values = [value for value, index in zip(table.values, table.classes, strict=True) if index != VOID]
    return values == list(range(len(values)))


def _without_masks(root: Path, places: Sequence[Place]) -> list[str]:
    """Return a line on folders called as parts that have images and no masks."""
    if not all(place.images.parent.parent == root or place.images.parent == root for place in places):
        return []
    used = {place.images.relative_to(root).parts[0] for place in places}
    parts = {place.part for place in places}
    left = [
        top
        for top in subfolders(root)
        if top.lower() in ("test", "val", "valid", "validation") and top not in used and top.lower() not in parts
    ]
    return [f"`{top}` has no masks, so it is not used as a split" for top in left]


def _bytes(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
