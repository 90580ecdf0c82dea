"""All methods of attribution: importing this file lists them in `METHODS`."""

from fovea.explanation import cam, deeplift, gradients, masking, occlusion, rectified, relevance  # noqa: F401 (they list themselves)
from fovea.explanation.attribution import METHODS, Method, method_named

__all__ = ["METHODS", "Method", "method_named"]
