"""Which criterion finds the normalisation of weights that do not say it.

Each network is shown images of each folder under the four conventions. Compared are the way that `fovea train` chooses
(ImageNet's is the usual convention) and, all of the head that the network was trained with, the cross-entropy between
the answers to an image and its mirror image, the entropy of an answer, the largest probability, the mutual information
of image and answer; and, with labels, the cross-validated accuracy and loss of a logistic regression on the features.
The last line counts how often each would choose the true convention.

    python -m experiments.normalisation WEIGHTS[:NETWORK]=CONVENTION ... --folders FOLDER ... [--images 64] [--size 224]

CONVENTION is the one that the weights were trained with: imagenet, half, unit or caffe. The network's own answers are
to about 64 of the images, enlarged to `--answers-size`, 288 as `fovea train` does it; `--reduce 32` shows what
photographs of 32 pixels would give.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from fovea.data.sources.folders import is_image
from fovea.model.normalisation import (
    CONVENTIONS,
    TRIED_IMAGES,
    Convention,
    best_of,
    loss_of_a_head,
    tried,
    with_own_head,
)
from fovea.model.reading import read_weights
from fovea.model.weights import network_of
from fovea.training.logistic_head import fitted_head
from fovea.training.probing import ends_dense, head_features

CRITERIA = ("chosen", "surprise", "entropy", "probability", "information", "accuracy", "loss")
NAMES = dict(zip(("imagenet", "half", "unit", "caffe"), CONVENTIONS, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--folders", nargs="+", type=Path, required=True)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--answers-size", type=int, help="side at which the answers are compared; default: --size")
    parser.add_argument("--reduce", type=int, help="side that images are reduced to first")
    options = parser.parse_args()
    right, cases = dict.fromkeys(CRITERIA, 0), 0
    print(f"{'network':16} {'images':12} {'convention':10} " + " ".join(f"{name:>10}" for name in CRITERIA))
    for asked in options.weights:
        place, _, truth = asked.partition("=")
        file, _, network = place.partition(":")
        model = with_own_head(read_weights(file), network or network_of(file) or "")
        assert model is not None, f"{file} fits no head"  # noqa: S101
        for folder in options.folders:
            images, labels = sample(folder, options.images, options.size, reduced=options.reduce)
            began = time.process_time()
            rows = tried(model, enlarged(images[:: max(1, len(images) // TRIED_IMAGES)], options.answers_size))
            several = len(labels.unique()) > 1
            accuracies = [accuracy(model, images, labels, c) if several else 0.0 for c in CONVENTIONS]
            losses = [loss_of_a_head(model, images, labels, c) if several else None for c in CONVENTIONS]
            best_row = best_of(rows)
            scores = [
                (
                    *(float(row is best_row), -row.surprise, -row.entropy, row.confidence, row.information, found),
                    -math.inf if loss is None else -loss,
                )
                for row, found, loss in zip(rows, accuracies, losses, strict=True)
            ]
            where = "/".join(folder.parts[-2:])[-12:]
            for name, own in zip(NAMES, scores, strict=True):
                shown = " ".join(f"{abs(value):10.3f}" for value in own)
                print(f"{Path(file).name[:16]:16} {where:12} {name:8} {'*' if name == truth else ' '} {shown}")
            cases += 1
            for position, criterion in enumerate(CRITERIA):
                best = max(range(len(scores)), key=lambda row: scores[row][position])  # noqa: B023 (used at once)
                right[criterion] += list(NAMES)[best] == truth
            print(f"  {time.process_time() - began:.0f} s of processor time", flush=True)
    print(f"right in {cases} cases: " + ", ".join(f"{name} {count}" for name, count in right.items()))


def enlarged(images: torch.Tensor, side: int | None) -> torch.Tensor:
    """Return images (N, 3, H, W) as squares of `side` pixels, if one is given."""
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True) if side else images


def sample(folder: Path, count: int, size: int, *, reduced: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, 3, size, size) 0..1 spread over all classes, and labels (N,) by the folder that they are in.

    They are `reduced` to this many pixels square first.
    """
    files = sorted(path for path in folder.rglob("*") if is_image(path.name))
    chosen = [files[row] for row in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    names = sorted({path.parent.name for path in chosen})
    pixels = []
    for path in chosen:
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((reduced, reduced)) if reduced else image
        pixels.append(np.asarray(image.resize((size, size))))
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    return images, torch.tensor([names.index(path.parent.name) for path in chosen])


def accuracy(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, convention: Convention) -> float:
    """Return the cross-validated accuracy of logistic regression on the features under a convention."""
    if not ends_dense(model):
        return float("nan")
    mean, std = (torch.tensor(values)[:, None, None] for values in convention[1:3])
    fed = (images - mean) / std
    fed = fed.flip(1) if convention.reversed else fed
    features = torch.cat([x for x, _ in head_features(model, zip(fed.split(32), labels.split(32), strict=True))])
    head = fitted_head(features, labels, classes=int(labels.max()) + 1)
    return 0.0 if head.correct is None else head.correct / head.images


if __name__ == "__main__":
    main()
