"""Which operators an exported network may use, and what each makes of its inputs: one rule each."""

from fovea.runtime.rules import elementwise, layout, quantised, reductions, windows  # noqa: F401 (they add their rules)
from fovea.runtime.rules.interface import RULES

__all__ = ["RULES"]
