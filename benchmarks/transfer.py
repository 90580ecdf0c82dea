"""A few photographs of each class: published MobileNetV2 weights against training from scratch, in the same time.

The first `--images` of every class folder are trained on, the last `--images` are the test part; both by the plans that
`fovea train` chooses under `--budget`, which takes a tenth of the training part for validation. The linear probe is one
pass over the training images.

    python benchmarks/transfer.py FOLDER [WEIGHTS] [--images 100] [--budget 2m]

WEIGHTS is what `--from` takes; without it the weights at hand, as in `fovea train`.
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

from machine import arguments, begun, on_test, run_fovea

from fovea.data.sources.folders import is_image
from fovea.plans.start_weights import start_at_hand
from fovea.texts import natural_key

SIZE = 128


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", nargs="?")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--budget", default="2m")
    parser.add_argument("--size", type=int, default=SIZE)
    options = begun(parser)
    hand = start_at_hand()
    weights = options.weights or (hand.weights if hand else sys.exit("No weights at hand; name a file."))
    start = ["--from", weights, "--size", str(options.size)]
    contestants = {
        "linear probe": [*start, "--probe"],
        "from the weights": [*start, "--budget", options.budget],
        "from scratch": ["--from", "none", "--budget", options.budget],
    }
    print(f"{options.images} images of each class of {options.folder.name} to train on, as many to test on")
    with tempfile.TemporaryDirectory() as folder:
        data = manifest(options.folder, Path(folder) / "data.csv", images=options.images)
        for name, choices in contestants.items():
            began = time.perf_counter()
            out = Path(folder) / name.replace(" ", "-")
            result = on_test(run_fovea("train", str(data), *choices, "--out", str(out)))
            low, high = result["interval"]
            print(
                f"{name:18} {result['accuracy']:6.1%} of {result['images']} ({low:.1%} to {high:.1%}), "
                f"{time.perf_counter() - began:4.0f} s from start to end",
                flush=True,
            )


def manifest(folder: Path, file: Path, *, images: int) -> Path:
    """Write a list of the first and last `images` of each class folder, as parts train and test."""
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label", "split"))
        for label in sorted(path for path in folder.iterdir() if path.is_dir()):
            names = sorted((path.name for path in label.iterdir() if is_image(path.name)), key=natural_key)
            if len(names) < 2 * images:
                sys.exit(f"`{label}` has {len(names)} images; {2 * images} are needed: choose smaller --images.")
            for part, chosen in (("train", names[:images]), ("test", names[-images:])):
                rows.writerows((label.resolve() / name, label.name, part) for name in chosen)
    return file


if __name__ == "__main__":
    main()
