"""All methods of attribution: importing this file lists them in `METHODS`."""

from fovea.explanation.attribution import (  # noqa: F401 (their methods list themselves)
    cam,
    counterfactual,
    deeplift,
    gradients,
    masking,
    occlusion,
    rectified,
    relevance,
)
from fovea.explanation.attribution.registry import METHODS, Method, method_named

__all__ = ["METHODS", "Method", "method_named"]
