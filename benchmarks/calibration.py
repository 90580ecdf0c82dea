"""How honest probabilities are: the temperature against smoothed targets, against the temperature without smoothing.

    python benchmarks/calibration.py DATA... [--set KEY=VALUE]...

Each DATA is trained once, with a validation part and label smoothing of 0.2 unless `--set` says otherwise. Both
temperatures are fitted on the outputs for the validation part, and judged by the calibration error (15 bins) on test.
Without smoothing there is none where validation has no mistake: 1 is taken, as version 0.1.0 did.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from machine import arguments, begun
from torch.nn import functional as F

import fovea
from fovea.cli.settings import assigned
from fovea.data.dataset import Part
from fovea.data.sources.source import DataSource
from fovea.evaluation.parts import split_as_trained
from fovea.metrics import wilson_interval
from fovea.tasks.temperature import fit_temperature
from fovea.training.inference import part_labels


def main() -> None:
    """Print a row per data set."""
    parser = arguments(__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--from", dest="start", help="weights to begin with")
    parser.add_argument("--size", type=int, help="side of the input in pixels")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    given = begun(parser)
    settings: dict[str, Any] = {
        "start": given.start,
        "size": given.size,
        "label_smoothing": 0.2,
        "val_fraction": 0.1,
        **assigned(given.settings, taken={}),
    }
    print("| data | validation | test | temperature before, after | error at 1 | before | after |")
    print("|---|---|---|---|---|---|---|")
    for data in given.data:
        print(row(data, settings), flush=True)


def row(data: str, settings: dict[str, Any]) -> str:
    """Return one line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        result = fovea.train(data, out=Path(folder) / "run", **settings)
        model = fovea.load(result.model, device="auto")
    source = DataSource(data=data)
    found = split_as_trained(source.find(), model.card)
    decoded = source.decode(found, model.preprocess)
    outputs = {name: (model.outputs(part.decoded), part) for name, part in decoded.parts.items() if name != "train"}
    plain = model.target.at_temperature(1.0)
    val, labels = outputs["val"][0], part_labels(outputs["val"][1])
    flawless = bool((torch.from_numpy(plain.answers(val)) == labels).all())
    before = 1.0 if flawless else fit_temperature(val, lambda z: F.cross_entropy(z, labels))
    after = plain.calibrated(val, outputs["val"][1].labels).temperature
    errors = [plain.at_temperature(t).reliability(*of(outputs["test"])).error for t in (1.0, before, after)]
    shares = " | ".join(f"{100 * error:.1f} %" for error in errors)
    return (
        f"| {found.name} | {accuracy(plain, outputs['val'])} | {accuracy(plain, outputs['test'])} "
        f"| {'none' if flawless else f'{before:.3f}'}, {after:.3f} | {shares} |"
    )


def of(pair: tuple[torch.Tensor, Part]) -> tuple[torch.Tensor, object]:
    """Return outputs and labels of a part."""
    return pair[0], pair[1].labels


def accuracy(task: object, pair: tuple[torch.Tensor, Part]) -> str:
    """Return how many answers are right, of how many."""
    outputs, part = pair
    right = int((task.answers(outputs) == part.labels).sum())
    low, high = wilson_interval(right, len(part))
    return f"{right:,} of {len(part):,} ({100 * low:.1f} to {100 * high:.1f} %)"


if __name__ == "__main__":
    main()
