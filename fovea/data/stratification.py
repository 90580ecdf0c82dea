"""Dividing images that have several labels each, so that both parts have their share of every label.

Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data", algorithm 1, for two parts: the
taken one and the rest. Departures: a label that several images have is wanted once at least in each part, and one that
a single image has in the rest only, as with classes; then images are moved until the parts have their size.

Labels are bool (N, L): which of L labels each of N images has; inside, sparse, as most images have few of many.
"""

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


def iteratively_stratified(labels: Flags, *, fraction: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices (n,) of a random `fraction` of the images, which has its share of every label (N, L).

    It is larger or smaller only where labels would else be in one part alone. Neither the order of the columns nor
    columns without images make a difference.
    """
    N = len(labels)
    count = min(max(round(fraction * N), 1), N - 1)
    shuffled = generator.permutation(N)
    known = _distinguished(csr_array(labels))[shuffled]
    wanted = _wanted(_per_label(known), fraction)
    chosen = _assigned(known, wanted, fraction=fraction, generator=generator)
    plain = np.flatnonzero(np.diff(known.indptr) == 0)
    chosen[plain[: max(count - int(chosen.sum()), 0)]] = True
    division = _Division(known, chosen, wanted)
    division.share()
    division.resize(count)
    return np.sort(shuffled[division.chosen])


def _distinguished(labels: csr_array) -> csr_array:
    """Return the columns that are not empty, in an order that depends on nothing but what is in them."""
    images_of = _rows(labels.tocsc())
    columns = [column for column, images in enumerate(images_of) if images]
    return labels[:, sorted(columns, key=images_of.__getitem__)]


def _rows(labels: csr_array) -> list[list[int]]:
    """Return the labels of each image; of a matrix by columns, the images of each label."""
    indices, ends = labels.indices.tolist(), labels.indptr.tolist()
    return [indices[start:end] for start, end in zip(ends, ends[1:], strict=False)]


def _per_label(labels: csr_array) -> Counts:
    return np.bincount(labels.indices, minlength=labels.shape[1])


def _wanted(counts: Counts, fraction: float) -> NDArray[np.float64]:
    """Return how many images (L,) of each label are to be taken of the `counts` (L,) that there are."""
    wanted: NDArray[np.float64] = np.clip(fraction * counts, np.minimum(counts - 1, 1), counts - 1)
    return wanted


def _assigned(
    labels: csr_array, wanted: NDArray[np.float64], *, fraction: float, generator: np.random.Generator
) -> Flags:
    """Return which images (N,) algorithm 1 takes; images without labels it leaves alone."""
    N, L = labels.shape
    counts = _per_label(labels)
    # in Python's own numbers, as it goes image by image; at 0 what the rest still wants, at 1 what the taken part wants
    wish = (counts - wanted).tolist(), wanted.tolist()
    room = [(1 - fraction) * N, fraction * N]
    remaining, images_of, labels_of = counts.tolist(), _rows(labels.tocsc()), _rows(labels)
    # of labels with as many images left: those of a single image first, then at random
    tie = np.where(counts == 1, -1, generator.permutation(L)).tolist()
    queue = [(count, tie[label], label) for label, count in enumerate(remaining)]
    heapq.heapify(queue)
    assigned, chosen = [False] * N, np.zeros(N, bool)
    while queue:
        count, _, label = heapq.heappop(queue)
        if count != remaining[label]:
            continue  # it stands in the queue once more, with the images it has by now
        for image in images_of[label]:
            if assigned[image]:
                continue
            eager = wish[1][label] - wish[0][label] or room[1] - room[0] or generator.random() - 0.5
            assigned[image], taken = True, eager > 0
            chosen[image] = taken
            room[taken] -= 1
            for other in labels_of[image]:
                wish[taken][other] -= 1
                remaining[other] -= 1
                if other != label:
                    heapq.heappush(queue, (remaining[other], tie[other], other))
    return chosen


class _Division:
    """Two parts of images, between which single images are moved where their labels bear it best."""

    def __init__(self, labels: csr_array, chosen: Flags, wanted: NDArray[np.float64]) -> None:
        self.labels, self.chosen, self.wanted = labels.astype(np.float64), chosen, wanted
        self.counts, self.taken = _per_label(labels), _per_label(labels[np.flatnonzero(chosen)])

    def share(self) -> None:
        """Give each part an image of every label that two have, where no other label loses its only one."""
        for taking in (True, False):
            for label in np.flatnonzero((self.counts > 1) & (self._own(taking) == 0)):
                if not self._own(taking)[label]:
                    has = self.labels[:, [label]].toarray()[:, 0] > 0
                    self._move(self._movable(taking) & has, taking=taking)

    def resize(self, count: int) -> None:
        """Move images until `count` are chosen, or none can be moved."""
        while missing := count - int(self.chosen.sum()):
            if not self._move(self._movable(missing > 0), taking=missing > 0):
                return

    def _own(self, taking: bool) -> Counts:
        """Return the images (L,) of each label in the part that gets one."""
        return self.taken if taking else self.counts - self.taken

    def _movable(self, taking: bool) -> Flags:
        """Return which images (N,) are in the other part, and not the only ones there with one of their labels."""
        last = self._own(not taking) == 1  # so is a label that a single image has
        movable: Flags = (self.chosen != taking) & (self.labels @ last.astype(np.float64) == 0)
        return movable

    def _move(self, candidates: Flags, *, taking: bool) -> bool:
        """Move the candidate (N,) whose labels gain most, the first of equals; tell whether there was one."""
        indices = np.flatnonzero(candidates)
        if not len(indices):
            return False
        step = 1 if taking else -1
        # by how much the squared distance from what is wanted falls, in units of a label's images
        gain = ((self.taken - self.wanted) ** 2 - (self.taken + step - self.wanted) ** 2) / self.counts
        best = indices[np.argmax((self.labels @ gain)[indices])]
        self.chosen[best] = taking
        self.taken = self.taken + step * self.labels[[best]].toarray()[0].astype(np.int64)
        return True
