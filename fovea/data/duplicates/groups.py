"""Copies among images: the same pixels, or nearly so after resizing, re-encoding, cropping or mirroring.

Candidates come from descriptors of low frequencies; each is aligned, so that a crop lies over what it was cut from, and
compared once more at finer frequencies. What counts as a copy depends on the data set: where different images are much
alike (clothes of the same cut), a copy has to be closer. Images of a few pixels have a measure of their own.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fovea.data.dataset import Dataset, Images
from fovea.data.duplicates.alignment import align, cut, detail_correlation
from fovea.data.duplicates.candidates import VIEWS, Candidates, each_pair_once, find_candidates
from fovea.data.duplicates.likeness import CHUNK, Floats, Likeness, planes
from fovea.data.duplicates.tiny import is_tiny, true_copies
from fovea.errors import ImageError
from fovea.preprocess import decode

COARSE, FINE = {"luma": 8, "colour": 3}, {"luma": 12, "colour": 4}
"""Frequencies that find candidates, and those that decide."""
BATCH = 512
MIN_SIMILARITY = 0.9
MAX_SIMILARITY = 0.98
"""No data set asks for more: a re-encoded copy of good quality reaches it."""
NEIGHBOUR, DEVIATIONS = 20, 10.0
"""A copy is so many standard deviations of Fisher's z more similar than the 20th nearest neighbour is as a rule."""
MIN_DETAIL = 0.8
"""Correlation of the details of a copy: whitened low frequencies make all large plain things alike."""
MAX_STRETCH = 1.5
"""A crop keeps the proportions of its image, or changes them as from 3:2 to 1:1; more is chance."""
CROPPED = 0.95
"""Copies that share less of their area are called cropped."""
PROMISING = 0.6
"""Similarity at half the size, roughly aligned, that makes a pair worth the rest."""
SAMPLE = 1000
NORMAL_DECILE = 1.2816
"""How many standard deviations the lowest tenth of a normal distribution lies below its middle."""

Progress = Callable[[int, int], None]


class Copy(NamedTuple):
    """Two images that show the same."""

    first: int
    second: int
    similarity: float
    """Of the aligned images, up to 1."""
    mirrored: bool = False
    overlap: float = 1.0
    """Share of the area of the one that the other shows."""


class Member(NamedTuple):
    """An image of a group of duplicates."""

    part: str
    name: str
    label: str


class Group(NamedTuple):
    """Images that are copies of each other, directly or through one another."""

    images: tuple[Member, ...]
    exact: bool
    """Whether all have the same pixels."""
    mirrored: bool
    """Whether some are mirror images of others."""
    cropped: bool
    """Whether some show less than others."""
    similarity: float
    """Of the two copies that are least similar."""

    @property
    def leak(self) -> bool:
        """Whether it is in more than one split."""
        return len({image.part for image in self.images}) > 1

    @property
    def conflict(self) -> bool:
        """Whether its images have different labels."""
        return len({image.label for image in self.images}) > 1


def find_copies(thumbnails: Images, *, tiny: bool = False, progress: Progress | None = None) -> list[Copy]:
    """Return the pairs of copies among uint8 (N, SIDE, SIDE, C); of n identical images n - 1 pairs.

    `tiny` images were enlarged from a few pixels, and are compared by all of these. 60,000 others take less than a
    minute of processor time.
    """

    def advance(steps: int) -> None:
        if progress is not None:
            progress(steps, len(VIEWS) + 2)

    # first, as n identical images among the others would make n^2 pairs
    kept, copies = _identical(thumbnails)
    if len(kept) < 2:
        return copies
    distinct = thumbnails[kept]
    generator = np.random.default_rng(0)  # the same data set always has the same duplicates
    coarse = Likeness(distinct, **COARSE, generator=generator)
    candidates = find_candidates(distinct, coarse, generator=generator, advance=advance)
    if tiny:
        found, alike = true_copies(distinct, candidates)
        advance(len(VIEWS) + 2)
        pairs = zip(candidates[found], alike[found].tolist(), strict=True)
        return copies + [
            Copy(int(kept[row["inner"]]), int(kept[row["outer"]]), min(value, 1.0), bool(row["mirrored"]))
            for row, value in pairs
        ]
    candidates, boxes = _roughly_aligned(distinct, coarse, candidates)
    advance(len(VIEWS) + 1)
    fine = Likeness(distinct, **FINE, generator=generator)
    similarity, detail, boxes = _aligned(distinct, fine, candidates, boxes=boxes)
    advance(len(VIEWS) + 2)
    threshold = _threshold(fine.whiten(fine.coefficients(distinct)), generator)
    # boxes are in fractions of the image: equal height and width keep its proportions
    stretched = np.abs(np.log(boxes[:, 2] / boxes[:, 3])) > np.log(MAX_STRETCH)
    near = (similarity >= threshold) & (detail >= MIN_DETAIL) & ~stretched
    # rounding takes the similarity of equal images beyond 1
    rows = zip(candidates[near], np.minimum(similarity[near], 1).tolist(), boxes[near].tolist(), strict=True)
    return copies + [
        Copy(int(kept[row["inner"]]), int(kept[row["outer"]]), value, bool(row["mirrored"]), box[2] * box[3])
        for row, value, box in rows
    ]


def find_duplicates(dataset: Dataset, decoded: Dataset, *, progress: Progress | None = None) -> list[Group]:
    """Return the groups of duplicates in a data set, within and across its parts, the largest first.

    `decoded` is the same data set as thumbnails, SIDE x SIDE, where images that cannot be read are missing.
    """
    members = _members(decoded)
    tiny = is_tiny(dataset.native_size)
    thumbnails = np.concatenate([part.decoded[:] for part in decoded.parts.values()])
    copies = find_copies(thumbnails, tiny=tiny, progress=progress)
    by_first = defaultdict(list)
    for copy in copies:
        by_first[copy.first].append(copy)
    linked = around_one(copies) if tiny else connected(copies)
    # thumbnails can be equal where images are not; only members of groups are decoded again
    identical = _digests(dataset, [members[index] for group in linked for index in group])
    found = []
    for indices in linked:
        images = tuple(members[index] for index in indices)
        links = [copy for index in indices for copy in by_first[index]]
        exact = len({identical[member] for member in images}) == 1
        mirrored, cropped = any(copy.mirrored for copy in links), any(copy.overlap < CROPPED for copy in links)
        found.append(Group(images, exact, mirrored, cropped, min(copy.similarity for copy in links)))
    return sorted(found, key=lambda group: (-len(group.images), group.images))


def find_identical(decoded: Dataset) -> list[Group]:
    """Return the groups of samples of any kind whose stored values are the same, the largest first.

    They are (N, ...), of the type in which they are stored.
    """
    groups: dict[bytes, list[Member]] = defaultdict(list)
    samples = (part.decoded[index] for part in decoded.parts.values() for index in range(len(part)))
    for member, sample in zip(_members(decoded), samples, strict=True):
        groups[_digest(np.asarray(sample))].append(member)
    found = [Group(tuple(same), True, False, False, 1.0) for same in groups.values() if len(same) > 1]
    return sorted(found, key=lambda group: (-len(group.images), group.images))


def _members(decoded: Dataset) -> list[Member]:
    return [
        Member(name, part.names[index], _label_text(decoded, part.labels[index]))
        for name, part in decoded.parts.items()
        for index in range(len(part))
    ]


def _label_text(dataset: Dataset, label: Any) -> str:
    return dataset.kind.text_of(label, dataset.classes)


def _digests(dataset: Dataset, members: Sequence[Member]) -> dict[Member, bytes]:
    """Return the digests of the images at their own size."""
    position = {(name, image): index for name, part in dataset.parts.items() for index, image in enumerate(part.names)}

    def of(member: Member) -> bytes:
        part = dataset.parts[member.part]
        index = position[member.part, member.name]
        if part.files is None:
            return _digest(part.decoded[index])
        try:
            return _digest(decode(part.files[index], channels=3))
        except ImageError:  # too large as a whole, where a reduced JPEG was not: equal files are equal images
            return hashlib.sha256(part.files[index].read_bytes()).digest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(members, pool.map(of, members), strict=True))


def connected(copies: Sequence[Copy]) -> list[list[int]]:
    """Return the indices of images that copies connect, directly or through others, group by group, each in order."""
    ends = np.array([copy[:2] for copy in copies], np.int64).reshape(-1, 2)
    known, position = np.unique(ends, return_inverse=True)
    first, second = position.reshape(-1, 2).T
    # images without copies have no node: `known` are the others, and `position` is where they stand in it
    graph = coo_array((np.ones(len(copies), np.int8), (first, second)), shape=(len(known), len(known)))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    return [members.tolist() for members in np.split(known[order], starts)] if len(copies) else []


def around_one(copies: Sequence[Copy]) -> list[list[int]]:
    """Return the indices of images that are copies of one among them, group by group, each in order.

    Nothing is a copy through another: the image with most copies is taken with these, then the next of the others.
    """
    near: dict[int, set[int]] = defaultdict(set)
    for copy in copies:
        near[copy.first].add(copy.second)
        near[copy.second].add(copy.first)
    found: list[list[int]] = []
    while near:
        centre = min(near, key=lambda index: (-len(near[index]), index))
        group = {centre, *near[centre]}
        found.append(sorted(group))
        near = {index: others for index in near.keys() - group if (others := near[index] - group)}
    return sorted(found)


def _digest(pixels: NDArray[Any]) -> bytes:
    """Return what only samples (...) of the same shape with the same values share."""
    content = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    content.update(np.ascontiguousarray(pixels).data)
    return content.digest()


def _identical(thumbnails: Images) -> tuple[NDArray[np.int64], list[Copy]]:
    """Return the indices of the first of each kind of pixels, and the others as copies of it."""
    first_of: dict[bytes, int] = {}
    copies = []
    for start in range(0, len(thumbnails), CHUNK):
        for index, pixels in enumerate(thumbnails[start : start + CHUNK], start):
            first = first_of.setdefault(_digest(pixels), index)
            if first != index:
                copies.append(Copy(first, index, 1.0))
    return np.array(list(first_of.values()), np.int64), copies


def _roughly_aligned(thumbnails: Images, likeness: Likeness, candidates: Candidates) -> tuple[Candidates, Floats]:
    """Return the candidates that promise something at half the size, with the boxes found there.

    Of two whole images either may be a slight crop of the other: both ways are tried, and the better one is kept.
    """
    turned = candidates[candidates["view"] == 0]
    # copies, as a field is a view: the first assignment would change what the second reads
    turned["inner"], turned["outer"] = turned["outer"].copy(), turned["inner"].copy()
    tried = np.concatenate([candidates, turned])
    start = np.array(VIEWS, np.float32)[tried["view"]]
    tried["similarity"], _, boxes = _aligned(thumbnails, likeness, tried, boxes=start, halved=True)
    chosen = each_pair_once(tried, len(thumbnails))
    chosen = chosen[tried["similarity"][chosen] >= PROMISING]
    return tried[chosen], boxes[chosen]


def _aligned(
    thumbnails: Images, likeness: Likeness, candidates: Candidates, *, boxes: Floats, halved: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Return similarity and detail correlation (N,) of pairs after alignment, and the boxes (N, 4) of `outer`."""

    def batch(first: int) -> tuple[Floats, Floats, Floats]:
        rows = candidates[first : first + BATCH]
        inner, outer = (planes(thumbnails[rows[end]]) for end in ("inner", "outer"))
        if halved:
            inner, outer = _halved(inner), _halved(outer)
        outer[rows["mirrored"]] = outer[rows["mirrored"]][..., ::-1]
        found = align(inner[:, 0], outer[:, 0], boxes[first : first + BATCH])
        shown = cut(outer, found)
        return likeness.between(inner, shown), detail_correlation(inner[:, 0], shown[:, 0]), found

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy releases the interpreter's lock
        nothing = np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)
        results = [nothing, *pool.map(batch, range(0, len(candidates), BATCH))]
    similarity, detail, found = map(np.concatenate, zip(*results, strict=True))
    return similarity, detail, found


def _halved(images: Floats) -> Floats:
    """Return images (N, C, H, W) at half the size, each pixel the mean of four."""
    rows = images[:, :, 0::2] + images[:, :, 1::2]
    halved: Floats = (rows[..., 0::2] + rows[..., 1::2]) / 4
    return halved


def _threshold(descriptors: Floats, generator: np.random.Generator) -> float:
    """Return the similarity above which two images are copies.

    Of neighbours not the nearest is asked, and of what it says the lower half, so that copies hardly matter.
    """
    N = len(descriptors)
    sample = descriptors[generator.choice(N, min(N, SAMPLE), replace=False)]
    rank = min(NEIGHBOUR, N // 2) + 1  # each is its own nearest
    neighbour = np.partition(sample @ descriptors.T, N - rank, axis=1)[:, N - rank]
    # arctanh is Fisher's z, of which the deviation is the same wherever it lies; at 1 it is infinite
    low, middle = np.arctanh(np.clip(np.quantile(neighbour, [0.1, 0.5]), -0.999, 0.999))
    usual = np.tanh(middle + DEVIATIONS * (middle - low) / NORMAL_DECILE)
    return float(np.clip(usual, MIN_SIMILARITY, MAX_SIMILARITY))
