"""The conventions of published masks."""

import numpy as np

from fovea.data.sources.annotations.conventions import (
    CAMVID,
    CITYSCAPES,
    VOC,
    camvid,
    cityscapes,
    cityscapes_in_training,
    voc,
    voc_colour,
)
from fovea.preprocess import VOID


def test_cityscapes_has_34_ids_of_which_19_are_scored_in_the_order_of_their_training_ids():
    assert [row[0] for row in CITYSCAPES] == [*range(34), 255]
    table, names = cityscapes(colours=False)
    assert (len(names), names[0], names[11], names[18]) == (19, "road", "person", "bicycle")
    assert table.classes_of(np.uint8([[7, 24, 33, 0, 9, 255]])).tolist() == [[0, 11, 18, VOID, VOID, VOID]]


def test_of_two_ids_of_one_colour_the_scored_one_counts():
    table, names = cityscapes(colours=True)
    colours = np.uint8([[(153, 153, 153), (0, 0, 142), (0, 0, 0)]])
    assert table.classes_of(colours).tolist() == [[names.index("pole"), names.index("car"), VOID]]


def test_camvid_has_32_colours_in_11_classes():
    assert len({colour for colour, *_ in CAMVID}) == len(CAMVID) == 32
    table, names = camvid()
    assert len(names) == 11
    assert table.classes_of(np.uint8([[(64, 128, 192), (0, 0, 0)]])).tolist() == [[names.index("car"), VOID]]


def test_voc_has_20_classes_and_a_background_with_its_palette():
    assert len(VOC) == 21
    first = [0x000000, 0x800000, 0x008000, 0x808000, 0x000080, 0x800080, 0x008080, 0x808080, 0x400000]
    assert [voc_colour(index) for index in range(9)] == first
    assert voc_colour(20) == 0x004080
    table, names = voc(colours=True)
    assert table.classes_of(np.uint8([[(192, 128, 128), (224, 224, 192)]])).tolist() == [[names.index("person"), VOID]]


PUBLISHED_CITYSCAPES = """
7 road 128 64 128, 8 sidewalk 244 35 232, 11 building 70 70 70, 12 wall 102 102 156, 13 fence 190 153 153,
17 pole 153 153 153, 19 traffic light 250 170 30, 20 traffic sign 220 220 0, 21 vegetation 107 142 35,
22 terrain 152 251 152, 23 sky 70 130 180, 24 person 220 20 60, 25 rider 255 0 0, 26 car 0 0 142, 27 truck 0 0 70,
28 bus 0 60 100, 31 train 0 80 100, 32 motorcycle 0 0 230, 33 bicycle 119 11 32
"""
"""Of its scripts (`labels.py`, commit 4b83263): the 19 classes that are scored."""
PUBLISHED_CAMVID = """
64 128 64 Animal, 192 0 128 Archway, 0 128 192 Bicyclist, 0 128 64 Bridge, 128 0 0 Building, 64 0 128 Car,
64 0 192 CartLuggagePram, 192 128 64 Child, 192 192 128 Column_Pole, 64 64 128 Fence, 128 0 192 LaneMkgsDriv,
192 0 64 LaneMkgsNonDriv, 128 128 64 Misc_Text, 192 0 192 MotorcycleScooter, 128 64 64 OtherMoving,
64 192 128 ParkingBlock, 64 64 0 Pedestrian, 128 64 128 Road, 128 128 192 RoadShoulder, 0 0 192 Sidewalk,
192 128 128 SignSymbol, 128 128 128 Sky, 64 128 192 SUVPickupTruck, 0 0 64 TrafficCone, 0 64 64 TrafficLight,
192 64 128 Train, 128 128 0 Tree, 192 128 192 Truck_Bus, 64 0 64 Tunnel, 192 192 0 VegetationMisc, 0 0 0 Void,
64 192 0 Wall
"""
"""The list of colours that its authors give beside the images."""


def entries(text):
    return [entry.split() for entry in text.replace("\n", " ").split(", ")]


def test_the_colours_of_cityscapes_are_the_published_ones():
    ours = {number: (name, colour) for number, colour, name in CITYSCAPES if name}
    assert ours == {
        int(first): (" ".join(name), int(r) << 16 | int(g) << 8 | int(b))
        for first, *name, r, g, b in entries(PUBLISHED_CITYSCAPES)
    }


def test_the_colours_of_camvid_are_the_published_ones():
    ours = {name: colour for colour, name, _ in CAMVID}
    assert ours == {name: int(r) << 16 | int(g) << 8 | int(b) for r, g, b, name in entries(PUBLISHED_CAMVID)}


def test_training_ids_of_cityscapes_are_the_order_of_its_classes():
    table, names = cityscapes_in_training()
    assert names == cityscapes(colours=False).names
    assert table.classes_of(np.uint8([[0, 18, 255]])).tolist() == [[0, 18, VOID]]
