"""Batches of damaged inputs in forked processes: a crash, a hang or a peak of memory is a finding, not the end.

Nothing of PyTorch's engine may have run in the process that forks, other than with one thread and without gradients.
"""

import ctypes
import json
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fovea.errors import FoveaError

MEGABYTE = 1_000_000
LONGEST_MESSAGE = 1000
SPARE_BYTES = 8 << 30
"""Of addresses, not memory, that an item may ask for: 32 bits may announce 4 GiB, of which nothing is used."""
LARGEST_BYTES = 4 << 30
"""Memory at which a process is ended, so that the machine stays well."""
MASKED = ("MemoryError", "allocate memory", "bad_alloc")
"""In a refusal: the limit has said no, where the product should have."""
SETTLED = "settled"
"""The end of an item that neither was refused nor said what came of it."""


class Finding(Exception):
    """What should not have happened, as an `attempt` has seen it."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of input: how it is damaged, and what must bear that."""

    name: str
    make: Callable[[Random, Path, Path], Path]
    """Of chance, the folder of the originals, and an empty folder: write a damaged input there and return its path."""
    attempt: Callable[[Path, Random], str | None]
    """Use it; a FoveaError is an answer. May return in a word what came of it."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Write the originals into a folder; in a process of its own."""
    warm: Callable[[Path], None] = lambda folder: None
    """Import what is needed, and use an original once, before the first fork."""
    peak_mb: int = 256
    """Memory that one item may take, beside what the process had."""
    seconds: float = 20.0
    """Time that one item may take."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    batch: int = 100
    """Items for one process."""
    short: int = 20
    """Items in continuous integration."""


@dataclass
class Outcome:
    """What came of a campaign."""

    kind: str
    seed: int
    ends: Counter = field(default_factory=Counter)
    """How often each end came: `settled`, or the name of the error that refused."""
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0
    """The most that an item took."""
    note: str = ""

    @property
    def count(self) -> int:
        return self.ends.total() + len(self.findings)

    def text(self) -> str:
        ends = ", ".join(f"{count:,} {end}" for end, count in self.ends.most_common())
        return (
            f"{self.kind}: {self.count:,} in {self.seconds:.0f} s, seed {self.seed}, "
            f"{self.note or f'peak {self.peak_mb:.0f} MB'}; {ends}; {len(self.findings)} findings"
        )


def campaign(kind: Kind, *, count: int, seed: int, work: Path, found: Path, first: int = 0) -> Outcome:
    """Try `count` damaged inputs; whatever is found is described and kept in a folder below `found`.

    `work` is an empty folder for what lives as long as an item.
    """
    outcome, began = Outcome(kind.name, seed), time.monotonic()
    originals = work / "originals"
    originals.mkdir()
    _in_child(lambda: kind.prepare(originals))
    kind.warm(originals)
    item, last = first, first + count
    while item < last:
        item = _batch(kind, range(item, min(item + kind.batch, last)), seed, originals, work, found, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


class Shared:
    """What the child says to the parent while it works: the item, and when it began; 0 before the first."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    def begin(self, item: int) -> None:
        self._memory[:16] = struct.pack("<qd", item, time.monotonic())

    def now(self) -> tuple[int, float]:
        return struct.unpack("<qd", self._memory[:16])


def _batch(kind: Kind, items: range, seed: int, originals: Path, work: Path, found: Path, outcome: Outcome) -> int:
    """Run items in a child; return the next one: that after the batch, or after the item that ended the child."""
    shared, lines = Shared(), work / "lines"
    lines.write_bytes(b"")
    shared.begin(items[0])
    began = time.monotonic()
    child = _forked(lambda: _work(kind, items, seed, originals, work, shared, lines))
    status, ended = _waited(child, shared, kind.seconds)
    if os.environ.get("FOVEA_CAMPAIGN_VERBOSE"):
        print(f"  {kind.name} {items[0]}..{items[-1]}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    for line in lines.read_text().splitlines():
        said = json.loads(line)
        outcome.peak_mb = max(outcome.peak_mb, said["peak_mb"])
        if said["wrong"]:
            _keep(kind, said["item"], seed, said["wrong"], work, found, outcome)
        else:
            outcome.ends[said["end"]] += 1
    if status == 0:
        return items.stop
    item = shared.now()[0]
    wrong = ended or f"the process ended: {_ending(status)}"
    _keep(kind, item, seed, wrong, work, found, outcome)
    return item + 1


def _keep(kind: Kind, item: int, seed: int, wrong: str, work: Path, found: Path, outcome: Outcome) -> None:
    """Move the folder of an item to where it stays, with what was wrong."""
    place = found / f"{kind.name}-{seed}-{item}"
    shutil.rmtree(place, ignore_errors=True)
    found.mkdir(parents=True, exist_ok=True)
    folder = work / str(item)
    folder.mkdir(exist_ok=True)
    shutil.move(folder, place)
    again = f"python -m tests.campaigns {kind.name} --seed {seed} --first {item} --count 1"
    (place / "FINDING.txt").write_text(f"{again}\n\n{wrong}\n")
    outcome.findings.append(f"{kind.name} {item}: {wrong.strip().splitlines()[-1][:300]} (kept in {place})")


def _work(kind: Kind, items: range, seed: int, originals: Path, work: Path, shared: Shared, lines: Path) -> None:
    os.environ.update(kind.settings)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = status_bytes("VmSize") + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    noise = os.open(work / "noise", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(noise, 1)
    os.dup2(noise, 2)
    with lines.open("a") as said:
        for item in items:
            shared.begin(item)
            folder = work / str(item)
            folder.mkdir()
            end, wrong, peak_mb = _item(kind, Random(f"{kind.name} {seed} {item}"), originals, folder)
            if not wrong and (words := os.pread(noise, 2000, 0)):
                wrong = f"wrote on the terminal: {words.decode(errors='replace')}"
            os.ftruncate(noise, 0)
            os.lseek(noise, 0, os.SEEK_SET)
            if not wrong:
                shutil.rmtree(folder)
            print(json.dumps({"item": item, "end": end, "wrong": wrong, "peak_mb": peak_mb}), file=said, flush=True)


def _item(kind: Kind, chance: Random, originals: Path, folder: Path) -> tuple[str, str, float]:
    """Return how an item ended, what was wrong with that, and its peak of memory in MB."""
    end, wrong = SETTLED, ""
    path = kind.make(chance, originals, folder)
    os.environ["FOVEA_CACHE"] = str(folder / "cache")
    before = _peak_anew()
    try:
        end = kind.attempt(path, chance) or SETTLED
    except FoveaError as error:
        end, wrong = type(error).__name__, refusal_fault(error)
    except BaseException as error:
        wrong = "".join(traceback.format_exception(error))
    peak_mb = (status_bytes("VmHWM") - before) / MEGABYTE
    if not wrong and peak_mb > kind.peak_mb:
        wrong = f"took {peak_mb:.0f} MB, more than {kind.peak_mb}"
    return end, wrong, peak_mb


def refusal_fault(error: BaseException) -> str:
    """Return what is wrong with a refusal: more than a line, or memory that only the limit has refused."""
    if fault := text_fault(str(error)):
        return fault
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:  # an error can be its own cause
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    masked = any(isinstance(each, MemoryError) for each in causes)
    return "".join(traceback.format_exception(error)) if masked else ""


def text_fault(text: str) -> str:
    """Return what is wrong with the text of a refusal; its control characters are a matter of where it is shown."""
    if not text.strip() or "\n" in text or "\r" in text or len(text) > LONGEST_MESSAGE:
        return f"no message of one short line: {text[:3000]!r}"
    return f"memory ran out: {text}" if any(word in text for word in MASKED) else ""


def status_bytes(key: str, process: int | str = "self") -> int:
    """Return a size that the system knows of a process; 0 of one that has ended."""
    with open(f"/proc/{process}/status") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0) * 1024


_libc = ctypes.CDLL(None)


def _peak_anew() -> int:
    """Give freed memory back, forget the peak so far, and return what is in use."""
    _libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS")


def _forked(body: Callable[[], None]) -> int:
    """Run `body` in a process of its own, and return its number; it ends with 0, or with 1 after a traceback."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    code = 1
    try:
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _in_child(body: Callable[[], None]) -> None:
    """Run `body` in a process of its own; RuntimeError where that fails."""
    child = _forked(body)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the originals could not be made")


def _waited(child: int, shared: Shared, seconds: float) -> tuple[int, str]:
    """Return the status of a child at its end, and why it was ended if it was."""
    ended = ""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status, ended
        if time.monotonic() - shared.now()[1] > seconds:
            ended = f"took more than {seconds:g} s"
        if status_bytes("VmRSS", child) > LARGEST_BYTES:
            ended = f"took more than {LARGEST_BYTES / MEGABYTE:.0f} MB"
        if ended:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
