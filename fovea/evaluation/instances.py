"""How well single objects are found in masks: average precision of masks, and panoptic quality.

Objects are (H, W) int32, 0 for none, in the pixels of the network's input; where those of the data overlap, a pixel
belongs to the smaller one. What was found has the mean probability of its pixels as its score.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset
from fovea.data.masks import DrawnMask, MaskFile, TrueObjects
from fovea.evaluation.joined import is_tiled
from fovea.evaluation.outcome import Outcome
from fovea.instances import mean_inside
from fovea.metrics.boxes import EACH, ap_interval, detection_scores
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
from fovea.metrics.masks import VOID, mean_of_classes
from fovea.metrics.matching import MOST, Compared, matched
from fovea.tasks.mask_objects import Singling
from fovea.tasks.mask_scoring import middle
from fovea.texts import percent
from fovea.training.inference import Progress

SHOWN = 6
"""Of the worst images, those whose objects are kept for a page."""
SHOWN_CLASSES = 30
DATA, WATERSHED = (
    "the objects of the data",
    ("objects are separated in the true masks in the same way as in the predicted ones"),
)
Interval = tuple[float, float] | None
Source = DrawnMask | MaskFile


class Shown(NamedTuple):
    """An image with its objects."""

    image: int
    """Its index."""
    quality: float
    """Its panoptic quality, the mean of its classes."""
    truth: NDArray[np.int32]
    found: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class InstanceScores:
    """Figures from 0 to 1, means over the classes that have objects; None if no image has any."""

    way: str
    """How what was found is separated: `parted` or `connected`."""
    truth: str
    """Where the true objects come from."""
    objects: int
    found: int
    ap: float | None
    """Mean over overlaps from 0.5 to 0.95, as COCO has it; where an image has more than 100 objects, of as many."""
    ap_interval: Interval
    """With 95 % confidence, by the bootstrap over images, as all intervals here."""
    ap50: float | None
    """At an overlap of 0.5."""
    ap50_interval: Interval
    pq: float | None
    """Panoptic quality of these classes: `sq` times `rq` of each."""
    pq_interval: Interval
    sq: float | None
    """Mean overlap of what was found."""
    rq: float | None
    """F1 of finding, at an overlap above 0.5."""
    per_class: Mapping[str, Mapping[str, float | None]]
    """`objects`, `ap`, `ap50`, `pq`, `sq` and `rq` by class name."""
    worst: Sequence[Shown] = field(default=(), repr=False)
    """The images with the lowest panoptic quality."""

    def summary(self) -> list[str]:
        """Return lines for the terminal."""
        first = f"instances: {self.objects:,} objects, {self.found:,} found ({self.way}; truth: {self.truth})"
        if self.pq is None:
            return ["", first]
        rows = sorted(self.per_class.items(), key=lambda row: row[1]["pq"] or 0)[:SHOWN_CLASSES]
        wide = max(len("lowest PQ"), *(len(name) for name, _ in rows))
        return [
            "",
            first,
            f"PQ {_with(self.pq, self.pq_interval)}, SQ {_percent(self.sq)}, RQ {_percent(self.rq)}",
            f"mask AP {_with(self.ap, self.ap_interval)}, AP50 {_with(self.ap50, self.ap50_interval)}",
            "",
            f"{'lowest PQ':{wide}}  {'PQ':>8}  {'SQ':>8}  {'RQ':>8}  {'AP50':>8}  objects",
            *(
                f"{name:{wide}}  "
                + "  ".join(f"{_percent(row[key]):>8}" for key in ("pq", "sq", "rq", "ap50"))
                + f"  {row['objects']:7,}"
                for name, row in rows
            ),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        found = ("way", "truth", "objects", "found", "ap", "ap_interval", "ap50", "ap50_interval")
        quality = ("pq", "pq_interval", "sq", "rq", "per_class")
        return {name: getattr(self, name) for name in (*found, *quality)}


def has_instances(found: Dataset) -> bool:
    """Return whether the single objects of every mask of a data set that is not decoded are known."""
    labels = _labels(found)
    return bool(labels) and all(isinstance(label, Source) and label.counted is not None for label in labels)


def singling_of(found: Dataset, singling: Singling) -> Singling:
    """Return how objects are separated, those of the classes of which a data set with objects has any."""
    counted = sorted({index for label in _labels(found) for index in label.counted or ()})
    return singling.usually_of([found.classes[index] for index in counted])


def _labels(found: Dataset) -> list[Any]:
    return [label for part in found.parts.values() for label in part.labels]


def measure_instances(
    outcome: Outcome,
    frame: Any,
    singling: Singling,
    *,
    found: Dataset | None = None,
    decoded: Dataset | None = None,
    progress: Progress | None = None,
) -> InstanceScores:
    """Return how well objects are found in condensed masks (N, 2, h, w).

    The true ones are those of the data set as `found`, whose images that could be read are `decoded`, laid by `frame`,
    the preprocessing of the network; without these they are separated in the true masks by the same `singling`.
    """
    names, indices = outcome.target.classes, singling.indices(outcome.target.classes)
    true: Iterator[Segments]
    if found is not None and decoded is not None:
        true = _given(outcome, found, decoded, frame, indices)
    else:
        true = _told_apart(outcome, singling)
    pairs: list[Compared] = []
    counts: list[PanopticCounts] = []
    qualities: list[tuple[float, int]] = []
    kept: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}
    for image, truth in enumerate(true):
        answer = _found(outcome.outputs[image].numpy(), truth, singling, names)
        pairs.append(compared_segments(truth, answer))
        counts.append(panoptic_counts(truth, answer, classes=len(names)))
        quality = float(mean_panoptic_quality(counts[-1]))
        if not np.isnan(quality):
            qualities.append((quality, image))
            kept[image] = truth.objects, answer.objects
            worst = sorted(qualities)[:SHOWN]
            kept = {number: kept[number] for _, number in worst if number in kept}
        if progress is not None:
            progress(image + 1, len(outcome))
    stacked = PanopticCounts(*(np.stack(each) for each in zip(*counts, strict=True)))
    shown = [Shown(image, quality, *kept[image]) for quality, image in sorted(qualities)[:SHOWN]]
    source = WATERSHED if found is None else DATA
    return _scores(pairs, stacked, names, indices, worst=shown, way=singling.way, truth=source)


def _scores(
    pairs: Sequence[Compared], counts: PanopticCounts, names: Sequence[str], indices: Sequence[int], **more: Any
) -> InstanceScores:
    most = max(MOST, *(len(each.classes) for each in pairs))
    matches = matched(pairs, classes=len(names), most=most)
    scores, pooled = detection_scores(matches), counts.pooled()
    pq, sq, rq = panoptic_quality(pooled), segmentation_quality(pooled), recognition_quality(pooled)
    objects = {index: sum(int(((each.classes == index) & ~each.crowd).sum()) for each in pairs) for index in indices}
    defined = not np.isnan(scores.ap50)
    return InstanceScores(
        objects=sum(objects.values()),
        found=sum(len(each.found_classes) for each in pairs),
        ap=_known(scores.ap),
        ap_interval=ap_interval(matches, EACH) if defined else None,
        ap50=_known(scores.ap50),
        ap50_interval=ap_interval(matches, EACH[:1]) if defined else None,
        pq=_known(mean_of_classes(pq)),
        pq_interval=panoptic_interval(counts) if (pq >= 0).any() else None,
        sq=_known(mean_of_classes(sq)),
        rq=_known(mean_of_classes(rq)),
        per_class={
            names[index]: {
                "objects": objects[index],
                **{"ap": _known(scores.per_class[index]), "ap50": _known(scores.per_class50[index])},
                **{"pq": _known(pq[index]), "sq": _known(sq[index]), "rq": _known(rq[index])},
            }
            for index in indices
            if pq[index] >= 0
        },
        **more,
    )


def _found(condensed: NDArray[np.uint8], truth: Segments, singling: Singling, names: Sequence[str]) -> Segments:
    """Return the objects of a condensed mask (2, h, w), with scores; void of the truth is none of theirs."""
    answer, sure = condensed
    told = singling.objects(answer if truth.void is None else np.where(truth.void, np.uint8(VOID), answer), names)
    scores = mean_inside(told.objects, sure / np.float64(255))
    return Segments(objects=told.objects, classes=told.classes, scores=scores)


def _told_apart(outcome: Outcome, singling: Singling) -> Iterator[Segments]:
    """Yield the objects that are separated in the true masks."""
    for label, answer in zip(outcome.labels, outcome.outputs, strict=True):
        mask = np.asarray(middle(np.asarray(label), answer))
        told = singling.objects(mask, outcome.target.classes)
        yield Segments(objects=told.objects, classes=told.classes, void=mask == VOID)


def _given(
    outcome: Outcome, found: Dataset, decoded: Dataset, frame: Any, indices: Sequence[int]
) -> Iterator[Segments]:
    """Yield the objects that the data has, as they lie on the input, or on whole images that are seen as tiles."""
    sources, tiled = _sources(found, decoded), is_tiled(decoded)
    known = [outcome.target.classes.index(name) for name in found.classes]
    for label, source, answer in zip(outcome.labels, sources, outcome.outputs, strict=True):
        true = source.true_objects()
        laid = _in_corner(true.numbers, label.shape) if tiled else frame.mask_in_input(true.numbers, void=0)
        objects, void = (np.asarray(middle(each, answer)) for each in (laid, np.asarray(label) == VOID))
        yield _segments(true._replace(numbers=objects), void, known, indices)


def _in_corner(objects: NDArray[np.int32], size: tuple[int, ...]) -> NDArray[np.int32]:
    """Return objects (h, w) in the top left corner of an array of a larger `size`, where joined tiles stand."""
    whole = np.zeros(size, np.int32)
    whole[: objects.shape[0], : objects.shape[1]] = objects
    return whole


def _segments(true: TrueObjects, void: NDArray[np.bool_], known: Sequence[int], indices: Sequence[int]) -> Segments:
    """Return the objects of an image that are of the classes `indices`, numbered anew.

    `known` are the network's classes by those of the data.
    """
    table, classes, crowd = np.zeros(len(true.classes) + 1, np.int32), [], []
    for number in np.unique(true.numbers[true.numbers > 0]):
        index = known[true.classes[number - 1]]
        if index in indices:
            classes.append(index)
            crowd.append(bool(true.crowd[number - 1]))
            table[number] = len(classes)
    groups = np.array([0, *crowd], bool)[table]
    return Segments(
        objects=table[true.numbers],
        classes=np.array(classes, np.int64),
        crowd=np.array(crowd, bool),
        void=void & ~groups[true.numbers],
    )


def _sources(found: Dataset, decoded: Dataset) -> Iterator[Source]:
    """Yield the masks of the images that could be read, which are in the order of those that were found."""
    for name, part in decoded.parts.items():
        rest = iter(zip(found.parts[name].names, found.parts[name].labels, strict=True))
        for image in part.names if part.tiles is None else part.tiles.names:
            yield next(label for called, label in rest if called == image)


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else percent(value, 2)


def _with(value: float | None, interval: Interval) -> str:
    """Return a share with its interval."""
    return _percent(value) + ("" if interval is None else f" ({100 * interval[0]:.2f} to {percent(interval[1], 2)})")
