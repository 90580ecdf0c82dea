"""All kinds of picture: importing this file lists them in `KINDS`."""

from fovea.jobs.pictures import (  # noqa: F401 (they list themselves)
    concepts,
    embedding,
    grid,
    layers,
    maximise,
    parts,
    training,
)
from fovea.jobs.pictures.asked import KINDS, Asked, Kind, Named

__all__ = ["KINDS", "Asked", "Kind", "Named"]
