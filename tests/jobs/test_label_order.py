"""The order of labelling: what the network is least sure of first."""

import numpy as np
import pytest
from PIL import Image
from placed_bundles import placed_bundle
from seeded_bundles import seeded_bundle

from fovea.data.pool import find_pool
from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.label_order import farthest_of, label_order, ways_for

QUIET = Display(quiet=True)


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Return five images of noise, and a file that is none."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return find_pool(folder, copies=tmp_path / "copies", input="images")


@pytest.mark.parametrize("by", ["margin", "entropy", "core-set"])
def test_images_without_a_label_come_in_the_order_of_doubt(pool, by):
    found = label_order(seeded_bundle(), pool, by=by, labelled={"3.png"}, display=QUIET)
    assert sorted(name for name, _ in found) == ["0.png", "1.png", "2.png", "4.png"]
    if by != "core-set":
        doubts = [doubt for _, doubt in found]
        assert doubts == sorted(doubts, reverse=True) and len(set(doubts)) > 1


@pytest.mark.parametrize("kind", ["masks", "boxes", "points"])
def test_answers_on_the_image_come_by_their_probability(pool, kind):
    bundle = placed_bundle(kind)
    found = label_order(bundle, pool, by="confidence", labelled={"0.png"}, display=QUIET)
    assert sorted(name for name, _ in found) == ["1.png", "2.png", "3.png", "4.png"]
    first = bundle.predict([str(pool.files[pool.part.names.index(found[0][0])])])[0]
    assert found[0][1] == pytest.approx(1 - np.nan_to_num(first.probability), abs=0.02)


def test_what_has_no_probabilities_is_ordered_by_distance():
    assert ways_for(seeded_bundle("number").target) == ("core-set",)
    assert ways_for(seeded_bundle("grade").target)[0] == ways_for(seeded_bundle("labels").target)[0] == "margin"


def test_several_labels_are_doubted_by_their_own_yes_and_no(pool):
    bundle = seeded_bundle("labels")
    (first, doubt), *_ = label_order(bundle, pool, by="margin", labelled=(), display=QUIET)
    said = bundle.predict([str(pool.files[pool.part.names.index(first)])])[0]
    assert doubt == pytest.approx(1 - min(abs(2 * share - 1) for _, share in said.scores), abs=1e-4)


def test_the_core_set_is_bounded_by_what_it_costs():
    assert [farthest_of(images, 512) for images in (100, 10_000, 50_000, 10**6)] == [100, 9765, 1953, 500]


def test_where_all_have_a_label_nothing_is_computed(pool):
    assert label_order(seeded_bundle(), pool, by="margin", labelled={*pool.part.names}, display=QUIET) == []


def test_a_way_that_does_not_fit_is_refused(pool):
    with pytest.raises(UsageError, match="core-set"):
        label_order(seeded_bundle("number"), pool, by="margin", labelled=(), display=QUIET)
