"""What a step has found out, drawn beside the result of a chain."""

from pathlib import Path

from fovea.compression.pruning.prune import Pruned
from fovea.compression.step import Done


def picture_of(done: Done, out: Path, *, step: int) -> Path | None:
    """Write the picture of what the step with a number, from 1, has found, and return its file; None for none.

    Raises: StorageError where it cannot be written.
    """
    if not isinstance(done, Pruned) or done.sensitivity is None:
        return None
    from fovea.drawing.sensitivity import sensitivity_picture

    return sensitivity_picture(done.sensitivity, out.with_name(f"{out.stem}.{step}-sensitivity.png"))
