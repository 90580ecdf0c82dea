"""Chains of `fovea shrink` that are killed and resumed until they end, as trainings are in `kills`."""

import shlex
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from fovea.compression.table import SECTION
from fovea.model.bundle import load
from fovea.runs.chain import measured
from tests.campaigns.batches import Outcome, Shared
from tests.campaigns.kills import (
    BASE,
    MLP,
    MOST_KILLS,
    Difference,
    Length,
    Recipe,
    Trainings,
    at_events,
    check_cache,
    check_ends,
    drawn,
    safetensors_parts,
    timeless,
    unpacked,
    write_data,
)

NAME = "chains"
STARTS = {
    "mlp": Recipe("images", f"{MLP} --seed 5"),
    "lenet": Recipe("images", f"{BASE} --epochs 2 --val-fraction 0.25 --model lenet5 --size 32"),
    "norms": Recipe("images", f"{BASE} --epochs 2 --val-fraction 0.25 --model foveola --size 16 --set width=0.125"),
}
CHAINS = {
    "trained": ("mlp", "finetune=1,distil=1,finetune=1"),
    "shared": ("mlp", "sparsify=0.5:1,finetune=1,share=4bit:1"),
    "folded": ("norms", "finetune=1,fold,quantise=1"),
    "factors": ("lenet", "lowrank=0.5:1,separable=1,inq=5bit:1"),
    "binary": ("lenet", "predefined=2:1,binarise=1"),
    "limited": ("mlp", "finetune=1,share=1bit:1 --max-drop 99"),
}
"""What is shrunk, and how. `prune` and `int8` time, so that they do not come to the same each time."""
SHORT, SHORT_KILLS = ("trained", "shared"), 8
"""In continuous integration: of these chains, so many kills."""
TIMES = {"seconds", "latency", "file_bytes"}
"""Fields that differ from run to run; how long they are written changes the bytes of a file."""


def campaign(*, kills: int, seed: int, work: Path, found: Path, names: Sequence[str], first: int = 0) -> Outcome:
    """Disturb these chains, in turn, until so many kills have come; findings stay below `found`."""
    outcome, began = Outcome(NAME, seed), time.monotonic()
    write_data(work)
    trainings = Trainings(work)
    for start in {CHAINS[name][0] for name in names}:
        trainings.whole(start, STARTS[start])
    for name in names:
        whole(trainings, name, "warm")
    lengths = {name: whole(trainings, name, "whole") for name in names}
    for name in names:
        compare(work / f"warm-{name}", work / f"whole-{name}")
    number, done = first, 0
    while done < kills:
        name = names[number % len(names)]
        folder = work / f"trial-{number}"
        ends: Counter[str] = Counter()
        try:
            trial(trainings, name, folder, Random(f"chains {seed} {number}"), length=lengths[name], came=ends)
        except Exception as error:
            place = found / f"chains-{seed}-{number}-{name}"
            shutil.rmtree(place, ignore_errors=True)
            found.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, place)
            (place / "FINDING.txt").write_text("".join(traceback.format_exception(error)))
            outcome.findings.append(f"{name} {number}: {str(error)[:300]} (kept in {place})")
        outcome.ends.update(ends)
        done += sum(ends.values())
        number += 1
    outcome.seconds, outcome.note = time.monotonic() - began, f"{number - first:,} chains"
    return outcome


def command_of(name: str, folder: Path, *, resume: bool) -> list[str]:
    """Return the arguments of a chain whose result lies in `folder`."""
    start, steps = CHAINS[name]
    words = ["shrink", f"{start}/model.safetensors", "images", *shlex.split(f"--steps {steps}"), "--threads", "1"]
    return [*words, "--device", "cpu", "--out", f"{folder.name}/small.safetensors", *(["--resume"] if resume else [])]


def untimed() -> None:
    """Let the process time the fewest passes."""
    measured.TIMED_S = 0.0


def whole(trainings: Trainings, name: str, title: str) -> Length:
    """Run a chain undisturbed, and return its length."""
    folder = trainings.folder / f"{title}-{name}"
    folder.mkdir()
    touched, began = Shared(), time.monotonic()

    def before() -> None:
        untimed()
        at_events(touched.begin)

    process, command = trainings.folder / f"{title}-{name}-process", command_of(name, folder, resume=False)
    ends = trainings.run(command, Recipe("", ""), folder=process, before=before, note=process / "modules")
    if ends != [0]:
        raise RuntimeError(f"{name}: {ends}\n{(process / 'said').read_text()}")
    trainings.import_what(process / "modules")
    return Length(time.monotonic() - began, touched.now()[0])


def trial(trainings: Trainings, name: str, folder: Path, chance: Random, *, length: Length, came: Counter[str]) -> None:
    """Begin a chain, disturb it some times, resume it until it ends, and compare; count in `came` what came."""
    folder.mkdir()
    process = folder / "process"
    planned = chance.randint(1, MOST_KILLS)
    for attempt in range(planned + 1):
        finished = (folder / "small.safetensors").exists() and not (folder / "small.unfinished.safetensors").exists()
        if finished:
            break
        disturbance = None if attempt == planned else drawn(chance, length)
        command = command_of(name, folder, resume=(folder / "small.unfinished.safetensors").exists())
        process.mkdir(exist_ok=True)
        with (process / "said").open("a") as words:
            print(f"--- {' '.join(command)}: {disturbance}", file=words)

        def before(disturbance: Any = disturbance) -> None:
            untimed()
            if disturbance is not None:
                disturbance.before()

        hooks = {} if disturbance is None else {"disturb": disturbance.disturb}
        ends = trainings.run(command, Recipe("", ""), folder=process, before=before, **hooks)
        if disturbance is not None and ends != [0]:
            came[disturbance.number.name] += 1
        check_ends(ends, disturbance, process / "said")
        check_left(folder)
    check_cache(process / "cache")
    compare(folder, trainings.folder / f"whole-{name}")
    shutil.rmtree(folder)


LEFT = {"small.safetensors", "small.unfinished.safetensors", "small.lock", "process"}


def check_left(folder: Path) -> None:
    """Raise Difference where a kill has left a network that cannot be loaded, or what has no business there."""
    names = {path.name for path in folder.iterdir()}
    hidden = {name for name in names if name.startswith(".small.") and "scratch" in name or name.endswith(".tmp")}
    if strange := names - LEFT - hidden:
        raise Difference(f"strange files: {strange}")
    for name in ("small.safetensors", "small.unfinished.safetensors"):
        if (folder / name).exists():
            load(folder / name)


def compare(folder: Path, whole_folder: Path) -> None:
    """Raise Difference where a chain has come to other tensors, or another card but for times, than undisturbed."""
    ours, theirs = (safetensors_parts((place / "small.safetensors").read_bytes()) for place in (folder, whole_folder))
    if ours[1] != theirs[1]:
        raise Difference("the tensors are others")
    cards = [timeless(unpacked(header), TIMES) for header, _ in (ours, theirs)]
    for card in cards:
        card["fovea"].pop("created", None)
    if cards[0] != cards[1]:
        differing = {key for key in cards[0]["fovea"] if cards[0]["fovea"][key] != cards[1]["fovea"].get(key)}
        raise Difference(f"the cards differ in {differing}: {[card['fovea'][SECTION] for card in cards]}")
    names = [{path.name for path in place.iterdir()} - {"process"} for place in (folder, whole_folder)]
    if names[0] != names[1]:
        raise Difference(f"other files: {names[0] ^ names[1]}")
