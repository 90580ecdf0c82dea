"""Ten networks as every target whose library is installed: whether they agree with PyTorch, how far off, seconds, size.

    python benchmarks/targets_parity.py --out parity.jsonl                  # those of this environment; resumes
    python benchmarks/targets_parity.py --out parity.jsonl --to ncnn        # one of them
    python benchmarks/targets_parity.py --out parity.jsonl --table          # what is in the file, as a table

The libraries want environments of their own: run it in each, with one file. Weights are published ones where
`$FOVEA_DATA/weights` has them, else random, their batch norms settled on images; samples are photographs of
`$FOVEA_DATA/imagenet-subset`, or the test images of CIFAR-10 and `digits`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import inputs, registry
from fovea.card import Card
from fovea.display import Display
from fovea.errors import FoveaError
from fovea.exporting.samples import Samples
from fovea.exporting.settings import ExportSettings
from fovea.exporting.targets import Request, target_named
from fovea.jobs.proof_samples import samples_for
from fovea.layers import placed
from fovea.model.bundle import Bundle
from fovea.model.weights import load_into, read_weights
from fovea.registry import IMAGENET_MEAN, IMAGENET_STD
from fovea.tasks.classes import Classes

DATA = Path(os.environ.get("FOVEA_DATA", "."))
LIBRARIES = {"onnx": "onnx", "pt2": "torch", "executorch": "executorch", "litert": "litert_torch", "ncnn": "ncnn"}
WEIGHTS = {
    "mobilenet_v2": "mobilenet_v2-imagenet-dequant.pth",
    "squeezenet1_0": "squeezenet1_0-imagenet-deepcompressed.pth",
    "cifar_resnet20": "resnet20-12fca82f.th",
}
NETWORKS = (
    *WEIGHTS,
    *("lenet5", "googlenet", "resnet18", "densenet121", "shufflenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
)
COUNT = 32
HALF = ("pt2", "ncnn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--to", choices=LIBRARIES)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table(rows_of(given.out)))
        return
    done = {(row["network"], row["target"], row["precision"]) for row in rows_of(given.out)}
    for network, target, precision in wanted(given.to):
        if (network, target, precision) not in done:
            row = measured(network, target, precision)
            print(row, flush=True)
            with given.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


def wanted(only: str | None) -> Iterator[tuple[str, str, str]]:
    for target, library in LIBRARIES.items():
        if target == (only or target) and find_spec(library) is not None:
            for precision in ("float32", "float16") if target in HALF else ("float32",):
                yield from ((network, target, precision) for network in NETWORKS)


def measured(network: str, target: str, precision: str) -> dict[str, object]:
    bundle, samples = bundle_of(network)
    row: dict[str, object] = {"network": network, "target": target, "precision": precision}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        request = Request(
            bundle=bundle,
            name=network,
            out=Path(folder) / f"net{target_named(target).suffix}",
            settings=ExportSettings(precision=precision),
            samples=samples,
            say=lambda line: print(line, file=sys.stderr),
            options={},
        )
        try:
            written = target_named(target).write(request)
        except FoveaError as error:
            return {**row, "error": str(error)}
    seconds = round(time.perf_counter() - began, 1)
    return {**row, "seconds": seconds, "bytes": written.facts["bytes"], **written.facts["proof"]}


def bundle_of(network: str) -> tuple[Bundle, Samples]:
    """Return a network as if it had been loaded, and what it is proven on."""
    C, H, _ = registry.entry(network).input
    torch.manual_seed(0)
    model = registry.build(network)
    preprocess = inputs.kind("images").geometry(size=H, fit="crop", channels=C, native_size=None)
    if C == 3:
        preprocess = preprocess.with_normalisation(IMAGENET_MEAN, IMAGENET_STD)
    if network == "mobilenet_v2":
        preprocess = preprocess.with_normalisation((0.5,) * 3, (0.5,) * 3)
    arguments = registry.arguments_of(network)
    names = tuple(map(str, range(int(arguments["classes"]))))
    card = Card(architecture=network, arguments=arguments, target=Classes(names=names), preprocess=preprocess)
    if network in WEIGHTS:
        load_into(model, read_weights(DATA / "weights" / WEIGHTS[network]), network=network)
    bundle = Bundle(model=placed(model, torch.device("cpu")).eval(), card=card, device=torch.device("cpu"))
    samples = samples_of(bundle)
    if network not in WEIGHTS:
        settle(bundle, samples)
    return bundle, samples


@torch.no_grad()
def settle(bundle: Bundle, samples: Samples) -> None:
    """Give batch norms the statistics of the samples, so that untrained networks say something of each."""
    norms = [module for module in bundle.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    bundle.model(bundle.inputs_of(samples.stored))
    bundle.model.eval()


def samples_of(bundle: Bundle) -> Samples:
    """Return photographs, or for small inputs the test images of CIFAR-10, of grey ones those of `digits`."""
    small = "cifar10" if bundle.preprocess.channels == 3 else "digits"
    photographs = DATA / "imagenet-subset" / "images"
    found = samples_for(bundle, photographs if bundle.preprocess.shape[1] > 64 else small, display=Display(quiet=True))
    return Samples(found.stored[:COUNT], found.source)


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[dict[str, object]]) -> str:
    """Return the largest differences as shares of the logits' scale, a line per network, and the changed decisions."""
    columns = sorted({(row["target"], row["precision"]) for row in rows}, key=str)
    lines = ["| network |" + "".join(f" {target} {precision} |" for target, precision in columns)]
    lines.append("|---|" + "---|" * len(columns))
    for network in NETWORKS:
        found = {(row["target"], row["precision"]): row for row in rows if row["network"] == network}
        lines.append(f"| `{network}` |" + "".join(f" {cell(found.get(column))} |" for column in columns))
    return "\n".join(lines)


def cell(row: dict[str, object] | None) -> str:
    if row is None:
        return ""
    if "error" in row:
        return "refused"
    share = float(str(row["largest_difference"])) / float(str(row["scale"]))
    return f"{share:.0e}, {row['changed_decisions']} of {row['decisions']}, {int(str(row['bytes'])) / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
