"""Trainings that are killed and resumed until they end: what comes of them must be what undisturbed ones leave.

Each process is forked from this one, which has imported PyTorch and all that a training imports, but has taken no step:
so a kill costs a third of a second. That a fork trains as a new process does is compared, too.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fovea.model.bundle import load
from fovea.model.reading import read_weights
from tests.campaigns.batches import Outcome, Shared
from tests.campaigns.mutation import safetensors_parts

BASE = "--batch 8 --threads 1 --precision float32 --device cpu"
MLP = f"{BASE} --epochs 3 --val-fraction 0.25 --model mlp --size 8"
PATTERN = f"{BASE} --epochs 2 --val-fraction 0.25 --model pattern --size 8 --set widths=4"
PLACED = f"{BASE} --epochs 2 --val-fraction 0.25 --size 32"
BACKBONE = "--set backbone=cifar_resnet20 --set width=4"
RUN_FILES = {
    "lock",
    "recipe.toml",
    "metrics.jsonl",
    "looks.jsonl",
    "model.safetensors",
    "last.safetensors",
    "report.html",
}
TIMES = {"seconds", "elapsed_s", "validated_s", "validation_cost_s"}
"""Fields that differ from run to run."""
ENDS = {signal.SIGKILL: {-9, 0}, signal.SIGINT: {130, 0}, signal.SIGTERM: {-15, 130, 0}}
"""Exit codes of a training after a signal; 0 where it was done before that came."""
WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime", "shutil.rmtree")
"""Python's audit events at which a process may be killed: before it touches a file."""
LONGEST_S = 60
MOST_KILLS = 5
"""Of one training."""


class Recipe(NamedTuple):
    """A training: its data and options."""

    data: str
    options: str
    exact: bool = True
    """Whether it comes to the same weights each time; one with a time budget does not."""
    processes: int = 1


RECIPES = {
    "classes": Recipe("images", MLP),
    "convolutions": Recipe("images", f"{BASE} --epochs 2 --val-fraction 0.25 --model lenet5 --size 32"),
    "labels": Recipe("labels.csv", f"{MLP} --task labels"),
    "grade": Recipe("grade.csv", f"{MLP} --task grade"),
    "number": Recipe("number.csv", f"{MLP} --task number"),
    **{
        name: Recipe("images", f"{MLP} --set optimiser={name}")
        for name in ("sgd", "rmsprop", "adadelta", "adam", "adamw", "muon")
    },
    "average": Recipe("images", f"{MLP} --set ema=0.9 --set test_flip=true"),
    "mixed": Recipe("images", f"{MLP} --set 'augment=shift 1,mixup 0.4'"),
    "plateau": Recipe("images", f"{MLP} --set schedule=plateau --patience 2"),
    "freeze": Recipe("images", f"{MLP} --from start/model.safetensors --freeze stage1"),
    "probe": Recipe("images", f"{BASE} --val-fraction 0.25 --model mlp --size 8 --probe"),
    "pretrain": Recipe("images", f"{PATTERN} --set pattern=CRP --pretrain 1"),
    "grow": Recipe("images", f"{PATTERN} --set pattern=CRCRP --from shallow/model.safetensors --grow identity"),
    "archive": Recipe("images.zip", MLP),
    "arrays": Recipe("images.npz", MLP),
    "masks": Recipe("masked", f"{PLACED} --model unet_padded --set width=2 --set batch_norm=true"),
    "boxes": Recipe("boxed.csv", f"{PLACED} --task boxes --model centres {BACKBONE}"),
    "points": Recipe("pointed.csv", f"{PLACED} --task points --model simple_baseline {BACKBONE}"),
    "digits": Recipe("digits", MLP.replace("--batch 8", "--batch 200")),
    "budget": Recipe("images", MLP.replace("--epochs 3", "--budget 0.3s"), exact=False),
    "two-processes": Recipe("images", MLP, processes=2),
}
SHORT = ("classes", "labels", "grade", "number", "muon", "average", "mixed", "pretrain", "grow", "archive", "masks")
SHORT_KILLS = 10
"""In continuous integration: of these recipes, so many."""
STARTS = {
    "start": Recipe("images", f"{MLP} --seed 5"),
    "shallow": Recipe("images", f"{PATTERN} --set pattern=CRP"),
}


class Difference(Exception):
    """What a kill has left, or a resumed training has come to, that it should not."""


def write_data(folder: Path) -> None:
    """Write 40 images of 8 x 8 of two classes, as a folder, an archive and arrays, and tables with other labels."""
    pixels = np.random.default_rng(0).integers(0, 100, (40, 8, 8))
    pixels = (pixels + 100 * (np.arange(40) % 2)[:, None, None]).astype(np.uint8)
    names = [f"images/{'ab'[n % 2]}/{n}.png" for n in range(40)]
    for name, image in zip(names, pixels, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
    np.savez(folder / "images.npz", images=pixels, labels=np.arange(40) % 2)
    shutil.make_archive(str(folder / "images"), "zip", folder, "images")
    for name in names:
        place = folder / "masked" / name.replace("/a/", "/").replace("/b/", "/")
        for part in ("images", "masks"):
            (folder / "masked" / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, place)
        mask = (np.arange(64).reshape(8, 8) % 8 > int(place.stem) % 5).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masked" / "masks" / place.name)
    boxed = [f"{name},{'ab'[n % 2]},{n % 3},1,{5 + n % 3},6" for n, name in enumerate(names)]
    (folder / "boxed.csv").write_text("\n".join(["path,label,x0,y0,x1,y1", *boxed]))
    pointed = [f"{name},{n % 3},1,{5 + n % 3},6" for n, name in enumerate(names)]
    (folder / "pointed.csv").write_text("\n".join(["path,eye_x,eye_y,nose_x,nose_y", *pointed]))
    tables = {
        "labels": [("x;y", "x", "y", "")[n % 4] for n in range(40)],
        "grade": [str(n % 3) for n in range(40)],
        "number": [str(n / 7) for n in range(40)],
    }
    for kind, labels in tables.items():
        rows = [f"{name},{label}" for name, label in zip(names, labels, strict=True)]
        (folder / f"{kind}.csv").write_text("\n".join(["path,label", *rows]))


class Length(NamedTuple):
    """How long an undisturbed training takes, and how often it touches files."""

    seconds: float
    events: int


class Trainings:
    """Trainings as processes forked from this one, in one working folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(
        self, arguments: Sequence[str], *, cache: Path, said: Path, before: Callable[[], None], note: Path | None
    ) -> int:
        """Fork a process that runs `fovea` with these arguments, and return its number.

        `before` runs in it first; in the end it writes the names of its modules into `note`.
        """
        child = os.fork()
        if child:
            return child
        try:
            os.chdir(self.folder)
            os.environ["FOVEA_CACHE"] = str(cache)
            words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(words, 1)
            os.dup2(words, 2)
            before()
            code = self._command(arguments)
            if note is not None:
                note.write_text("\n".join(sys.modules))
            os._exit(code)
        except BaseException:
            traceback.print_exc()
        os._exit(99)

    @staticmethod
    def _command(arguments: Sequence[str]) -> int:
        """Do what `python -m fovea` does, and return the exit code."""
        from fovea import __main__ as entry

        sys.argv = ["fovea", *arguments]
        try:
            entry.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    def whole(self, name: str, recipe: Recipe) -> Length:
        """Run a training undisturbed in `name`, import here what it imported there, and return its length."""
        folder, began = self.folder / f"{name}-process", time.monotonic()
        touched = Shared()
        command = ["train", recipe.data, *shlex.split(recipe.options), "--out", name]
        ends = self.run(
            command, recipe, folder=folder, before=lambda: at_events(touched.begin), note=folder / "modules"
        )
        if set(ends) != {0}:
            raise RuntimeError(f"{name}: {ends}\n{(folder / 'said').read_text()}")
        length = Length(time.monotonic() - began, touched.now()[0])
        self.import_what(folder / "modules")
        return length

    @staticmethod
    def import_what(note: Path) -> None:
        """Import the modules that a process has noted down."""
        for module in note.read_text().splitlines():
            if module not in sys.modules and not module.startswith("__"):
                with suppress(ImportError):  # of one that another makes
                    import_module(module)

    def run(
        self,
        command: Sequence[str],
        recipe: Recipe,
        *,
        folder: Path,
        before: Callable[[], None] = lambda: None,
        disturb: Callable[[list[int]], None] = lambda children: None,
        note: Path | None = None,
    ) -> list[int]:
        """Run all processes of a training to their end, and return their exit codes."""
        folder.mkdir(exist_ok=True)
        port = _free_port() if recipe.processes > 1 else 0
        children = []
        for rank in range(recipe.processes):

            def settled(rank: int = rank) -> None:
                if port:
                    size = str(recipe.processes)
                    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size}
                    os.environ |= {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
                before()

            children.append(
                self.start(command, cache=folder / "cache", said=folder / "said", before=settled, note=note)
            )
        disturb(children)
        return _ends(children)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ends(children: Sequence[int]) -> list[int]:
    """Return the exit codes of processes; where one has died, the others are ended, as `torchrun` does."""
    ends: dict[int, int] = {}
    last = time.monotonic() + LONGEST_S
    while len(ends) < len(children):
        for child in children:
            if child not in ends:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    ends[child] = os.waitstatus_to_exitcode(status)
        if any(ends.values()) or time.monotonic() > last:
            for child in set(children) - ends.keys():
                os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    if time.monotonic() > last:
        raise Difference(f"a training took more than {LONGEST_S} s")
    return [ends[child] for child in children]


def at_events(act: Callable[[int], None]) -> None:
    """Call `act` in this process whenever it is about to touch a file, with how often it has done so."""
    number = 0

    def count(event: str, _: Any) -> None:
        nonlocal number
        if event in WATCHED:
            number += 1
            act(number)

    sys.addaudithook(count)


class Disturbance(NamedTuple):
    """A signal, and when it comes: after so many seconds, or before a file is touched for the n-th time."""

    number: signal.Signals
    after_s: float = 0.0
    at_event: int = 0

    def before(self) -> None:
        """In the process: end it at the event."""
        if self.at_event:
            at_events(lambda number: os.kill(os.getpid(), self.number) if number == self.at_event else None)

    def disturb(self, children: Sequence[int]) -> None:
        """Send the signal from outside."""
        if self.after_s:
            time.sleep(self.after_s)
            for child in children:
                os.kill(child, self.number)


def drawn(chance: Random, length: Length) -> Disturbance:
    """Return a disturbance at a random moment of a training."""
    number = chance.choice((signal.SIGKILL,) * 8 + (signal.SIGINT, signal.SIGTERM))
    if number == signal.SIGKILL and chance.random() < 0.5:
        return Disturbance(number, at_event=chance.randint(1, length.events))
    return Disturbance(number, after_s=chance.uniform(0.001, 1.05 * length.seconds))


def campaign(*, kills: int, seed: int, work: Path, found: Path, names: Sequence[str], first: int = 0) -> Outcome:
    """Disturb trainings of these recipes, in turn, until so many kills have come; findings stay below `found`."""
    outcome, began = Outcome("kills", seed), time.monotonic()
    write_data(work)
    trainings = Trainings(work)
    for name, recipe in STARTS.items():
        trainings.whole(name, recipe)
    for name in names:
        trainings.whole(f"warm-{name}", RECIPES[name])
    whole = {name: trainings.whole(f"whole-{name}", RECIPES[name]) for name in names}
    for name in names:
        if RECIPES[name].exact:
            compare(work / f"whole-{name}", work / f"warm-{name}", RECIPES[name])
    for name in names if kills > SHORT_KILLS else names[:1]:
        if RECIPES[name].exact and RECIPES[name].processes == 1:
            in_a_new_process(trainings, name)
    number, done = first, 0
    while done < kills:
        name = names[number % len(names)]
        chance = Random(f"kills {seed} {number}")
        folder = work / f"trial-{number}"
        ends: Counter[str] = Counter()
        try:
            trial(trainings, name, folder, chance, length=whole[name], came=ends)
        except Exception as error:
            wrong = "".join(traceback.format_exception(error))
            place = found / f"kills-{seed}-{number}-{name}"
            shutil.rmtree(place, ignore_errors=True)
            found.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, place)
            if (run := work / f"run-{number}").exists():
                shutil.move(run, place / "run")
            (place / "FINDING.txt").write_text(wrong)
            outcome.findings.append(f"{name} {number}: {str(error)[:300]} (kept in {place})")
        outcome.ends.update(ends)
        done += sum(ends.values())
        number += 1
    outcome.seconds, outcome.note = time.monotonic() - began, f"{number - first:,} trainings"
    return outcome


def in_a_new_process(trainings: Trainings, name: str) -> None:
    """Train without a fork, and compare."""
    recipe = RECIPES[name]
    command = [
        sys.executable,
        "-m",
        "fovea",
        "train",
        recipe.data,
        *shlex.split(recipe.options),
        "--out",
        f"new-{name}",
    ]
    root = str(Path(__file__).parents[2])
    settings = os.environ | {"PYTHONPATH": root, "FOVEA_CACHE": str(trainings.folder / f"new-{name}-cache")}
    subprocess.run(command, cwd=trainings.folder, env=settings, capture_output=True, check=True)
    compare(trainings.folder / f"new-{name}", trainings.folder / f"whole-{name}", recipe)


def trial(trainings: Trainings, name: str, folder: Path, chance: Random, *, length: Length, came: Counter[str]) -> None:
    """Begin a training, disturb it some times, resume it until it ends, and compare; count in `came` what came."""
    recipe = RECIPES[name]
    folder.mkdir()
    run = trainings.folder / f"run-{folder.name.removeprefix('trial-')}"
    planned = chance.randint(1, MOST_KILLS)
    story = folder / "said"
    for attempt in range(planned + 1):
        resumes = (run / "recipe.toml").exists()
        begin = ["train", recipe.data, *shlex.split(recipe.options), "--out", run.name]
        command = ["train", "--resume", run.name, "--device", "cpu"] if resumes else begin
        last = attempt == planned
        disturbance = None if last else drawn(chance, length)
        with story.open("a") as words:
            print(f"--- {' '.join(command)}: {disturbance}", file=words)
        hooks = {} if disturbance is None else {"before": disturbance.before, "disturb": disturbance.disturb}
        ends = trainings.run(command, recipe, folder=folder, **hooks)
        if disturbance is not None and ends != [0] * recipe.processes:
            came[disturbance.number.name] += 1
        check_ends(ends, disturbance, story)
        check_left(run)
    compare(run, trainings.folder / f"whole-{name}", recipe)
    check_cache(folder / "cache")
    shutil.rmtree(folder)
    shutil.rmtree(run)


def check_ends(ends: Sequence[int], disturbance: Disturbance | None, story: Path) -> None:
    """Raise Difference unless the processes ended as they may after such a signal, with no traceback."""
    allowed = {0} if disturbance is None else ENDS[disturbance.number]
    said = story.read_text()
    alone = len(ends) == 1 or disturbance is None
    if (alone and not set(ends) <= allowed) or (alone and "Traceback" in said):
        raise Difference(f"ended with {ends}: {said[-2000:]}")


def check_left(run: Path) -> None:
    """Raise Difference where a kill has left a file that is half written, or has no business there."""
    if not run.exists():
        return
    strange = {file.name for file in run.iterdir()} - RUN_FILES
    if strange := {name for name in strange if not (name.startswith(".") and name.endswith(".tmp"))}:
        raise Difference(f"strange files: {strange}")
    if (run / "recipe.toml").exists():
        tomllib.loads((run / "recipe.toml").read_text())
    if (run / "last.safetensors").exists():
        read_weights(run / "last.safetensors")
    if (run / "model.safetensors").exists():
        load(run / "model.safetensors")
    if (run / "report.html").exists() and not (run / "report.html").read_text().rstrip().endswith("</html>"):
        raise Difference("half a report")


def check_cache(cache: Path) -> None:
    """Raise Difference where the cache holds what is half made."""
    if left := [*cache.rglob(".unfinished-*"), *cache.rglob("*.tmp")]:
        raise Difference(f"left in the cache: {[path.name for path in left]}")


def compare(run: Path, whole: Path, recipe: Recipe) -> None:
    """Raise Difference where a run holds other files than an undisturbed one, or other content but for times."""
    # `--resume` makes an empty file for epochs, also where there are none
    files, others = (
        {file.name for file in place.iterdir() if file.stat().st_size or file.name == "lock"} for place in (run, whole)
    )
    if files != others:
        raise Difference(f"other files: {files ^ others}")
    check_left(run)
    if not recipe.exact:
        return
    for name in ("model.safetensors", "last.safetensors"):
        ours, theirs = (safetensors_parts((place / name).read_bytes()) for place in (run, whole))
        if ours[1] != theirs[1]:
            raise Difference(f"{name}: the tensors are others")
        if timeless(unpacked(ours[0])) != timeless(unpacked(theirs[0])):
            raise Difference(f"{name}: {timeless(unpacked(ours[0]))}\n{timeless(unpacked(theirs[0]))}")
    for name in files & {"metrics.jsonl", "looks.jsonl"}:
        ours, theirs = ((place / name).read_text() for place in (run, whole))
        if _lines(ours) != _lines(theirs):
            raise Difference(f"{name} differs:\n{ours}--\n{theirs}")
    if (run / "recipe.toml").read_text() != (whole / "recipe.toml").read_text():
        raise Difference("recipe.toml differs")


def unpacked(header: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file with the JSON in its metadata read."""
    values = json.loads(header)
    metadata = values.pop("__metadata__")
    metadata.pop("crc32", None)  # it covers times
    return {**values, **{name: json.loads(text) for name, text in metadata.items()}}


def _lines(text: str) -> list[Any]:
    return [timeless(json.loads(line)) for line in text.splitlines()]


def timeless(value: Any, times: Collection[str] = TIMES) -> Any:
    """Return JSON values without the fields that differ from run to run."""
    if isinstance(value, dict):
        return {name: timeless(item, times) for name, item in value.items() if name not in times}
    if isinstance(value, list):
        return [timeless(item, times) for item in value]
    return "nan" if isinstance(value, float) and value != value else value
