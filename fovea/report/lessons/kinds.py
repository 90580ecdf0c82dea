"""Every kind of live picture, known once this is imported."""

from fovea.report.lessons import cells, curves, networks, photographs, stack  # noqa: F401
from fovea.report.lessons.drawn import Drawn, Settings, drawn

__all__ = ["Drawn", "Settings", "drawn"]
