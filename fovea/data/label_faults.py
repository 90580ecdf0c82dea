"""Labels that look wrong to a network, as a check of data reports them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fovea.texts import percent


class LabelFault(NamedTuple):
    """An image whose label is improbable."""

    name: str
    part: str
    label: str
    """As it is given."""
    likely: str
    """The class that its picture looks like."""
    probability: float
    """Of the label, by a classifier that has not seen this image's; 0..1."""
    likely_probability: float
    """Of the class that it looks like."""


@dataclass(frozen=True, kw_only=True)
class LabelFaults:
    """Labels that look wrong, and by what they do."""

    model: str
    """The file of the network whose features were used."""
    layer: str
    """Where they were taken."""
    judged: int
    """Images whose labels were looked at."""
    accuracy: float
    """Share of these that the classifier, which has not seen them, labels as they are labelled."""
    left_out: Mapping[str, int]
    """Classes of too few images to be judged, and how many they have."""
    seen: str
    """What is known of whether the network was trained on these labels, in one line."""
    faults: Sequence[LabelFault]
    """The most doubtful label first."""

    @property
    def lines(self) -> list[str]:
        """What the reader of the list must know."""
        found = (
            f"{percent(self.accuracy)} of {self.judged:,} labels agree with the features of `{self.layer}` of "
            f"{self.model}"
        )
        few = f"{len(self.left_out)} classes have too few images to be checked" if self.left_out else ""
        return [line for line in (found, self.seen, few) if line]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "faults": [fault._asdict() for fault in self.faults], "lines": self.lines}
