"""What HTTP and batches cost: `fovea serve` beside the same model decoding and predicting the same bytes.

Server and offline run take turns on one core, clients are on another, all on this machine. Images are JPEGs of
500 x 375. Bounded: a few minutes a model, `--minutes` for memory.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import IO

import numpy as np
from http_load import Answers, load, request_of
from machine import Contestant, Figures, arguments, begun, in_turn, own_process, print_figures, print_verdict, ratio
from PIL import Image

from fovea.runtime import load as load_exported

SIZE = (500, 375)
CLIENTS = 64
BATCH = 16
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


def photographs(count: int = 48) -> list[bytes]:
    """Return JPEGs of 500 x 375: photographs where `FOVEA_DATA` has some, else noise with their spectrum."""
    folder = Path(os.environ.get("FOVEA_DATA", "")) / "imagenet-subset" / "images"
    files = sorted(folder.glob("*"))[:count] if "FOVEA_DATA" in os.environ else []
    return [_jpeg(Image.open(file)) for file in files] or [_jpeg(_noise(seed)) for seed in range(count)]


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.convert("RGB").resize(SIZE).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _noise(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def offline(model: str, images: Sequence[bytes], seconds: float) -> Contestant:
    """Return a contestant: images/s of decoding and predicting in batches, on the core of the server."""
    os.sched_setaffinity(0, {SERVER_CORE})
    exported = load_exported(model, threads=1)

    def run() -> float:
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            some = [images[(done + index) % len(images)] for index in range(BATCH)]
            exported.scores(np.stack([exported.preprocess.read(content) for content in some]))
            done += BATCH
        return done / (time.perf_counter() - began)

    return run


def bare(model: str, images: Sequence[bytes], seconds: float) -> Contestant:
    """Return a contestant: the median seconds of decoding and predicting one image, on the core of the server."""
    os.sched_setaffinity(0, {SERVER_CORE})
    exported = load_exported(model, threads=1)

    def run() -> float:
        times = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            exported.scores(exported.preprocess.read(images[len(times) % len(images)])[None])
            times.append(time.perf_counter() - began)
        return median(times)

    return run


@contextlib.contextmanager
def server(model: str, *options: str) -> Iterator[tuple[int, int]]:
    """Yield the port of a server on its core, and the number of its process."""
    command = [sys.executable, "-m", "fovea", "serve", model, "--port", "0", "--threads", "1", *options]
    with tempfile.TemporaryFile("w+") as words:
        process = subprocess.Popen(command, stderr=words, preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
        try:
            yield _port(process, words), process.pid
        finally:
            process.terminate()
            process.wait(60)


def _port(process: "subprocess.Popen[bytes]", words: IO[str]) -> int:
    while process.poll() is None:
        words.seek(0)
        if found := re.search(r"http://127.0.0.1:(\d+)", words.read()):
            return int(found[1])
        time.sleep(0.1)
    words.seek(0)
    raise SystemExit(words.read())


def resident_mb(parent: int) -> float:
    """Return the memory of a server's processes in MB."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            text = status.read_text()
            if re.search(rf"^(PPid|Pid):\s+{parent}$", text, re.M):
                total += int(re.search(r"VmRSS:\s+(\d+)", text)[1])  # type: ignore[index]
    return total / 1000


def measure(model: str, images: Sequence[bytes], *, seconds: float, rounds: int) -> None:
    """Print throughput and latency of a model beside its offline run."""
    requests = [request_of(content) for content in images]
    many: list[Answers] = []
    one: list[Answers] = []

    def served(clients: int, kept: list[Answers]) -> Answers:
        kept.append(load(port, requests, clients=clients, seconds=seconds))
        return kept[-1]

    with (
        server(model) as (port, _),
        own_process(offline, model, images, seconds) as offline_rate,
        own_process(bare, model, images, seconds) as bare_call,
    ):
        load(port, requests, clients=CLIENTS, seconds=min(seconds, 2))
        rates = in_turn({"offline": offline_rate, "served": lambda: served(CLIENTS, many).rate}, rounds=rounds)
        waits = in_turn({"bare call": bare_call, "one client": lambda: served(1, one).typical}, rounds=rounds)
    print_figures(rates, unit="images/s")
    print_figures(waits, unit="ms", scale=1e-3)
    verdicts(model, rates, waits)
    tail = median(answers.quantile(0.99) * answers.rate / CLIENTS for answers in many)
    print_verdict(f"{model}: p99 x throughput / clients", tail, at_most=2)
    everything = [*many, *one]
    faults = sum(map(faults_of, everything))
    print_verdict(f"{model}: faults of {sum(a.codes.total() for a in everything):,} requests", faults, at_most=0)


def verdicts(model: str, rates: Figures, waits: Figures) -> None:
    """Print throughput and the wait of one client beside their targets, which are others for int8."""
    int8 = load_exported(model).card.other.get("export", {}).get("precision") == "int8"
    share = ratio(rates["served"], rates["offline"])
    print_verdict(f"{model}: served / offline, {CLIENTS} clients", share, at_least=0.75 if int8 else 0.9)
    if int8:
        more = 1000 * median(a - b for a, b in zip(waits["one client"], waits["bare call"], strict=True))
        print_verdict(f"{model}: one client - bare call, ms", more, at_most=2)
    else:
        longer = ratio(waits["one client"], waits["bare call"])
        print_verdict(f"{model}: one client / bare call", longer, at_most=1.15)


def faults_of(answers: Answers) -> int:
    """Return how many requests were not answered with 200."""
    return answers.lost + answers.codes.total() - answers.codes[200]


def overload(model: str, images: Sequence[bytes], *, seconds: float) -> None:
    """Print what becomes of four times as many clients as the queue has places for, and of a request after them."""
    requests, places, timeout_s = [request_of(content) for content in images], 64, 10.0
    options = ("--queue", str(places), "--files", "16", "--timeout-s", str(timeout_s))
    with server(model, *options) as (port, _):
        answers = load(port, requests, clients=4 * places, seconds=seconds)
        began = time.perf_counter()
        after = load(port, requests, clients=1, seconds=0.01)
        recovered = time.perf_counter() - began
    codes = ", ".join(f"{count:,} x {code}" for code, count in sorted(answers.codes.items()))
    print(f"  overload: {codes}, {answers.lost} lost, {answers.rate:.1f} images/s")
    print_verdict(f"{model}: longest answer / deadline", max(answers.latencies) / timeout_s, at_most=1)
    others = faults_of(answers) - answers.codes[503]
    print_verdict(f"{model}: other answers than 200 and 503", others, at_most=0)
    print_verdict(f"{model}: seconds until one is answered again", recovered + 1000 * faults_of(after), at_most=1)


def memory(model: str, images: Sequence[bytes], *, minutes: float) -> None:
    """Print what the memory of a server does under load."""
    requests = [request_of(content) for content in images]
    with server(model) as (port, pid):
        load(port, requests, clients=CLIENTS, seconds=min(20.0, 10 * minutes))
        found, faults = [resident_mb(pid)], 0
        for _ in range(5):
            answers = load(port, requests, clients=CLIENTS, seconds=12 * minutes)
            faults += faults_of(answers)
            found.append(resident_mb(pid))
    print(f"  memory over {minutes:g} minutes, MB: {', '.join(f'{each:.0f}' for each in found)}; {faults} faults")
    print_verdict(f"{model}: memory at the end / at the beginning", found[-1] / found[0], at_most=1.05)


def explained(bundle: str, images: Sequence[bytes], *, seconds: float, rounds: int) -> None:
    """Print what explanations, asked for without end, do to the p99 of predictions."""
    requests = [request_of(content) for content in images]
    asking = [request_of(content, path="/explain") for content in images]
    with server(bundle, "--explain") as (port, _):
        load(port, requests, clients=8, seconds=2)

        def alone() -> float:
            return load(port, requests, clients=8, seconds=seconds).quantile(0.99)

        def beside() -> float:
            with own_process(loaded, port, asking, seconds) as explain:
                thread = threading.Thread(target=explain)
                thread.start()
                found = alone()
                thread.join()
                return found

        figures = in_turn({"p99 alone": alone, "p99 beside explanations": beside}, rounds=rounds)
    print_figures(figures, unit="ms", scale=1e-3)
    change = ratio(figures["p99 beside explanations"], figures["p99 alone"])
    print_verdict(f"{bundle}: p99 beside explanations / alone", change, at_most=1.1)


def loaded(port: int, requests: Sequence[bytes], seconds: float) -> Contestant:
    """Return a contestant that asks for explanations, two at a time; its figure is how many came per second."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    return lambda: load(port, requests, clients=2, seconds=seconds).rate


def main() -> None:
    parser = arguments(__doc__, quick="a second each")
    parser.add_argument("models", nargs="+", help="exported networks (.onnx)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=0.0, help="of load on the first model, for its memory")
    parser.add_argument("--overload", action="store_true", help="four times as many clients as places, too")
    parser.add_argument("--explain", metavar="BUNDLE", help="what explanations do to predictions")
    given = begun(parser)
    seconds, rounds = (1.0, 2) if given.quick else (given.seconds, given.rounds)
    os.sched_setaffinity(0, {CLIENT_CORE})
    images = photographs()
    size = sum(map(len, images)) / len(images) / 1000
    print(f"server on core {SERVER_CORE}, clients on {CLIENT_CORE}; {len(images)} JPEGs of {size:.0f} kB")
    for model in given.models:
        measure(model, images, seconds=seconds, rounds=rounds)
        if given.overload:
            overload(model, images, seconds=seconds)
    if given.minutes:
        memory(given.models[0], images, minutes=given.minutes)
    if given.explain:
        explained(given.explain, images, seconds=seconds, rounds=rounds)


if __name__ == "__main__":
    main()
