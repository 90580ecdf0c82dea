"""What the named recipes promise: test accuracy over seeds, arithmetic, time. Runs `fovea train` once per seed.

`PROMISES` holds what each is to reach. With `--append` every run adds a line to recipes.jsonl and the summary is
over all seeds there, so that long recipes can be run one seed at a time; `--seeds` alone without a number only sums up.
"""

import json
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from machine import arguments, begun, description, on_test, print_verdict, run_fovea

RECORD = Path(__file__).resolve().parent / "recipes.jsonl"


class Promise(NamedTuple):
    """What a recipe is run on, and the result it is to have on the test part."""

    data: str
    mean: float
    """Smallest mean accuracy over the seeds; of the lectures' recipes the accuracy printed there."""
    lowest: float | None = None
    """Smallest accuracy of a seed."""
    pflop: float | None = None
    """Most 10^15 operations of a seed, as executed; lines before 2026-11-30 count 6 x MACs x images."""


PROMISES = {
    "digits": Promise("digits", 0.985, lowest=0.97),
    "fashion-93.5": Promise("fashion-mnist", 0.935),
    "fashion-best": Promise("fashion-mnist", 0.945),
    "cifar10-84": Promise("cifar10", 0.845, pflop=0.0117),
    "cifar10-94": Promise("cifar10", 0.94, pflop=0.28),
    "cifar10-96": Promise("cifar10", 0.96),
    "cifar10-vgg1": Promise("cifar10", 0.671),
    "cifar10-vgg3": Promise("cifar10", 0.735),
    "cifar10-vgg3-dropout": Promise("cifar10", 0.835),
    "cifar10-vgg3-augmented": Promise("cifar10", 0.845),
}


def run(name: str, seed: int, *, quick: bool) -> dict[str, Any]:
    """Return the result of one training on the test part."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--recipe", name, "--seed", str(seed), "--out", f"{folder}/run"]
        options += ["--epochs", "1"] if quick else []
        result = run_fovea("train", PROMISES[name].data, *options)
        trained = run_fovea("info", result["model"])["card"]["training"]
    test = on_test(result)
    return {
        "recipe": name,
        "seed": seed,
        "accuracy": test["accuracy"],
        "split": "test",
        "images": test["images"],
        "epochs": trained["epochs"],
        "pflop": result["pflop"],
        "seconds": round(result["seconds"], 1),
        "threads": trained["threads"],
        "precision": trained["recipe"]["precision"],
        "machine": description(),
    }


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the last result of each seed in the record."""
    lines = [json.loads(line) for line in RECORD.read_text().splitlines()] if RECORD.exists() else []
    return list({line["seed"]: line for line in lines if line["recipe"] == name}.values())


def summarise(name: str, results: list[dict[str, Any]]) -> None:
    for result in results:
        print(
            f"  seed {result['seed']}: {100 * result['accuracy']:.2f} % on test, {result['pflop']:.4g} PFLOP, "
            f"{result['seconds']:.0f} s, {result['threads']} threads, {result['precision']}"
        )
    promise, accuracies = PROMISES[name], [result["accuracy"] for result in results]
    print_verdict(f"{name}, mean accuracy of {len(results)} seeds", mean(accuracies), at_least=promise.mean)
    if promise.lowest is not None:
        print_verdict(f"{name}, lowest accuracy", min(accuracies), at_least=promise.lowest)
    if promise.pflop is not None:
        print_verdict(f"{name}, most PFLOP", max(result["pflop"] for result in results), at_most=promise.pflop)


def main() -> None:
    parser = arguments(__doc__, quick="one seed, one epoch")
    parser.add_argument("name", choices=sorted(PROMISES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--append", action="store_true", help=f"add each result to {RECORD.name}")
    args = begun(parser)
    results = []
    for seed in args.seeds[:1] if args.quick else args.seeds:
        results.append(run(args.name, seed, quick=args.quick))
        print(json.dumps(results[-1]), flush=True)
        if args.append and not args.quick:
            with RECORD.open("a") as stream:
                stream.write(json.dumps(results[-1]) + "\n")
    if args.append or not args.seeds:
        results = recorded(args.name)
    if results:
        summarise(args.name, results)


if __name__ == "__main__":
    main()
