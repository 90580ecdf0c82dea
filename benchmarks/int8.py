"""Networks in int8 against themselves in float, and against OpenVINO: batch 1, 224 pixels, one thread.

Milliseconds of processor time per image, medians of rounds in which all run in turn. Each file takes uint8 images and
holds preprocessing and decoding; `--raw` is the same in int8 with normalised float input. Weights are random, as they
change no time, and samples generated.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from machine import Contestant, Figures, arguments, begun, in_turn, print_figures, print_verdict, ratio
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.card import Card
from fovea.display import Display
from fovea.exporting.int8.file import Int8Request, int8_content
from fovea.exporting.int8.samples import Samples
from fovea.exporting.int8.settings import Int8Settings
from fovea.exporting.onnx_file import proven
from fovea.exporting.samples import generated
from fovea.exporting.settings import ExportSettings
from fovea.model.bundle import Bundle
from fovea.preprocess import Preprocess
from fovea.registry import IMAGENET_MEAN, IMAGENET_STD
from fovea.tasks.classes import Classes

HERE = Path(__file__).parent
SIDE, CLASSES = 224, 1000
RUNS = {"resnet18": 6, "mobilenet_v2": 12, "squeezenet1_0": 8}
"""Runs of one round."""


class Targets(NamedTuple):
    """What is asked for."""

    eager: float
    """Times as fast as the faster of PyTorch's two layouts."""
    floats: float
    """Times as fast as float in ONNX Runtime."""
    openvino: float
    """At most so many times as long as OpenVINO on the same file."""


TARGETS = {
    "resnet18": Targets(5.2, 3.0, 1.2),
    "mobilenet_v2": Targets(6.2, 1.7, 1.2),
    "squeezenet1_0": Targets(7.0, 2.0, 1.4),
}
MOST_FOR_BYTES = 1.05
"""What uint8 input may cost the file in int8."""


def loaded(name: str) -> Bundle:
    """Return a network of random weights whose logits vary, as a loaded model file."""
    torch.manual_seed(0)
    model = registry.build(name, classes=CLASSES).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    preprocess = Preprocess(size=(SIDE, SIDE), channels=3, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    target = Classes(names=tuple(f"class {index}" for index in range(CLASSES)))
    card = Card(architecture=name, arguments={"classes": CLASSES}, target=target, preprocess=preprocess, fovea="0")
    return Bundle(model=model, card=card, device=torch.device("cpu"))


def written(bundle: Bundle, folder: Path) -> dict[str, Path]:
    """Write the network in float, in int8, and in int8 with float input."""
    samples = generated(bundle.preprocess, count=64)
    answers = bundle.scores(samples.stored).argmax(1)
    request = Int8Request(
        settings=Int8Settings(max_drop=100, keep=("none",), ranges="mse"),
        calibration=Samples(samples.stored, bundle.preprocess),
        validation=Samples(samples.stored, bundle.preprocess, answers, "generated samples"),
        display=Display(quiet=True),
    )
    contents = {
        "float": proven(bundle, samples=samples)[0],
        "int8": int8_content(bundle, ExportSettings(precision="int8"), request, samples).content,
        "int8 --raw": int8_content(bundle, ExportSettings(precision="int8", raw=True), request, samples).content,
    }
    files = {}
    for name, content in contents.items():
        files[name] = folder / f"{name.replace(' ', '')}.onnx"
        files[name].write_bytes(content)
    return files


def timed(run: Callable[[], object], runs: int) -> Contestant:
    """Return a contestant: the milliseconds of processor time of one run."""
    for _ in range(3):
        run()

    def measured() -> float:
        began = time.process_time()
        for _ in range(runs):
            run()
        return 1000 * (time.process_time() - began) / runs

    return measured


def in_onnxruntime(file: Path, runs: int) -> Contestant:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    if given.type == "tensor(uint8)":
        image = np.random.default_rng(0).integers(0, 256, (1, *given.shape[1:]), np.uint8)
    else:
        image = np.random.default_rng(0).standard_normal((1, *given.shape[1:])).astype(np.float32)
    return timed(lambda: session.run(None, {given.name: image}), runs)


def in_pytorch(model: nn.Module, layout: torch.memory_format, runs: int) -> Contestant:
    model = model.to(memory_format=layout)
    image = torch.randn(1, 3, SIDE, SIDE).to(memory_format=layout)

    def run() -> None:
        with torch.inference_mode():
            model(image)

    return timed(run, runs)


@contextmanager
def in_openvino(python: Path, file: Path, runs: int) -> Iterator[Contestant]:
    """Yield the contestant OpenVINO, in a process of its own environment."""
    command = [str(python), str(HERE / "openvino_peer.py"), str(file), str(runs), f"{SIDE}x{SIDE}x3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        print(f"  OpenVINO {process.stdout.readline().strip()}")

        def measured() -> float:
            process.stdin.write("go\n")
            return float(process.stdout.readline())

        yield measured
        process.stdin.close()


def measure(name: str, python: Path, *, rounds: int) -> None:
    """Print the figures of one network and what they say of its targets."""
    bundle, runs, targets = loaded(name), RUNS[name], TARGETS[name]
    print(f"{name}, onnxruntime {onnxruntime.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = written(bundle, Path(folder))
        contestants = {f"ONNX Runtime, {kind}": in_onnxruntime(file, runs) for kind, file in files.items()}
        for layout in (torch.contiguous_format, torch.channels_last):
            own = loaded(name).model
            contestants[f"PyTorch, {str(layout).removeprefix('torch.')}"] = in_pytorch(own, layout, max(1, runs // 4))
        if python.exists():
            for kind in ("float", "int8"):
                peer = stack.enter_context(in_openvino(python, files[kind], runs))
                contestants[f"OpenVINO, {kind}"] = peer
        figures = in_turn(contestants, rounds=rounds)
    print_figures(figures, unit="ms")
    verdicts(figures, targets)


def verdicts(figures: Figures, targets: Targets) -> None:
    """Print each target beside what was reached."""
    int8 = figures["ONNX Runtime, int8"]
    eager = min((values for name, values in figures.items() if name.startswith("PyTorch")), key=np.median)
    print_verdict("  best layout of PyTorch / int8", ratio(eager, int8), at_least=targets.eager)
    print_verdict("  float / int8", ratio(figures["ONNX Runtime, float"], int8), at_least=targets.floats)
    print_verdict("  int8 / int8 --raw", ratio(int8, figures["ONNX Runtime, int8 --raw"]), at_most=MOST_FOR_BYTES)
    if "OpenVINO, int8" in figures:
        print_verdict("  int8 / OpenVINO, same file", ratio(int8, figures["OpenVINO, int8"]), at_most=targets.openvino)


def main() -> None:
    parser = arguments(__doc__, quick="three rounds")
    parser.add_argument("--network", choices=RUNS, action="append", help="only this one")
    parser.add_argument("--openvino", type=Path, default=HERE / ".peers/bin/python", help="the Python that has it")
    args = begun(parser)
    torch.set_num_threads(1)
    for name in args.network or RUNS:
        measure(name, args.openvino, rounds=3 if args.quick else 25)


if __name__ == "__main__":
    main()
