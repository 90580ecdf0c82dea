"""Boxes in XML, as Pascal VOC has them: a file for each image, with a `bndbox` for each object.

VOC counts pixels from 1 and includes the last: xmin 1 and xmax 10 are the first ten pixels, x0 = 0 and x1 = 10. Where
any file of a data set has a 0, its programs counted from 0: then x0 = xmin and x1 = xmax.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from fovea.data.dataset import Dataset
from fovea.data.sources.annotations.boxes import Box, Boxed, boxes_dataset
from fovea.data.sources.annotations.documents import read_xml
from fovea.data.sources.annotations.image_sets import image_sets
from fovea.data.sources.annotations.pairs import Place, by_list, folders_of_both, holds_any, pairs_of, places_below
from fovea.data.sources.archives import Progress
from fovea.data.sources.folders import is_image
from fovea.errors import DataError, shortened
from fovea.texts import composed

XML_FOLDERS = ("annotations", "annots", "annotation", "labels", "xmls", "xml")
SIDES = ("xmin", "ymin", "xmax", "ymax")


def voc_places(root: Path) -> list[Place]:
    """Return where images and XML files are in a folder; empty if there are none."""
    beside = places_below(root, XML_FOLDERS, lambda folder: holds_any(folder, _is_xml))
    return beside or folders_of_both(root, is_image=is_image, is_other=_is_xml)


def load_voc(
    root: Path, places: Sequence[Place], *, known: Sequence[str] = (), progress: Progress | None = None
) -> Dataset:
    """Return the images with boxes in `places`, which `voc_places` gives; parts by `ImageSets/Main` where it is there.

    Raises: DataError for a file that is no such XML, and where no image has one.
    """
    found = pairs_of(root, places, is_image=is_image, is_other=_is_xml)
    lists = image_sets(root, "Main")
    pairs = by_list(found.pairs, lists) if lists else found.pairs
    if not pairs:
        raise DataError(f"No image in `{root}` has an XML file with the same name; {'; '.join(found.notes)}.")
    read = []
    for done, pair in enumerate(pairs, start=1):
        read.append(boxes_in(pair.other))
        if progress is not None:
            progress("reading boxes", done, len(pairs))
    from_0 = any(0 in (box.x0, box.y0) for boxes in read for box in boxes)
    images = [
        Boxed(pair.part, pair.name, pair.image, boxes if from_0 else [_from_1(box) for box in boxes])
        for pair, boxes in zip(pairs, read, strict=True)
    ]
    counted = "boxes count pixels from 0" if from_0 else "boxes count pixels from 1, as in Pascal VOC"
    name = root.resolve().name
    return boxes_dataset(images, name=name, known=known, notes=[*found.notes, counted])


def boxes_in(file: Path) -> list[Box]:
    """Return the boxes in an XML file as it counts them; errors as `load_voc`."""
    root = read_xml(file)
    if root.tag != "annotation":
        raise DataError(f"`{file}` begins with `{shortened(root.tag)}`, so it is not a Pascal VOC annotation.")
    return [_box(each, file, number) for number, each in enumerate(root.iter("object"), start=1)]


def _box(found: Element, file: Path, number: int) -> Box:
    where = f"`{file}`, object {number}"
    label, frame = composed((found.findtext("name") or "").strip()), found.find("bndbox")
    if not label or frame is None:
        raise DataError(f"{where} has no `{'bndbox' if label else 'name'}`.")
    x0, y0, x1, y1 = (_side(frame.findtext(side), f"{where}: `{side}`") for side in SIDES)
    return Box(label, x0, y0, x1, y1, (found.findtext("difficult") or "").strip() == "1")


def _side(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 1e6:
        raise DataError(f"{where} (={shortened(text or '')}) must be a number, in pixels.")
    return value


def _from_1(box: Box) -> Box:
    return box._replace(x0=box.x0 - 1, y0=box.y0 - 1)


def _is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")
