"""What readers of points have in common: the data set they make, and whether its images may be mirrored."""

from collections.abc import Sequence

import numpy as np

from fovea.data.dataset import BadFile, Dataset
from fovea.data.sources.annotations.assembly import Sample, assembled
from fovea.tasks.opposites import opposites_by_name, opposites_by_place


def points_dataset(
    samples: Sequence[Sample],
    *,
    name: str,
    names: Sequence[str],
    notes: Sequence[str] = (),
    bad: Sequence[BadFile] = (),
) -> Dataset:
    """Return the data set of images with points (P, 3), which are called `names`.

    Its images may be mirrored where it is known which points are left and right: by their names, or by where they lie.

    Raises: DataError if there is no image.
    """
    said: list[str] = []
    known = len(names) < 2 or opposites_by_name(names) is not None
    if not known and samples:
        known = opposites_by_place(np.stack([sample.target for sample in samples])) is not None
        said.append(
            "left and right points were found by position: the mean shape is mirror symmetric"
            if known
            else "left and right points cannot be told from names or positions, so images are not mirrored"
        )
    given = {"name": name, "task": "points", "classes": names, "directional": not known}
    return assembled(samples, **given, notes=[*notes, *said], bad=bad)  # type: ignore[arg-type]
