"""Every network of the zoo, with random weights, as ONNX: whether it exports and agrees, seconds, size, difference.

    python benchmarks/export.py zoo --out export.jsonl         # resumes: networks that stand in the file are left out
    python benchmarks/export.py zoo --out export.jsonl --only 'resnet*'
    python benchmarks/export.py summary --out export.jsonl
    python benchmarks/export.py speed              # eager PyTorch beside ONNX Runtime, one image, one thread

Random weights of a deep network may say the same of every image, so that nothing can be compared. Such a network's
batch norms are then given the statistics of some images, as training gives them, and it is tried again (`woken`).
"""

import argparse
import copy
import fnmatch
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import onnx
import onnxruntime
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import inputs, registry
from fovea.card import Card
from fovea.errors import FoveaError
from fovea.exporting.onnx_file import proven
from fovea.exporting.reference import ProofError
from fovea.exporting.samples import generated
from fovea.exporting.settings import ExportSettings
from fovea.layers import placed
from fovea.model.bundle import Bundle
from fovea.registry import IMAGENET_MEAN, IMAGENET_STD
from fovea.tasks.classes import Classes

MANY, FEW, COSTLY = 16, 8, 3e9
"""Samples of a proof; of networks with more multiply-adds than the last, few."""
KINDS = {2: "series", 3: "images", 4: "clips"}


def bundle_of(name: str) -> Bundle:
    """Return a network with random weights, as if it had been loaded."""
    shape = registry.entry(name).input
    torch.manual_seed(0)
    model = registry.build(name)
    arguments = registry.arguments_of(name)
    settings = {"frames": shape[1]} if len(shape) == 4 else {}
    preprocess = inputs.kind(KINDS[len(shape)]).geometry(
        size=shape[-1], fit="crop", channels=shape[0], native_size=None, settings=settings
    )
    if shape[0] == 3:
        preprocess = preprocess.with_normalisation(IMAGENET_MEAN, IMAGENET_STD)
    classes = tuple(map(str, range(int(arguments["classes"]))))
    card = Card(architecture=name, arguments=arguments, target=Classes(names=classes), preprocess=preprocess, fovea="0")
    device = torch.device("cpu")
    return Bundle(model=placed(model, device).eval(), card=card, device=device)


@torch.no_grad()
def wake(bundle: Bundle, count: int) -> None:
    """Give batch norms the statistics of generated samples."""
    norms = [module for module in bundle.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    bundle.model(bundle.inputs_of(generated(bundle.preprocess, count=count).stored))
    bundle.model.eval()


def measured(name: str) -> dict[str, object]:
    """Return the row of one network."""
    entry = registry.entry(name)
    count = MANY if entry.macs < COSTLY else FEW
    bundle = bundle_of(name)
    samples = generated(bundle.preprocess, count=count)
    row: dict[str, object] = {"name": name, "input": list(entry.input), "woken": False}
    began = time.perf_counter()
    try:
        try:
            content, proof, _ = proven(bundle, samples=samples)
        except ProofError as error:
            if "predicts the same" not in str(error):
                raise
            row["asleep"] = str(error)
            wake(bundle, count)
            row["woken"], began = True, time.perf_counter()
            content, proof, _ = proven(bundle, samples=samples)
    except FoveaError as error:
        return {**row, "error": str(error)}
    seconds = time.perf_counter() - began
    operators = sorted({node.op_type for node in onnx.load_from_string(content).graph.node})
    return {**row, "seconds": round(seconds, 1), "bytes": len(content), **proof.to_dict(), "operators": operators}


def in_order(names: list[str]) -> list[str]:
    """Return the names so that the smallest of every family comes first, then the second of each, and so on."""
    entries = sorted(map(registry.entry, names), key=lambda entry: entry.macs)
    families = [entry.family for entry in entries]
    rank = {entry.name: families[:index].count(entry.family) for index, entry in enumerate(entries)}
    return sorted(rank, key=lambda name: (rank[name], registry.entry(name).macs))


def zoo(out: Path, only: str) -> None:
    done = {json.loads(line)["name"] for line in out.read_text().splitlines()} if out.exists() else set()
    for name in (name for name in in_order(fnmatch.filter(registry.names(), only)) if name not in done):
        row = measured(name)
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def summary(out: Path) -> None:
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    good = [row for row in rows if "error" not in row]
    rounded = [row for row in good if "rounding" in row]
    shares = sorted(row["largest_difference"] / row["scale"] for row in good if "rounding" not in row)
    seconds = sorted(row["seconds"] for row in good)
    print(f"{len(good)} of {len(rows)} export and agree; of {len(registry.names())} in the zoo")
    print(f"largest difference, share of the scale: median {median(shares):.1e}, most {shares[-1]:.1e}")
    print(f"of these by the float64 rule: {len(rounded)}; woken {sum(row['woken'] for row in good)}")
    print(f"changed decisions: {sum(row['changed_decisions'] for row in good)}")
    print(f"seconds: median {median(seconds):.0f}, most {seconds[-1]:.0f}")
    print(f"operators: {', '.join(sorted({name for row in good for name in row['operators']}))}")
    for row in rounded:
        print(f"rounding {row['name']}: graph {row['rounding']['graph']:.1e}, network {row['rounding']['network']:.1e}")
    for row in rows:
        if "error" in row:
            print(f"refused {row['name']}: {row['error']}")


def speed(rounds: int) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for name in ("resnet18", "mobilenet_v2", "squeezenet1_0"):
        bundle = bundle_of(name)
        wake(bundle, FEW)
        stored = generated(bundle.preprocess, count=1).stored
        x = bundle.preprocess.normalise(stored)
        ways: dict[str, Callable[[], object]] = {}
        for layout, form in {"plain": torch.contiguous_format, "channels-last": torch.channels_last}.items():
            model, images = (
                copy.deepcopy(bundle.model).to(memory_format=form),
                torch.from_numpy(x).to(memory_format=form),
            )
            ways[f"eager {layout}"] = partial(torch.inference_mode()(model), images)
        for form, settings in {"uint8 in": ExportSettings(), "core": ExportSettings(raw=True)}.items():
            content, _, _ = proven(bundle, settings=settings, samples=generated(bundle.preprocess, count=FEW))
            session = onnxruntime.InferenceSession(content, options)
            given = {session.get_inputs()[0].name: x if settings.raw else stored}
            ways[f"ONNX Runtime {form}"] = partial(session.run, None, given)
        print(name, timed(ways, rounds), flush=True)


def timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, str]:
    """Return least and median milliseconds of each way, all taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append(1e3 * (time.perf_counter() - began))
    # what else runs on the machine only ever adds
    return {name: f"least {min(times):.2f}, median {median(times):.2f} ms" for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("zoo", "summary", "speed"))
    parser.add_argument("--out", type=Path, default=Path("export.jsonl"))
    parser.add_argument("--only", default="*")
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "zoo":
        zoo(given.out, given.only)
    elif given.what == "summary":
        summary(given.out)
    else:
        speed(given.rounds)


if __name__ == "__main__":
    main()
