"""What the studio was opened with: a model file, or a run with one in it. Nothing else of the disk is read."""

from dataclasses import dataclass
from pathlib import Path

from fovea.errors import UsageError
from fovea.model.bundle import Bundle, load


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A network and its name; both are missing where the studio was opened with nothing."""

    bundle: Bundle | None = None
    name: str = ""


def opened(what: str | Path | None) -> Opened:
    """Return what a model file or a run holds.

    Raises:
        UsageError: there is no such file, or it is an exported network, whose maps cannot be looked at.
        BundleError: it is no model file.
    """
    if what is None:
        return Opened()
    path = Path(what)
    if path.is_dir():
        path = path / "model.safetensors"
        if not path.exists():
            raise UsageError(f"`{what}` is no run with a `model.safetensors`; give a model file or a run.")
    if path.suffix == ".onnx":
        raise UsageError(f"`{what}` is an exported network, which keeps its maps to itself; give the model file.")
    return Opened(bundle=load(path), name=path.parent.name if path.name == "model.safetensors" else path.stem)
