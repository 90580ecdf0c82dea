"""How a figure becomes a file."""

import io
import warnings
from pathlib import Path

from matplotlib.figure import Figure

from fovea.storage import write_atomically

DPI = 110


def save_figure(figure: Figure, path: Path, *, dpi: int = DPI) -> Path:
    """Write the figure, whole or not at all, in the format of the suffix, and return `path`.

    Raises: StorageError where it cannot be written.
    """
    with io.BytesIO() as stream, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names and titles may be in any script
        figure.savefig(stream, format=path.suffix.lower().removeprefix("."), dpi=dpi)
        write_atomically(path, stream.getvalue())
    return path
