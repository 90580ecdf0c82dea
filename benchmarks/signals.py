"""Series, recordings and clips: what the plans of `fovea train` are worth on data whose test part scores once.

    python benchmarks/signals.py series GUNPOINT ITALYPOWERDEMAND     # folders with NAME_TRAIN.ts and NAME_TEST.ts
    python benchmarks/signals.py recordings FSDD [--speakers theo]    # the folder with 0_theo_12.wav and so on
    python benchmarks/signals.py clips                                # made: digits that move (experiments)

Series are scored beside the figures of Wang et al. 2016 (arXiv:1611.06455, table 1), by FCN and ResNet. Recordings are
scored speaker by speaker: each in turn is the test part, and the five others are trained on. Everything else is what
`fovea train` chooses, with fixed epochs, no validation part and the last weights.
"""

import csv
import sys
import tempfile
from pathlib import Path

from machine import arguments, begun, on_test, run_fovea

PUBLISHED = {
    "GunPoint": {"fcn_1d": 1.0, "resnet_1d": 0.993},
    "ItalyPowerDemand": {"fcn_1d": 0.97, "resnet_1d": 0.96},
}
FIXED = ("--val-fraction", "0", "--precision", "float32")
PER_CLASS = 300
"""Clips of each direction that are trained on."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("what", choices=("series", "recordings", "clips"))
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--speakers", default="", help="only these, between commas")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--networks", default="fcn_1d,resnet_1d", help="of series, between commas")
    options = begun(parser)
    fixed = [*FIXED, "--threads", options.threads]
    with tempfile.TemporaryDirectory() as scratch:
        if options.what == "series":
            for folder in options.folders:
                series(folder, Path(scratch), fixed, options.networks.split(","))
        elif options.what == "recordings":
            recordings(options.folders[0], Path(scratch), fixed, options.speakers)
        else:
            clips(Path(scratch), fixed)


def report(name: str, data: Path, choices: list[str], out: Path, *, published: float | None = None) -> float:
    """Train and print the score on the test part; return it."""
    found = run_fovea("train", str(data), *choices, "--out", str(out))
    result = on_test(found)
    low, high = result["interval"]
    beside = "" if published is None else f", published {published:.1%}"
    print(
        f"{name:28} {result['accuracy']:7.2%} of {result['images']} ({low:.1%} to {high:.1%}){beside}, "
        f"{found['seconds']:.0f} s, {found['pflop']:.2g} PFLOP",
        flush=True,
    )
    return float(result["accuracy"])


def series(folder: Path, scratch: Path, fixed: list[str], networks: list[str]) -> None:
    """Score the networks of the paper on one data set."""
    for network in networks:
        published = PUBLISHED.get(folder.resolve().name, {}).get(network)
        name = f"{folder.resolve().name} {network}"
        report(name, folder, ["--model", network, *fixed], scratch / name.replace(" ", "-"), published=published)


def recordings(folder: Path, scratch: Path, fixed: list[str], chosen: str) -> None:
    """Score each speaker by a network that was trained on the five others."""
    files = sorted(folder.resolve().glob("*_*_*.wav"))
    speakers = sorted({file.name.split("_")[1] for file in files})
    if len(speakers) < 2:
        sys.exit(f"`{folder}` has no files DIGIT_SPEAKER_NUMBER.wav of several speakers.")
    scores = {}
    for speaker in chosen.split(",") if chosen else speakers:
        data = scratch / f"{speaker}.csv"
        with data.open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(("path", "label", "split"))
            for file in files:
                digit, said_by, _ = file.name.split("_")
                rows.writerow((file, digit, "test" if said_by == speaker else "train"))
        scores[speaker] = report(f"without {speaker}", data, fixed, scratch / speaker)
    print(f"mean of {len(scores)} speakers {sum(scores.values()) / len(scores):.2%}")


def clips(scratch: Path, fixed: list[str]) -> None:
    """Score directions of movement, which no single frame shows; digits of the test part are others."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from experiments.moving_digits import write

    write(scratch / "clips", counts={"train": PER_CLASS, "test": 100})
    report("moving digits", scratch / "clips", ["--input", "clips", *fixed], scratch / "run")


if __name__ == "__main__":
    main()
