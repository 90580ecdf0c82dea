"""The conventions of published masks."""

import numpy as np

from fovea.data.sources.annotations.conventions import CAMVID, CITYSCAPES, VOC, camvid, cityscapes, voc, voc_colour
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
