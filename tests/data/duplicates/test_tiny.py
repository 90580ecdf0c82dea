"""Among images of a few pixels copies are found, and different ones that are much alike are not."""

import numpy as np
import pytest

from fovea.data.duplicates.groups import Copy, around_one, find_copies, find_duplicates
from fovea.data.duplicates.likeness import SIDE
from fovea.data.duplicates.tiny import is_tiny
from fovea.data.sources.source import DataSource, find
from fovea.jobs.check import looked_at
from fovea.preprocess import Preprocess


def enlarged(images):
    """Return uint8 (N, H, W, 1) as thumbnails."""
    plan = Preprocess(size=(SIDE, SIDE), channels=1, fit="squash", mean=(0.0,), std=(1.0,))
    return np.stack([plan.read(image) for image in images])


@pytest.fixture(scope="module")
def digits():
    return np.concatenate([part.decoded[:] for part in find("digits").parts.values()])


@pytest.mark.parametrize(("size", "tiny"), [((8, 8), True), ((15, 40), True), ((16, 16), False), (None, False)])
def test_images_are_tiny_by_their_shorter_side(size, tiny):
    assert is_tiny(size) is tiny


def test_no_two_handwritten_digits_are_copies():
    source = DataSource(data="digits")
    dataset = source.find()
    assert find_duplicates(dataset, source.decode(dataset, looked_at(dataset))) == []


def test_planted_copies_are_found_and_join_their_source_alone(digits):
    brighter = np.clip(0.8 * digits[:3].astype(float) + 40, 0, 255).astype(np.uint8)
    noisy = np.clip(digits[3:6].astype(int) + np.random.default_rng(0).integers(-6, 7, (3, 8, 8, 1)), 0, 255)
    planted = np.concatenate([digits[:600], brighter, noisy.astype(np.uint8), digits[6:9, :, ::-1]])
    found = find_copies(enlarged(planted), tiny=True)
    pairs = {tuple(sorted(copy[:2])): copy.mirrored for copy in found}
    assert pairs == {(index, 600 + index): index >= 6 for index in range(9)}


def test_nothing_is_a_copy_through_another():
    chain = [Copy(0, 1, 0.99), Copy(1, 2, 0.99), Copy(2, 3, 0.99), Copy(3, 4, 0.99)]
    assert around_one(chain) == [[0, 1, 2], [3, 4]]
    assert around_one([]) == []
