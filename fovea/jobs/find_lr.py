"""`fovea train --find-lr`: a sweep of learning rates."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fovea.display import Display
from fovea.drawing.sweep import sweep_picture
from fovea.runs.process import as_found
from fovea.runs.request import prepared
from fovea.storage import picture_path
from fovea.training.tuning import Sweep, sweep_rates


def find_lr(
    data: str | Path | None = None,
    *,
    out: str | Path = "learning-rate.png",
    display: Display | None = None,
    **options: Any,
) -> Sweep:
    """Return the losses over a sweep of learning rates and a good rate to start with; draw the sweep to `out`.

    `options` are those of `fovea.train`.

    Raises:
        TrainingError: the loss did not fall at any rate.
        FoveaError: as `fovea.train`.
    """
    path = picture_path(out)
    with as_found(), display or Display() as shown:
        trainer = prepared(data, display=shown, **options).trainer()
        sweep = sweep_rates(trainer, progress=shown.counter("sweeping the learning rate"))
    sweep_picture(sweep, path)
    return replace(sweep, picture=str(path))
