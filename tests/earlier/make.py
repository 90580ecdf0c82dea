"""Runs and model files as version 0.1.0 made them, stopped half-way, and what that version made of them in the end.

    cd tests/earlier && python make.py

Only that version may write them: what a later one makes of them is what the tests look at.
"""

import json
import os
import platform
import runpy
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import fovea
from fovea.training.engine import Trainer

HERE = Path(__file__).parent
FAST = {"threads": 1, "precision": "float32", "device": "cpu"}
TINY = {"model": "pattern", "pattern": "CRP CRP", "widths": "4,8", "size": 16, "batch": 128}

RUNS = {
    "named": {"data": "digits", "recipe": "digits", "model": "lenet1", "size": 28, "epochs": 3, "batch": 128},
    "sgd": {"data": "digits", **TINY, "epochs": 4, "optimiser": "sgd", "lr": 0.05, "ema": 0.9, "clip": 1.0}
    | {"warmup": 0.2, "test_flip": True, "augment": "shift 2, cutout 4"},
    "muon": {"data": "digits", "recipe": "fashion-best", "width": 0.0625, "size": 16, "batch": 100, "epochs": 3},
    "number": {"data": "numbers.npz", "task": "number", **TINY, "batch": 8, "epochs": 4, "augment": "flip, shift 1"},
    "binary": {"data": "halves.npz", **TINY, "batch": 8, "epochs": 4, "loss": "binary", "class_weights": True}
    | {"optimiser": "adam", "lr": 0.003, "augment": "affine 10 0.1, crop 0.5"},
    "transfer": {"data": "halves.npz", "start": "bundles/sgd.safetensors", "size": 16, "batch": 8, "epochs": 4}
    | {"augment": "flip, colour 0.2, grey 0.1"},
    "probe": {"data": "digits", "start": "bundles/sgd.safetensors", "size": 16, "probe": True},
    "grown": {"data": "digits", "start": "bundles/sgd.safetensors", "grow": "identity", "model": "pattern"}
    | {"pattern": "CRCRP CRCRP", "size": 16, "batch": 128, "epochs": 3, "augment": "trivial"},
    "pretrained": {"data": "digits", **TINY, "epochs": 3, "pretrain": 1, "schedule": "plateau", "patience": 3},
    "killed": {"data": "digits", "model": "net.py:Net", "size": 12, "batch": 128, "epochs": 3, "optimiser": "rmsprop"}
    | {"lr": 0.002, "balanced": True, "augment": "mixup 0.2, cutmix 1, erase 0.3", "checkpoint_minutes": 1e-9},
}
STEPS = {"named": 17, "number": 9, "binary": 9, "transfer": 9, "muon": 9}
"""After how many steps a run is stopped; 14 where not said."""
BUNDLES = ("named", "sgd", "muon", "number", "binary", "transfer", "killed")


def write_data():
    """Write images whose upper or lower half is brighter, with the half or the difference as label."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 150, (60, 16, 16, 1), np.uint8)
    labels = np.arange(60) % 2
    for image, label in zip(images, labels, strict=True):
        image[8 * label : 8 * label + 8] += 90
    numbers = images[:, :8].mean((1, 2, 3)) - images[:, 8:].mean((1, 2, 3))
    parts = {"x_train": images[:48], "x_test": images[48:]}
    np.savez_compressed("halves.npz", **parts, y_train=labels[:48], y_test=labels[48:], classes=["upper", "lower"])
    np.savez_compressed("numbers.npz", **parts, y_train=numbers[:48], y_test=numbers[48:])


def stopped_after(steps, number):
    """Let this process get the signal `number` at the end of so many steps."""
    count, train_step = iter(range(1, 10**9)), Trainer.train_step

    def counted(trainer, indices):
        train_step(trainer, indices)
        if next(count) == steps:
            os.kill(os.getpid(), number)

    Trainer.train_step = counted


def make(name):
    """Train the run `name` to its end, and once more until it is stopped."""
    options = {**RUNS[name], **FAST}
    data = options.pop("data")
    if "stop" not in sys.argv:
        fovea.train(data, out=f"whole/{name}", **options)
        return
    stopped_after(STEPS.get(name, 14), signal.SIGKILL if name == "killed" else signal.SIGINT)
    fovea.train(data, out=f"runs/{name}", **options)


def images(count, channels):
    """Return the images that predictions are compared on, (N, 20, 24, C) uint8."""
    return np.random.default_rng(1).integers(0, 256, (count, 20, 24, channels), np.uint8)


def digest(path):
    """Return one hash of all tensors of a file, whatever their order."""
    tensors = load_file(path)
    whole = sha256()
    for name in sorted(tensors):
        whole.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return whole.hexdigest()


def said(path):
    """Return what the model file says of eight images: the rows of `Bundle.scores`."""
    Net = runpy.run_path(str(HERE / "net.py"))["Net"]
    custom = fovea.info(path).card["architecture"] == "custom"
    bundle = fovea.load(path, model=Net() if custom else None)
    pixels = images(8, bundle.preprocess.channels)
    rows = bundle.scores(np.stack([bundle.preprocess.read(image) for image in pixels]))
    return [[float(value) for value in row] for row in rows]


def end_of(folder):
    """Return what a finished run has come to, without its times."""
    file = folder / "metrics.jsonl"  # there is none where the head was fitted in closed form
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {
        "metrics": [{**line, "elapsed_s": 0} for line in lines],
        "results": fovea.info(folder / "model.safetensors").card["results"],
        "tensors": digest(folder / "model.safetensors"),
        "said": said(folder / "model.safetensors"),
    }


def machine():
    """Return what bits depend on."""
    capability = torch.backends.cpu.get_cpu_capability()
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")][:1]
    return f"{platform.machine()}, {capability}, {''.join(model).partition(': ')[2]}, torch {torch.__version__}"


def main():
    """Make all of it."""
    for folder in ("runs", "whole", "bundles"):
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    write_data()
    for name in RUNS:
        subprocess.run([sys.executable, __file__, name], check=True, stderr=subprocess.DEVNULL)
        if name in BUNDLES:
            shutil.copy(f"whole/{name}/model.safetensors", f"bundles/{name}.safetensors")
        subprocess.run([sys.executable, __file__, name, "stop"], check=False, stderr=subprocess.DEVNULL)
        Path(f"runs/{name}/report.html").unlink(missing_ok=True)
    finish()


def finish():
    """Make the model files of networks that were not trained, and keep what the version made of everything."""
    Path("names.csv").write_text("id,name\nn01,cat\nn02,dog\nn03,owl\n")
    fovea.build_file("mlp", out="bundles/built.safetensors", classes_from="names.csv", size=12, widths=[6])
    fovea.build_file("CRP CRP", out="bundles/letters.safetensors", widths="4,6", size=16, c_in=3, classes=4)
    fovea.build_file("lenet1", out="bundles/cropped.safetensors", classes=3, resize=32, mean=[0.3], std=[0.2])
    expected = {
        "machine": machine(),
        "runs": {name: end_of(Path("whole") / name) for name in RUNS},
        "bundles": {file.stem: said(file) for file in sorted(Path("bundles").glob("*"))},
    }
    Path("expected.json").write_text(json.dumps(expected, indent=1))
    shutil.rmtree("whole")


if __name__ == "__main__":
    os.chdir(HERE)
    make(sys.argv[1]) if len(sys.argv) > 1 else main()
