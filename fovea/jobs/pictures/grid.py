"""Occlusion sensitivity by several sizes of patch, for several answers: the grid of the slide."""

import numpy as np

from fovea.errors import UsageError
from fovea.explanation.attribution.occlusion import PATCHES, occlusion_grid
from fovea.explanation.attribution.registry import COUNT
from fovea.explanation.passes import FILLS
from fovea.jobs.pictures.asked import Asked, pictured
from fovea.report.rasters import Pixels, in_colour, overlay
from fovea.report.sheet import Drawn, Group, Sheet

ANSWERS = 3
"""Rows, where none are named."""
DRAWN_FOR = 224
"""Pixels of the shorter side of the image that `PATCHES` are meant for."""
COVER = 0.75
GAP = 4


@pictured(
    "occlusion-grid",
    does="occlusion with several patch sizes side by side, one row per answer",
    images="must",
    takes=("target", "against"),
    settings={"patches": [*PATCHES], "fill": "mean"},
    bounds={"patches": COUNT, "fill": tuple(FILLS)},
)
def grid(asked: Asked) -> Sheet:
    """Draw what each place costs each answer when a patch hides it: answers as rows, sizes of patch as columns."""
    side = min(asked.bundle.preprocess.shape[1:])
    usual = sorted({max(1, round(patch * side / DRAWN_FOR)) for patch in PATCHES})
    patches = asked.setting("patches", list(PATCHES) if side > max(PATCHES) else usual)
    fill = asked.setting("fill", "mean")
    if max(patches) > side:
        raise UsageError(f"`patches`: {max(patches)} is more than the {side} pixels of the image's shorter side.")
    groups, arrays, figures, lines = [], {}, [], []
    for number, image in enumerate(asked.images):
        x = asked.inputs([image])
        answers = asked.answers(x, count=ANSWERS)
        found = occlusion_grid(
            asked.model,
            x,
            [asked.objective([each]) for each in answers],
            patches=patches,
            fill=fill,
            batch=asked.batch,
            seed=asked.seed,
            progress=asked.progress(f"occlusion of {image.name}"),
        ).numpy()
        stem = f"{number:03d}-grid" if len(asked.images) > 1 else "grid"
        names = [asked.bundle.target.answer_text(each) for each in answers]
        drawn = Drawn(
            _laid_out(image.pixels, found), "", f"Rows: {', '.join(names)}. Columns: {_sizes(patches)}.", stem
        )
        groups.append(Group(image.name, drawn=[drawn._replace(width=min(1040, 170 * len(patches)))]))
        arrays[f"grid{number}"] = found
        largest = np.abs(found).max((2, 3))
        figures.append({"image": image.name, "answers": names, "patches": patches, "largest": largest.tolist()})
        lines += [f"{image.name}  {name}  {_costs(row, patches)}" for name, row in zip(names, found, strict=True)]
    return Sheet(
        title="Occlusion by several sizes of patch",
        lead=(
            f"{asked.name}; orange where hiding removes evidence for the answer, blue where it adds evidence; "
            f"hidden pixels are filled with {fill}."
        ),
        groups=groups,
        arrays=arrays,
        figures={"fill": fill, "images": figures},
        lines=lines,
    )


def _laid_out(pixels: Pixels, found: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Pixels:
    """Return the maps (answers, sizes, H, W) laid over the image (H, W, C), as one picture (h, w, 4)."""
    A, P, H, W = found.shape
    laid = np.zeros((A * (H + GAP) - GAP, P * (W + GAP) - GAP, 4), np.uint8)
    grey = in_colour(pixels).mean(2, keepdims=True).repeat(3, axis=2)  # without colour the map stands out
    for row in range(A):
        for column in range(P):
            heat = overlay(found[row, column], signed=True)
            share = COVER * heat[..., 3:] / 255
            top, left = row * (H + GAP), column * (W + GAP)
            laid[top : top + H, left : left + W, :3] = (grey * (1 - share) + heat[..., :3] * share).round()
            laid[top : top + H, left : left + W, 3] = 255
    return laid


def _sizes(patches: list[int]) -> str:
    return f"patches of {', '.join(map(str, patches))} pixels"


def _costs(row: np.ndarray[tuple[int, ...], np.dtype[np.float32]], patches: list[int]) -> str:
    most = row.reshape(len(patches), -1).max(1)
    return "at most " + ", ".join(f"{cost:.2f} by {patch}" for cost, patch in zip(most, patches, strict=True))
