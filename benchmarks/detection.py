"""Boxes: `fovea train` by its own plan against RetinaNet on the same backbone in the usual loop, for the same time.

    python benchmarks/detection.py BCCD KANGAROOS [--minutes 10] [--clock cpu] [--record detection.jsonl]
    python benchmarks/detection.py BCCD --only retinanet --minutes 60 --bfloat16 # long enough to converge

Data without a test part gets one by the order of names (`contest.with_parts`). The plain side: the zoo's RetinaNet,
whose outputs, anchors and losses are torchvision's (`tests/zoo/test_retinanet.py`), on ResNet-18 with batch norms that
learn, AdamW with one cycle and clipping, batch 8, our input size and our augmentation, random weights as ours. It
trains once at each of `--rates`, each time for `--minutes`; the one with the best AP50 on the validation part counts.
Both sides are scored on the test images at their own size; the interval of the difference is a bootstrap over images.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import contest
import numpy as np
import torch
from torch import nn

from fovea.data.sources.source import find
from fovea.metrics.boxes import AT_50, EACH, ap_statistic, compared_boxes
from fovea.metrics.matching import SIZES, THRESHOLDS, ClassMatches, matched
from fovea.metrics.resampling import bootstrap_interval
from fovea.preprocess import Preprocess
from fovea.registry import build
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.boxes import Boxes
from fovea.tasks.task import Task
from fovea.training.schedules import one_cycle

BACKBONE = "resnet18"
BATCH = 8


def retinanet(rate: float, *, bfloat16: bool) -> contest.Plain:
    def network(target: Task, geometry: Preprocess) -> nn.Module:
        given = {"classes": target.outputs, "c_in": geometry.channels, "size": geometry.size[0]}
        return build("retinanet", **given, backbone=BACKBONE, frozen_norm=False)

    return contest.Plain(
        network=network,
        loss=lambda target: target.criterion(),
        optimiser=lambda network: torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01),
        batch=BATCH,
        change=contest.as_ours(Boxes.usual(None).recipe["augment"]),
        schedule=one_cycle,
        clip=1.0,
        bfloat16=bfloat16,
    )


def found_by(side: contest.Trained, wanted: Sequence[contest.Sample]) -> list[list[list[float]]]:
    """Return what was found in each image, class, box and score, short enough for the record."""
    answers = contest.answers(side.predictor, wanted, min_score=0.0)
    found = [answer.found for answer in answers if isinstance(answer, BoxPrediction)]
    return [[[int(row[0]), *np.round(row[1:5], 2).tolist(), round(float(row[5]), 5)] for row in rows] for rows in found]


def matches(wanted: Sequence[contest.Sample], found: list[list[list[float]]], classes: int) -> list[ClassMatches]:
    """Return which of the boxes found is which true one, by class."""
    pairs = zip(wanted, found, strict=True)
    images = [compared_boxes(sample.label, np.array(rows, np.float64).reshape(-1, 6)) for sample, rows in pairs]
    return matched(images, classes=classes, thresholds=THRESHOLDS, sizes=[SIZES["all"]])


def ap(own: list[ClassMatches], thresholds: Sequence[int] = (AT_50,)) -> float:
    images = own[0].wanted.shape[1]
    return float(ap_statistic(own, thresholds)(np.ones((1, images)))[0])


def run_ours(data: str, terms: contest.Terms) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        side = contest.train_ours(data, terms, ["--from", "none"], Path(folder))
        return {**side.note, "found": found_by(side, contest.samples(data, terms.task))}


def run_retinanet(data: str, terms: contest.Terms, plain: contest.Plain, size: int) -> dict[str, Any]:
    side = contest.train_plain(data, plain, terms, size=size, form="anchors")
    val = contest.samples(data, terms.task, "val")
    reached = ap(matches(val, found_by(side, val), len(find(data, task=terms.task).classes)))
    return {**side.note, "val_ap50": reached, "found": found_by(side, contest.samples(data, terms.task))}


def report(data: str, lines: dict[str, dict[str, Any]], task: str) -> None:
    """Print what both reached on the test part, and the difference with its paired interval."""
    wanted, classes = contest.samples(data, task), len(find(data, task=task).classes)
    own = {name: matches(wanted, line["found"], classes) for name, line in lines.items()}
    for name, found in own.items():
        low, high = bootstrap_interval(ap_statistic(found, [AT_50]), len(wanted))
        print(f"  {name:10} AP50 {ap(found):.2%} ({low:.2%} to {high:.2%}), AP {ap(found, EACH):.2%}")
    if len(own) == 2:
        ours, plain = (ap_statistic(own[name], [AT_50]) for name in ("fovea", "retinanet"))
        low, high = bootstrap_interval(lambda w: ours(w) - plain(w), len(wanted))
        difference = ap(own["fovea"]) - ap(own["retinanet"])
        print(f"  fovea - retinanet: AP50 {difference:+.2%} ({low:+.2%} to {high:+.2%})", flush=True)


def main() -> None:
    parser = contest.parser_of(__doc__, "boxes", record="detection.jsonl")
    contest.plain_size(parser, "boxes")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 3e-4, 1e-3], help="of the plain side")
    parser.add_argument("--bfloat16", action="store_true", help="of the plain side, so that it converges sooner")
    parser.add_argument("--only", nargs="+", choices=("fovea", "retinanet"), default=["fovea", "retinanet"])
    given, record, terms = contest.opened(parser)
    for named in given.data:
        with tempfile.TemporaryDirectory() as folder:
            data, lines = contest.with_parts(named, terms.task, Path(folder)), {}
            if "fovea" in given.only:
                key = contest.key_of(named, "fovea", terms)
                lines["fovea"] = record.once(key, lambda data=data: run_ours(data, terms))
            if "retinanet" in given.only:
                tried = []
                for rate in given.rates:
                    fast = {"bfloat16": True} if given.bfloat16 else {}
                    key = contest.key_of(named, "retinanet", terms, rate=rate, size=given.size, **fast)
                    plain = retinanet(rate, bfloat16=given.bfloat16)
                    tried.append(record.once(key, lambda: run_retinanet(data, terms, plain, given.size)))  # noqa: B023
                    print(f"  rate {rate:g}: AP50 {tried[-1]['val_ap50']:.2%} on val")
                lines["retinanet"] = max(tried, key=lambda line: line["val_ap50"])
            print(f"{Path(named).name}, {len(contest.samples(data, terms.task))} images")
            report(data, lines, terms.task)


if __name__ == "__main__":
    main()
