"""Panoptic quality by hand and by sets of pixels; average precision of masks as COCO's own code has it."""

import coco_oracle
import numpy as np
import pytest

from fovea.metrics.boxes import detection_scores
from fovea.metrics.instances import (
    PanopticCounts,
    Segments,
    compared_segments,
    mean_panoptic_quality,
    panoptic_counts,
    panoptic_interval,
    panoptic_quality,
    recognition_quality,
    segmentation_quality,
)
from fovea.metrics.matching import matched


def row_of(text, classes, **options):
    """Return the objects of an image of one row: a digit is a pixel of that object, a dot one of none."""
    numbers = np.array([[0 if character == "." else int(character) for character in text]], np.int32)
    return Segments(objects=numbers, classes=np.array(classes, np.int64), **options)


def random_segments(generator, classes=2, size=40):
    """Return objects as rectangles that hide each other, and their outlines moved, some with other classes."""
    truth, found = np.zeros((2, size, size), np.int32)
    count = int(generator.integers(2, 7))
    for number in range(1, count + 1):
        (y, x), (h, w) = generator.integers(0, size - 8, 2), generator.integers(4, 20, 2)
        dy, dx = generator.integers(0, 4, 2)
        truth[y : y + h, x : x + w] = number
        found[y + dy : y + dy + h, x + dx : x + dx + w] = number
    true, answered = (np.unique(of[of > 0], return_inverse=True) for of in (truth, found))
    truth[truth > 0], found[found > 0] = true[1] + 1, answered[1] + 1
    labels = generator.integers(0, classes, count + 1)
    wrong = generator.random(count + 1) < 0.2
    guesses = np.where(wrong, generator.integers(0, classes, count + 1), labels)
    scores = generator.random(len(answered[0]))
    return (
        Segments(objects=truth, classes=labels[true[0]]),
        Segments(objects=found, classes=guesses[answered[0]], scores=scores),
    )


def test_by_hand():
    """Object 1 overlaps by 3/4, object 2 by 1/3, which is one missed and one wrong: 3/4 / (1 + 1/2 + 1/2)."""
    truth, found = row_of("1111.22.", [0, 0]), row_of("111...22", [0, 0])
    counts = panoptic_counts(truth, found, classes=2)
    assert [of[0] for of in counts] == [0.75, 1, 1, 1]
    assert panoptic_quality(counts)[0] == pytest.approx(0.375) and np.isnan(panoptic_quality(counts)[1])
    assert (segmentation_quality(counts)[0], recognition_quality(counts)[0]) == (0.75, 0.5)
    assert mean_panoptic_quality(counts) == pytest.approx(0.375)


def test_an_object_of_another_class_is_wrong_and_one_missed():
    counts = panoptic_counts(row_of("111", [0]), row_of("111", [1]), classes=2)
    assert (counts.missed.tolist(), counts.wrong.tolist(), counts.found.tolist()) == ([1, 0], [0, 1], [0, 0])


def test_void_belongs_to_nothing_and_what_lies_in_it_is_not_wrong():
    void = np.array([[False, False, False, True, True, True]])
    truth, found = row_of("111...", [0], void=void), row_of("1111.2", [0, 0])
    counts = panoptic_counts(truth, found, classes=1)
    assert [of[0] for of in counts] == [1, 1, 0, 0]


def test_a_crowd_is_neither_found_nor_missed():
    truth = row_of("1111..", [0], crowd=np.array([True]))
    counts = panoptic_counts(truth, row_of("1122.3", [0, 0, 0]), classes=1)
    assert [of[0] for of in counts] == [0, 0, 1, 0]
    assert compared_segments(truth, row_of("1122.3", [0, 0, 0])).overlaps[:, 0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("seed", range(2))
def test_it_is_that_of_sets_of_pixels(seed):
    truth, found = random_segments(np.random.default_rng(seed))

    def pixels(segments):
        return [set(np.flatnonzero(segments.objects == i + 1).tolist()) for i in range(len(segments.classes))]

    there, given, hit = pixels(truth), pixels(found), set()
    overlap = np.zeros(2)
    for j, a in enumerate(given):
        for i, b in enumerate(there):
            share = len(a & b) / len(a | b)
            if share > 0.5 and truth.classes[i] == found.classes[j]:
                hit.add((j, i))
                overlap[found.classes[j]] += share
    counts = panoptic_counts(truth, found, classes=2)
    np.testing.assert_allclose(counts.overlap, overlap)
    for k in range(2):
        assert counts.found[k] == sum(found.classes[j] == k for j, _ in hit)
        assert counts.wrong[k] == sum(found.classes == k) - counts.found[k]
        assert counts.missed[k] == sum(truth.classes == k) - counts.found[k]


def test_the_interval_holds_the_figure():
    generator = np.random.default_rng(3)
    rows = [panoptic_counts(*random_segments(generator), classes=2) for _ in range(12)]
    counts = PanopticCounts(*(np.stack(parts) for parts in zip(*rows, strict=True)))
    low, high = panoptic_interval(counts)
    assert low < mean_panoptic_quality(counts.pooled()) < high


def as_coco(segments, mask):
    """Return the objects in the words of COCO's own files; `mask` is the module that encodes masks."""
    found = []
    for number, index in enumerate(segments.classes.tolist(), start=1):
        region = segments.objects == number
        coded = mask.encode(np.asfortranarray(region.astype(np.uint8)))
        each = {"category_id": index, "segmentation": coded, "area": float(region.sum()), "iscrowd": 0}
        if segments.scores is not None:
            each["score"] = float(segments.scores[number - 1])
        else:
            each["bbox"] = mask.toBbox(coded).tolist()
        found.append(each)
    return found


def test_average_precision_of_masks_is_that_of_pycocotools():
    mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    generator = np.random.default_rng(0)
    images = [random_segments(generator) for _ in range(12)]
    truth, found = ([as_coco(segments, mask) for segments in of] for of in zip(*images, strict=True))
    expected = coco_oracle.figures(truth, found, kind="segm")
    matches = matched([compared_segments(*pair) for pair in images], classes=2)
    np.testing.assert_allclose(detection_scores(matches)[:12], expected, rtol=0, atol=1e-9)
