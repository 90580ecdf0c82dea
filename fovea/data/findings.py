"""What a look at a data set has found: counts, faults, and an example of each kind."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fovea.data.anomalies import Lengths, Sizes
from fovea.data.dataset import BadFile
from fovea.data.duplicates.groups import Group
from fovea.data.label_faults import LabelFault, LabelFaults
from fovea.data.target_faults import Fault, Targets

IMBALANCE = 10
"""The largest class has at least so many times the images of the smallest: worth a word, no fault."""


class Finding(NamedTuple):
    """One kind of thing that was looked for."""

    what: str
    found: int
    example: str
    fault: bool = True
    """False for what may be as it should: `--strict` lets it pass."""


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What was found in a data set."""

    data: str
    images: Mapping[str, int]
    """Images that can be read, by part."""
    classes: Mapping[str, Mapping[str, int]]
    """Images by class or label, then by part; empty if labels are numbers."""
    bad_files: Sequence[BadFile]
    groups: Sequence[Group]
    """Duplicates, the largest groups first."""
    sizes: Sizes | None
    """Of images; None for other kinds of input."""
    channels: Mapping[str, Mapping[str, Sequence[float]]]
    """`mean` and `std` per channel of thumbnails, pixels scaled to 0..1, by part; of other kinds of their values."""
    blank: Sequence[tuple[str, str]]
    """Name and part of images of a single colour, or samples of one value."""
    dark: Sequence[tuple[str, str]] = ()
    """Name and part of images that are nearly black, as values of 12 bits in files of 16."""
    strays: Sequence[str]
    """Files in the folder that are not part of the data set."""
    notes: tuple[str, ...] = ()
    lengths: Lengths | None = None
    """Of samples that have one."""
    nouns: str = "images"
    """What the samples are called."""
    label_faults: LabelFaults | None = None
    """Labels that look wrong to a network; None if none was asked."""
    targets: Targets | None = None
    """What is wrong with masks, boxes or points; None if labels do not lie on images."""

    @property
    def findings(self) -> list[Finding]:
        """What was looked for, how often it was found, and an example each."""
        exact = [group for group in self.groups if group.exact]
        unreadable = "files that cannot be read" if self.sizes else f"{self.nouns} that cannot be used"
        return [
            Finding(unreadable, len(self.bad_files), _first(map(_bad_text, self.bad_files))),
            Finding("label conflicts", *_counted(self.conflicts)),
            Finding("leaks between splits", *_counted(self.leaks)),
            Finding("exact duplicates", *_counted(exact)),
            *self._doubted(),
            *self._on_images(),
            *self._by_kind(),
            Finding("stray files", len(self.strays), _first(self.strays), fault=False),
            self._imbalance(),
        ]

    def _doubted(self) -> list[Finding]:
        """Return the labels that look wrong, where a network was asked: a look decides whether they are."""
        if self.label_faults is None:
            return []
        faults = self.label_faults.faults
        return [Finding("labels that may be wrong", len(faults), _first(map(_doubt_text, faults)), fault=False)]

    def _on_images(self) -> list[Finding]:
        """Return what masks, boxes or points are looked at for."""
        if self.targets is None:
            return []
        found = {what: self.targets.found(what) for what in self.targets.looked_for}
        return [
            Finding(what, len(found[what]), _first(map(_fault_text, found[what])), fault=fault)
            for what, fault in self.targets.looked_for.items()
        ]

    def _by_kind(self) -> list[Finding]:
        """Return what only images, or only samples that have a length, are looked at for."""
        empty = Finding(f"classes without training {self.nouns}", len(self.empty_classes), _first(self.empty_classes))
        blank = len(self.blank), _first(map(_place, self.blank))
        if self.sizes is None:
            odd = self.lengths.odd if self.lengths else []
            return [
                empty,
                Finding(f"constant {self.nouns}", *blank, fault=False),
                Finding("odd lengths", len(odd), _first(map(_place, odd)), fault=False),
            ]
        near = [group for group in self.groups if not group.exact]
        return [
            Finding("near duplicates", *_counted(near)),
            empty,
            Finding("blank images", *blank, fault=False),
            Finding("nearly black images", len(self.dark), _dark_text(self.dark), fault=False),
            Finding("odd sizes", len(self.sizes.odd), _first(map(_place, self.sizes.odd)), fault=False),
        ]

    @property
    def conflicts(self) -> list[Group]:
        """Duplicates with different labels."""
        return [group for group in self.groups if group.conflict]

    @property
    def leaks(self) -> list[Group]:
        """Duplicates in more than one part."""
        return [group for group in self.groups if group.leak]

    @property
    def empty_classes(self) -> list[str]:
        """Classes of which the train part has no image that can be read."""
        return [name for name, counts in self.classes.items() if "train" in self.images and not counts.get("train")]

    @property
    def faults(self) -> int:
        """How many files, groups of duplicates, classes and targets on images are not as they should be."""
        on_images = sum(finding.found for finding in self._on_images() if finding.fault)
        return len(self.bad_files) + len(self.groups) + len(self.empty_classes) + on_images

    def summary(self) -> list[str]:
        """Return lines for the terminal: what was looked at, the sizes and the channels."""
        parts = ", ".join(f"{count:,} {name}" for name, count in self.images.items())
        count = len(self.classes)
        classes = f", {count} classes" if count else ""
        of = " of thumbnails, 0..1" if self.sizes else ""
        channels = [
            f"{part}: mean {_figures(values['mean'])}, standard deviation {_figures(values['std'])}{of}"
            for part, values in self.channels.items()
        ]
        doubted = [f"labels: {line}" for line in self.label_faults.lines] if self.label_faults else []
        objects = self.targets.lines if self.targets else ()
        first = f"{self.data}: {parts} {self.nouns}{classes}"
        return [first, *self._size_lines(), *channels, *objects, *self.notes, *doubted]

    def _size_lines(self) -> list[str]:
        if self.sizes is not None:
            smallest, median, largest = ("x".join(map(str, size)) for size in self.sizes[:3])
            modes = ", ".join(f"{count:,} {mode}" for mode, count in self.sizes.modes.items())
            sizes = f"{median} pixels" if smallest == largest else f"{smallest} to {largest} pixels, median {median}"
            return [f"{sizes}; modes {modes}"]
        if self.lengths is None:
            return []
        low, middle, high, unit, _ = self.lengths
        return [f"{middle:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}, median {middle:g}"]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        groups = [
            {
                "images": [image._asdict() for image in group.images],
                **{
                    key: getattr(group, key)
                    for key in ("exact", "mirrored", "cropped", "similarity", "leak", "conflict")
                },
            }
            for group in self.groups
        ]
        return {
            **asdict(self),
            "findings": [finding._asdict() for finding in self.findings],
            "faults": self.faults,
            "bad_files": [bad._asdict() for bad in self.bad_files],
            "groups": groups,
            "sizes": self.sizes and self.sizes._asdict(),
            "lengths": self.lengths and self.lengths._asdict(),
            "label_faults": self.label_faults and self.label_faults.to_dict(),
            "targets": self.targets and self.targets.to_dict(),
        }

    def _imbalance(self) -> Finding:
        part = next(iter(self.images))
        counts = Counter({name: counts[part] for name, counts in self.classes.items() if counts.get(part)})
        ordered = counts.most_common()
        ratio = ordered[0][1] / ordered[-1][1] if ordered else 1.0
        text = f"{ordered[0][1]:,} of {ordered[0][0]}, {ordered[-1][1]:,} of {ordered[-1][0]}" if ordered else ""
        return Finding("imbalance", int(ratio) if ratio >= IMBALANCE else 0, text, fault=False)


def _figures(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _first(texts: Iterable[str]) -> str:
    return next(iter(texts), "")


def _place(image: tuple[str, str]) -> str:
    return "{} ({})".format(*image)


def _dark_text(dark: Sequence[tuple[str, str]]) -> str:
    return (
        f"{_first(map(_place, dark))}; 12-bit values stored in a 16-bit file look like this: multiply them by 16"
        if dark
        else ""
    )


def _fault_text(fault: Fault) -> str:
    return f"{_place((fault.name, fault.part))}{': ' if fault.detail else ''}{fault.detail}"


def _doubt_text(fault: LabelFault) -> str:
    return f"{fault.name} ({fault.part}, {fault.label}) may be {fault.likely}"


def _bad_text(bad: BadFile) -> str:
    return f"{bad.name} ({bad.reason})"


def _counted(groups: Sequence[Group]) -> tuple[int, str]:
    """Return how many groups there are, and two images of the first that differ in part or label if any do."""
    if not groups:
        return 0, ""
    images = groups[0].images
    other = next((image for image in images[1:] if image.label != images[0].label), None)
    other = other or next((image for image in images[1:] if image.part != images[0].part), images[1])
    return len(groups), " = ".join(f"{image.name} ({image.part}, {image.label})" for image in (images[0], other))
