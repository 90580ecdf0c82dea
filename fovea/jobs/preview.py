"""`fovea train --preview`: what the network will see."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fovea import inputs
from fovea.display import Display
from fovea.drawing.contact_sheet import SHEETS, contact_sheet
from fovea.runs.preparation import Prepared
from fovea.runs.process import as_found
from fovea.runs.request import prepared
from fovea.storage import picture_path

PREVIEW_IMAGES = 64


def preview(
    data: str | Path | None = None,
    *,
    out: str | Path = "preview.png",
    display: Display | None = None,
    **options: Any,
) -> Path:
    """Write the contact sheet of what the network will see in training, augmented, and return its path.

    `options` are those of `fovea.train`.

    Raises:
        FoveaError: as `fovea.train`.
    """
    path, _ = previewed(data, out=out, display=display, **options)
    return path


def previewed(
    data: str | Path | None, *, out: str | Path, display: Display | None = None, **options: Any
) -> tuple[Path, dict[str, Any]]:
    """Return the path of the contact sheet, as `preview`, and what is planned as JSON values."""
    path = picture_path(out, suffixes=SHEETS)
    options |= {"threads": torch.get_num_threads(), "precision": "float32"}  # nothing is computed that is worth timing
    with as_found(), display or Display() as shown:
        training = prepared(data, display=shown, **options)
        trainer = training.trainer()
        indices = next(trainer.batches())[:PREVIEW_IMAGES]
        images, labels = trainer.load(indices, torch.Generator(trainer.device).manual_seed(trainer.recipe.seed))
        kind = inputs.kind_of(trainer.preprocess)
        samples = trainer.prepare.undo(images).cpu().movedim(1, -1).numpy()
        pictures = [kind.thumbnail(sample) for sample in samples]
        if trainer.target.lies_on_image and isinstance(labels, torch.Tensor):
            laid = labels.cpu().numpy()
            pictures = [trainer.target.drawn(label, each) for label, each in zip(laid, pictures, strict=True)]
        contact_sheet(torch.from_numpy(np.stack(pictures)).movedim(-1, 1), path)
        return path, planned(training)


def planned(training: Prepared) -> dict[str, Any]:
    """Return network, input, data and recipe of a training that is ready, as JSON values.

    Thread count and precision are not among them: `preview` does not time them.
    """
    plan, recipe = training.plan, training.plan.recipe.to_dict()
    if training.budget_s:
        recipe["budget_s"] = training.budget_s
    return {
        "model": plan.model,
        "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "size": plan.size,
        "fit": plan.fit,
        "images": {name: part.images for name, part in training.dataset.parts.items()},
        "classes": list(training.target.classes),
        "recipe": {name: value for name, value in recipe.items() if name not in ("threads", "precision")},
        "reasons": list(plan.reasons),
    }
