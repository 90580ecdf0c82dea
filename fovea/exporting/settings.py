"""What an exported file is to be."""

from dataclasses import dataclass
from typing import Any

from fovea.errors import UsageError

OPSET = 20
"""The version of ONNX's operators that every exported file is written in."""
PRECISIONS = ("float32", "float16", "int8")


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What an exported file is to be.

    Raises: UsageError for what is not known, or excludes each other.
    """

    precision: str = "float32"
    """Of weights and arithmetic inside: float32, float16 or int8. Outputs are float32 with any."""
    raw: bool = False
    """Normalised float32 in, logits out; no preprocessing and no decoding inside."""
    dynamic_size: bool = False
    """Height and width of images are left open."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"`precision` (={self.precision}) must be one of {', '.join(PRECISIONS)}.")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, as the card holds them."""
        return {"precision": self.precision, "raw": self.raw, "dynamic_size": self.dynamic_size, "opset": OPSET}


PLAIN = ExportSettings()
"""float32, with preprocessing and decoding inside."""
