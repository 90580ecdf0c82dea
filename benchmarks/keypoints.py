"""Points: `fovea train` by its own plan against a regression of coordinates in the usual loop, for the same time.

    python benchmarks/keypoints.py BY_PERSON.csv [--minutes 10] [--clock cpu] [--record keypoints.jsonl]

The CSV says by its column `split` which images are tested on: of persons that no other part shows. The plain side:
ResNet-18 whose last map a dense layer turns into coordinates (the zoo's `point_regression`), mean absolute error, Adam
at 1e-3 with one cycle, batch 32, our input size and our augmentation, on random weights as ours. Scored are the mean
distance in shares of the longer side of the box around the true points, and how many points lie within a tenth of it
(PCK@0.1), with the interval of the difference by a bootstrap over images.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import contest
import numpy as np
import torch
from torch import nn

from fovea.metrics.points import box_sizes, correct_points, normalised_errors, point_distances
from fovea.metrics.resampling import mean_interval
from fovea.preprocess import Preprocess
from fovea.registry import build
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.points import Points
from fovea.tasks.task import Task
from fovea.training.schedules import one_cycle

NEAR = 0.1
MEASURES = {"nme": "normalised mean error", "pck": "PCK@0.1"}


def regression() -> contest.Plain:
    def network(target: Task, geometry: Preprocess) -> nn.Module:
        given = {"classes": target.outputs, "c_in": geometry.channels, "size": geometry.size[0]}
        return build("point_regression", **given, backbone="resnet18")

    return contest.Plain(
        network=network,
        loss=lambda target: target.criterion(),
        optimiser=lambda network: torch.optim.Adam(network.parameters(), lr=1e-3),
        batch=32,
        change=contest.as_ours(Points.usual(None).recipe["augment"]),
        schedule=one_cycle,
    )


def scored(side: contest.Trained, wanted: Sequence[contest.Sample]) -> dict[str, Any]:
    """Return both measures of each image, for the record."""
    found = [answer.points for answer in contest.answers(side.predictor, wanted) if isinstance(answer, PointPrediction)]
    truth = np.stack([sample.label for sample in wanted])
    distances, sizes = point_distances(truth, np.stack(found)), box_sizes(truth)
    nme, pck = normalised_errors(distances, sizes), correct_points(distances, sizes, share=NEAR)
    return {**side.note, "nme": nme.round(6).tolist(), "pck": pck.round(6).tolist()}


def report(lines: dict[str, dict[str, Any]]) -> None:
    """Print the means of each side, and the difference with its paired interval."""
    for measure, title in MEASURES.items():
        values = {name: np.array(line[measure], np.float64) for name, line in lines.items()}
        print(f"{title}, {len(next(iter(values.values())))} images")
        for name, own in values.items():
            low, high = mean_interval(own)
            print(f"  {name:10} {np.nanmean(own):.2%} ({low:.2%} to {high:.2%})")
        if len(values) == 2:
            away = values["fovea"] - values["regression"]
            low, high = mean_interval(away)
            print(f"  fovea - regression: {np.nanmean(away):+.2%} ({low:+.2%} to {high:+.2%})", flush=True)


def sides(data: str, terms: contest.Terms, size: int, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return how the line of each method is made."""
    wanted = contest.samples(data, terms.task)

    def ours() -> dict[str, Any]:
        return scored(contest.train_ours(data, terms, ["--from", "none"], folder), wanted)

    def plain() -> dict[str, Any]:
        return scored(contest.train_plain(data, regression(), terms, size=size, form="coordinates"), wanted)

    return {"fovea": ours, "regression": plain}


def main() -> None:
    parser = contest.parser_of(__doc__, "points", record="keypoints.jsonl")
    contest.plain_size(parser, "points")
    given, record, terms = contest.opened(parser)
    for data in given.data:
        with tempfile.TemporaryDirectory() as folder:
            made = sides(data, terms, given.size, Path(folder))
            lines = {name: record.once(contest.key_of(data, name, terms), run) for name, run in made.items()}
        print(Path(data).name)
        report(lines)


if __name__ == "__main__":
    main()
