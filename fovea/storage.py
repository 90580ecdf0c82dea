"""Writing files so that a crash, a full disk or a kill leaves either the old content or the new."""

import os
from pathlib import Path

from fovea.errors import StorageError


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name beside `path`, then rename it.

    Raises:
        StorageError: the disk is full, or the folder is missing or read-only; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise StorageError(f"`{path}` cannot be written ({reason}); free space or choose another folder.") from error
