"""Lists of `fovea label` that are killed while they are made and gone on with, as trainings are in `kills`.

A person fills in each list before the next round. No label is lost, no list or image of it is ever half there, and what
comes in the end is what undisturbed rounds come to.
"""

import csv
import shlex
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image

from tests.campaigns.batches import Outcome, Shared
from tests.campaigns.kills import (
    MLP,
    Difference,
    Length,
    Recipe,
    Trainings,
    at_events,
    check_cache,
    check_ends,
    drawn,
    write_data,
)

NAME = "labels"
LISTS = {
    "folder": "images --out {} --by margin",
    "archive": "images.zip --out {} --by entropy",
    "core-set": "images --out {} --by core-set",
    "manifest": "{} --out {}",
}
"""What is asked for; `{}` is the list."""
SHORT, SHORT_KILLS = ("folder", "archive", "manifest"), 6
"""In continuous integration: of these lists, so many kills."""
ROUNDS, MOST_KILLS = 2, 3
"""Of one list, and kills of one round."""
START = Recipe("images", f"{MLP} --seed 5")


def campaign(*, kills: int, seed: int, work: Path, found: Path, names: Sequence[str], first: int = 0) -> Outcome:
    """Disturb these lists, in turn, until so many kills have come; findings stay below `found`."""
    outcome, began = Outcome(NAME, seed), time.monotonic()
    write_data(work)
    trainings = Trainings(work)
    trainings.whole("start", START)
    for name in names:
        whole(trainings, name, "warm")
    lengths = {name: whole(trainings, name, "whole") for name in names}
    for name in names:
        compare(work / f"warm-{name}", work / f"whole-{name}")
    number, done = first, 0
    while done < kills:
        name, folder = names[number % len(names)], work / f"trial-{number}"
        ends: Counter[str] = Counter()
        try:
            trial(trainings, name, folder, Random(f"{NAME} {seed} {number}"), length=lengths[name], came=ends)
        except Exception as error:
            place = found / f"{NAME}-{seed}-{number}-{name}"
            shutil.rmtree(place, ignore_errors=True)
            found.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, place)
            (place / "FINDING.txt").write_text("".join(traceback.format_exception(error)))
            outcome.findings.append(f"{name} {number}: {str(error)[:300]} (kept in {place})")
        outcome.ends.update(ends)
        done += sum(ends.values())
        number += 1
    outcome.seconds, outcome.note = time.monotonic() - began, f"{number - first:,} lists"
    return outcome


def command_of(name: str, folder: Path) -> list[str]:
    """Return the arguments for the list in `folder`."""
    place = f"{folder.name}/todo.csv"
    words = shlex.split(LISTS[name].format(place, place))
    page = f"{folder.name}/todo.html"
    return ["label", "start/model.safetensors", *words, "-n", "6", "--html", page, "--device", "cpu"]


def begun(trainings: Trainings, name: str, title: str) -> Path:
    """Return a folder for a list; of a manifest it is there from the start."""
    folder = trainings.folder / f"{title}-{name}"
    folder.mkdir()
    if name == "manifest":
        images = sorted((trainings.folder / "images").rglob("*.png"))
        rows = [f"../{image.relative_to(trainings.folder).as_posix()},,x" for image in images]
        (folder / "todo.csv").write_text("\n".join(["path,label,camera", *rows]))
    return folder


def whole(trainings: Trainings, name: str, title: str) -> Length:
    """Make a list undisturbed, round after round, and return how long the first takes."""
    folder = begun(trainings, name, title)
    process, length = trainings.folder / f"{title}-{name}-process", None
    for number in range(ROUNDS):
        touched, began = Shared(), time.monotonic()

        def before(touched: Shared = touched) -> None:
            at_events(touched.begin)

        note = process / "modules"
        ends = trainings.run(command_of(name, folder), Recipe("", ""), folder=process, before=before, note=note)
        if ends != [0]:
            raise RuntimeError(f"{name}: {ends}\n{(process / 'said').read_text()}")
        trainings.import_what(note)
        length = length or Length(time.monotonic() - began, touched.now()[0])
        shutil.copy(folder / "todo.csv", folder / f"round-{number}.csv")
        fill(folder / "todo.csv")
    if length is None:
        raise RuntimeError("no round")
    return length


def fill(file: Path) -> None:
    """Label what was chosen, by the folder of each image, as a person does."""
    rows = rows_of(file)
    for row in rows:
        if row["prediction"] and not row["label"]:
            row["label"] = Path(row["path"]).parent.name
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def trial(trainings: Trainings, name: str, folder: Path, chance: Random, *, length: Length, came: Counter[str]) -> None:
    """Make a list, disturbed some times in each round, and compare; count in `came` what came."""
    made = begun(trainings, name, folder.name)
    made.rename(folder)
    process, reference = folder / "process", trainings.folder / f"whole-{name}"
    process.mkdir()
    for number in range(ROUNDS):
        planned = chance.randint(1, MOST_KILLS)
        before = (folder / "todo.csv").read_bytes() if (folder / "todo.csv").exists() else b""
        killed = False
        for attempt in range(planned + 1):
            disturbance = None if attempt == planned else drawn(chance, length)
            command = command_of(name, folder)
            with (process / "said").open("a") as words:
                print(f"--- {' '.join(command)}: {disturbance}", file=words)
            hooks = {} if disturbance is None else {"before": disturbance.before, "disturb": disturbance.disturb}
            ends = trainings.run(command, Recipe("", ""), folder=process, **hooks)
            if disturbance is not None and ends != [0]:
                came[disturbance.number.name] += 1
            check_ends(ends, disturbance, process / "said")
            killed = disturbance is not None and (killed or disturbance.number == signal.SIGKILL)
            check_left(folder, before, (reference / f"round-{number}.csv").read_bytes(), killed=killed)
        if (folder / "todo.csv").read_bytes() != (reference / f"round-{number}.csv").read_bytes():
            raise Difference(f"round {number} comes to another list")
        fill(folder / "todo.csv")
    check_cache(process / "cache")
    compare(folder, reference)
    shutil.rmtree(folder)


def check_left(folder: Path, before: bytes, after: bytes, *, killed: bool) -> None:
    """Raise Difference where a list is neither as it was nor as it is to be, or what it names is not there, whole.

    A killed process cannot remove its lock, which the next one that comes so far takes over.
    """
    names = {path.name for path in folder.iterdir()} - {"todo.csv", "todo.html", "todo", "process"}
    if killed:
        names -= {".todo.csv.lock"}
    if strange := {name for name in names if not (name.startswith(".todo.") and name.endswith(".tmp"))}:
        raise Difference(f"strange files: {strange}")
    file, page = folder / "todo.csv", folder / "todo.html"
    if file.exists() and file.read_bytes() not in (before, after):
        raise Difference("the list is neither the old one nor the new one")
    for row in rows_of(file) if file.exists() else ():
        Image.open(folder / row["path"]).load()
    if page.exists() and not page.read_text().rstrip().endswith("</html>"):
        raise Difference("half a page")


def compare(folder: Path, reference: Path) -> None:
    """Raise Difference where a list came to other files, or another content, than undisturbed."""
    found, wanted = (
        {
            path.relative_to(place): path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_file() and path.relative_to(place).parts[0] != "process" and not path.name.startswith("round-")
        }
        for place in (folder, reference)
    )
    if found.keys() != wanted.keys():
        raise Difference(f"other files: {sorted(map(str, found.keys() ^ wanted.keys()))}")
    if other := [str(path) for path, content in found.items() if content != wanted[path]]:
        raise Difference(f"other content: {other}")
