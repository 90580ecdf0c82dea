"""How much answers depend on concepts that a folder of images shows: TCAV, with its tests of significance."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fovea.errors import DataError, UsageError
from fovea.explanation.attribution.registry import COUNT
from fovea.explanation.features.concepts import LEVEL, Concept, tcav
from fovea.jobs.pictures.asked import Asked, pictured
from fovea.jobs.predict import find_images
from fovea.report.rasters import in_colour
from fovea.report.sheet import Drawn, Group, Sheet, Table

SETS = 20
"""Sets of random images."""
LARGEST = 40
"""Images of a random set, at most: as many as the smallest concept has."""
LEAST = 3
"""Images of a concept."""
ASKED = 100
"""Images of the class, at most."""


@pictured(
    "concepts",
    does="how much an answer depends on concepts, each given as a folder of images in `--concepts` (TCAV)",
    data="must",
    labelled=True,
    takes=("concepts", "layer", "target", "against"),
    settings={"sets": SETS, "most": ASKED},
    bounds={"sets": range(2, 1001), "most": COUNT},
)
def concepts(asked: Asked) -> Sheet:
    """Say how much the evidence for an answer grows towards each concept, against sets of random images of the data."""
    answers = [asked.bundle.target.answer_named(name) for name in asked.targets] or [asked.only_answer()]
    shown = _concepts(asked)
    chance = np.random.default_rng(asked.seed)
    size = min(LARGEST, *(len(images) for images in shown.values()))
    if len(asked.samples) < 2 * size:
        raise DataError(
            f"Random images are drawn from the data, which has {len(asked.samples)} images; at least {2 * size} are "
            "needed."
        )
    randoms = [
        asked.bundle.inputs_of(asked.samples.some(chance.choice(len(asked.samples), size, replace=False).tolist()))
        for _ in range(asked.setting("sets", SETS))
    ]
    groups, figures, lines = [], [], []
    for answer in answers:
        x = _images_of(asked, answer)
        found = tcav(
            asked.model,
            x,
            asked.objective([answer]),
            layer=asked.at,
            concepts={name: asked.bundle.inputs_of(pixels) for name, pixels in shown.items()},
            randoms=randoms,
            tests=len(shown) * len(answers),
            batch=asked.batch,
            seed=asked.seed,
            progress=asked.progress("concepts"),
        )
        named = asked.bundle.target.answer_text(answer)
        groups.append(Group(f"Evidence for {named}", f"Of {len(x)} images of this class.", table=_table(found)))
        figures.append({"answer": named, "images": len(x), "concepts": [_figures(one) for one in found]})
        lines += [f"{named}  {_line(one)}" for one in found]
    groups += [
        Group(f"Concept {name}", drawn=[Drawn(in_colour(image), width=90) for image in pixels[:10]])
        for name, pixels in shown.items()
    ]
    return Sheet(
        title=f"Concepts at {asked.at}",
        lead=f"{asked.name}: TCAV (Kim et al. 2017, arXiv:1711.11279), {len(randoms)} sets of {size} random images of "
        f"{asked.part.decoded.name}; significant at {LEVEL}, corrected for {len(shown) * len(answers)} tests.",
        groups=groups,
        figures={"layer": asked.at, "sets": len(randoms), "images_of_a_set": size, "answers": figures},
        lines=lines,
    )


def _concepts(asked: Asked) -> dict[str, np.ndarray[Any, Any]]:
    """Return the images of each concept, (n, H, W, C) uint8, by the name of its folder."""
    folder = asked.concepts
    if folder is None:
        raise UsageError("`concepts` is missing; give a folder with one folder of images per concept.")
    if not folder.is_dir():
        raise UsageError(
            f"`concepts` (={folder}) is not a folder; give a folder with one folder of images per concept."
        )
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not below:
        raise UsageError(f"`concepts` (={folder}) has no folders; it needs one folder of images per concept.")
    found = {path.name: [asked.bundle.read(Path(file)) for file in find_images([path])] for path in below}
    for name, images in found.items():
        if len(images) < LEAST:
            raise UsageError(f"The concept `{name}` has {len(images)} image(s); at least {LEAST} are needed.")
    return {name: np.stack(images) for name, images in found.items()}


def _images_of(asked: Asked, answer: int) -> Tensor:
    """Return inputs (N, C, H, W) of images that have the answer: by their labels, or without classes any."""
    labels = asked.labels
    groups = asked.bundle.target.strata(labels)
    if groups is None:
        rows = np.arange(len(labels))
    else:
        rows = np.flatnonzero(groups[:, answer] if groups.ndim == 2 else groups == answer)
    if not len(rows):
        raise DataError(f"{asked.part.name} has no image of `{asked.bundle.target.answer_text(answer)}`.")
    chosen = np.random.default_rng(asked.seed).permutation(rows)[: asked.setting("most", ASKED)]
    return torch.cat([asked.bundle.inputs_of(asked.samples.some([int(row)])) for row in chosen])


def _table(found: list[Concept]) -> Table:
    rows = [
        [
            one.name,
            f"{one.score:.2f} ± {float(one.scores.std()):.2f}",
            f"{float(one.random_scores.mean()):.2f} ± {float(one.random_scores.std()):.2f}",
            f"{one.p_scores:.2g}",
            f"{one.accuracy:.2f}",
            f"{one.p_known:.2g}",
            _verdict(one),
        ]
        for one in found
    ]
    return Table(("concept", "score", "random", "p", "known", "p known", "verdict"), rows)


def _verdict(one: Concept) -> str:
    if not one.significant:
        return "not significant"
    return "evidence for it" if one.score > float(one.random_scores.mean()) else "evidence against it"


def _figures(one: Concept) -> dict[str, Any]:
    return {
        "concept": one.name,
        "score": one.score,
        "random": float(one.random_scores.mean()),
        "p": one.p_scores,
        "accuracy": one.accuracy,
        "p_known": one.p_known,
        "significant": one.significant,
    }


def _line(one: Concept) -> str:
    return f"{one.name:<20} {one.score:.2f} (random {float(one.random_scores.mean()):.2f})  {_verdict(one)}"
