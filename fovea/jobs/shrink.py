"""`fovea shrink`: a network made smaller and faster step by step, each step measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import nn

from fovea.compression.planning import chosen, measured, target_of, verdict, wants_integers
from fovea.compression.steps import Asked, parsed
from fovea.compression.table import Row, Table, check_max_drop, table_of
from fovea.data.sources.source import Reading, reads_data
from fovea.devices import check_threads
from fovea.display import Display
from fovea.drawing.chain import draw_chain
from fovea.errors import DropError, FoveaError, UsageError
from fovea.exporting.library import check_installed
from fovea.files import check_there
from fovea.layers import copied
from fovea.model.bundle import Bundle
from fovea.runs.chain.chain import Chain, Settings
from fovea.runs.chain.kept import SUFFIX, Kept, named
from fovea.runs.chain.material import Material, material_of
from fovea.runs.chain.others import Given, Opened, members_of, places, teacher_of
from fovea.runs.process import as_found
from fovea.storage import page_path, picture_path
from fovea.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What has become of a network."""

    model: Path
    """The file of the network as it was given."""
    out: Path
    """The file of the last good one."""
    task: str
    rows: tuple[Row, ...]
    """The network as it was given, and after each step that is kept."""
    files: tuple[Path, ...] = ()
    """What was written beside."""
    stopped: str = ""
    """Why the chain ended before its end; empty if it did not."""
    reasons: tuple[str, ...] = ()
    """Why these steps, where they were chosen."""
    reached: bool = True
    """Whether the target is, where there was one."""
    verdict: str = ""
    """What has become of the target; empty if there was none."""

    @property
    def table(self) -> Table:
        """The rows as a person reads them."""
        return table_of([row.to_dict() for row in self.rows], task=self.task)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "model": str(self.model),
            "out": str(self.out),
            "files": [str(path) for path in self.files],
            "stopped": self.stopped,
            "reached": self.reached,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "rows": [row.to_dict() for row in self.rows],
        }

    def summary(self) -> list[str]:
        """Return lines for the terminal, which stand below the table."""
        stopped = [f"Stopped  {self.stopped}; the network of the row before is kept"] if self.stopped else []
        target = [f"Target   {self.verdict}"] if self.verdict else []
        return [
            *self.table.lines,
            *stopped,
            *target,
            f"Written  {self.out}",
            *(f"         {path}" for path in self.files),
        ]


@reads_data
def shrink(
    model: str | Path,
    data: str | Path,
    *,
    steps: str | Sequence[str] | None = None,
    target: str | None = None,
    max_drop: float | None = None,
    teacher: Given = None,
    members: Given = None,
    network: nn.Module | str | None = None,
    recipe: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    plot: str | Path | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "auto",
    allow_bad: bool = False,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> Shrunk:
    """Make the network of a model file smaller, step by step, and measure it after each step.

    `steps` are those of `fovea.compression.steps`, in order, such as `fold,prune=0.5,finetune=3,share=5bit`. They
    train on the training split of `data` and are judged on the validation split. The test split is used once, at the
    end, for the first and the last row. `max_drop` stops before a step that loses more points of the score (for
    errors, per cent); a step followed by `finetune` or `distil` is judged after that. `target` chooses the steps
    instead: `latency=4x`, `macs=10M`, `bytes=200k`. `teacher` and `members` are model files, several as `A,B`; without
    a teacher `distil` uses the original network. `network` is the code of a custom network, which model files do not
    contain, also for teachers and members: `Net()`, or `file.py:Net`. `recipe` overrides fields of the training
    recipe, such as `{"optimiser": "muon", "augment": ["flip"]}`. `out` is the model file of the last good step.
    `resume` continues after the last finished step of an interrupted call with the same arguments. `plot` is a picture
    of scores against bytes.

    Raises:
        DropError: the first step that counts loses too much; nothing is written.
        DataError: there is no training split, or the data has another kind or other classes.
        UsageError: steps that are unknown or cannot be applied, with the layer and the reason.
        TrainingError: fine-tuning diverges; the last good network is kept.
    """
    check_max_drop(max_drop)
    picture = None if plot is None else picture_path(plot, option="plot")
    kept = Kept(_place(model, out))
    asked = _asked(steps, target, kept, resume=resume)
    others = _others(asked, teacher=places(teacher), members=places(members))
    opened = Opened(network, device=device)
    for path in (*others["teacher"], *others["members"]):
        check_there(path)
    opened.check_used([Path(model), *others["teacher"], *others["members"]])
    bundle = opened(Path(model))
    display = display or Display(quiet=True)
    with as_found(), kept.held():
        threads = _threads(threads, kept, resume=resume)
        changes = _typed(recipe or {})
        material = material_of(
            bundle, data, seed=seed, changes=changes, allow_bad=allow_bad, display=display, **reading
        )
        provenance = _provenance(Path(model), material, seed=seed, threads=threads, others=others)
        provenance |= {"target": target} if target else {}
        provenance |= {"recipe": changes} if changes else {}
        settings = Settings(
            steps=asked,
            max_drop=max_drop,
            provenance=provenance,
            teacher=teacher_of(_teachers(asked, others["teacher"], bundle, opened), bundle),
            members=[member.model for member in members_of(others["members"], bundle, opened, display)],
            network=opened.code_of(Path(model)),
        )
        chain = Chain(Path(model), settings, material, kept, display=display)
        with _kept_said(chain):
            timed = _timed_in_integers(chain, data, allow_bad=allow_bad, **reading)
            reasons = _taken(chain, target, timed, resume=resume)
            files = _in_integers(chain, data, allow_bad=allow_bad, **reading)
        kept.remove_unfinished()
    return _result(chain, target, files=files, reasons=reasons, picture=picture)


def _result(
    chain: Chain, target: str | None, *, files: tuple[Path, ...], reasons: tuple[str, ...], picture: Path | None
) -> Shrunk:
    """Return what has come of a chain, after drawing it where that was asked for."""
    reached, verdict = _verdict(target, chain.rows)
    if picture is not None:
        draw_chain(chain.rows, chain.material.target.metric, picture)
        files = (*files, picture)
    return Shrunk(
        model=chain.source,
        out=chain.kept.out,
        task=chain.material.target.name,
        rows=tuple(chain.rows),
        files=files,
        stopped=chain.stopped,
        reasons=reasons,
        reached=reached,
        verdict=verdict,
    )


def _taken(
    chain: Chain, target: str | None, in_integers: Callable[[Bundle], float], *, resume: bool
) -> tuple[str, ...]:
    """Take the steps of a chain, and return why they were chosen, where they were."""
    reasons: tuple[str, ...] = ()
    if resume:
        chain.resume()
    else:
        chain.begin()
    if target is not None:
        aim, first = target_of(target), chain.rows[0]
        integers = None
        if wants_integers(aim, first) and not chain.settings.steps:
            check_installed()
            integers = measured(first, aim.what) / in_integers(chain.loaded(chain.source))
        found = chosen(aim, first, steps_per_epoch=chain.material.steps_per_epoch, integers=integers)
        steps = chain.settings.steps or parsed(found.steps)
        closes = steps[-1].kind.closes
        chain.settings = replace(chain.settings, steps=steps, target=aim, in_integers=in_integers if closes else None)
        reasons = found.reasons
        for reason in reasons:
            chain.display.note(f"plan: {reason}")
    chain.run()
    chain.finish()
    return reasons


@contextmanager
def _kept_said(chain: Chain) -> Iterator[None]:
    """After Ctrl-C, or where a step fails, say what is kept."""
    try:
        yield
    except (KeyboardInterrupt, FoveaError) as error:
        kept, done = chain.kept, max(0, len(chain.rows) - 1)
        if done and kept.unfinished.exists():
            good = f"`{kept.out}` contains the last good network; " if chain.good and kept.out.exists() else ""
            interrupted = isinstance(error, KeyboardInterrupt)
            way = " Run the same command with --resume to continue." if interrupted else ""
            chain.display.note(f"Stopped: {good}{done} of {len(chain.settings.steps)} steps are done.{way}")
        raise


def _in_integers(chain: Chain, data: str | Path, *, allow_bad: bool, **reading: Unpack[Reading]) -> tuple[Path, ...]:
    """Write the network in integers beside the result, where that is the last step; return the file."""
    last = chain.settings.steps[-1]
    if not last.kind.closes or chain.stopped:
        return ()
    from fovea.exporting.grids import grid_of
    from fovea.jobs.export import MAX_DROP, export
    from fovea.runs.chain.exported import row_of_file

    limit, out = chain.settings.max_drop, chain.kept.out.with_suffix(".onnx")
    left = MAX_DROP if limit is None else max(0.0, limit - chain.rows[-1].drop)
    # a network on a grid has its own scales, and is written with them
    asked: dict[str, Any] = {} if grid_of(chain.bundle.model) else {"int8": data, "max_drop": left}
    try:
        model = chain.loaded(chain.kept.out)
        done = export(model, out=out, allow_bad=allow_bad, display=chain.display, **asked, **reading)
    except DropError as error:
        chain.stopped = str(error).rstrip(".")
        return ()
    precision = done.facts["precision"]  # float where integers are slower on this machine
    step = last.text if precision == "int8" else f"{last.text} ({precision})"
    row = row_of_file(step, out, chain.material, rows=chain.rows, display=chain.display)
    chain.display.note(chain.line(row))
    chain.rewrite([*chain.rows, replace(row, notes=tuple(done.lines))])
    return (out,)


def _timed_in_integers(
    chain: Chain, data: str | Path, *, allow_bad: bool, **reading: Unpack[Reading]
) -> Callable[[Bundle], float]:
    """Return what writes a network in integers for a moment, and times it with one input, in seconds."""

    def timed(bundle: Bundle) -> float:
        from fovea.jobs.export import export
        from fovea.runs.chain.exported import timing_of_file

        place = chain.kept.scratch.with_suffix(".onnx")
        try:
            chain.display.note("timing the network in int8")
            export(bundle, out=place, int8=data, max_drop=100.0, allow_bad=allow_bad, **reading)
            return timing_of_file(place, chain.material, threads=torch.get_num_threads(), batch=1).median_s
        finally:
            place.unlink(missing_ok=True)

    return timed


def _asked(steps: str | Sequence[str] | None, target: str | None, kept: Kept, *, resume: bool) -> tuple[Asked, ...]:
    """Return the steps that are named; of a target those that were chosen before, or none yet."""
    if (steps is None) == (target is None):
        raise UsageError("Give either `--steps`, for example `--steps fold,finetune=3`, or `--target`.")
    if steps is not None:
        asked = parsed(steps)
    else:
        target_of(target or "")
        asked = parsed(kept.read()[0].get("steps") or ()) if resume else ()
    if any(step.kind.closes for step in asked):
        check_installed()
    return asked


def _verdict(target: str | None, rows: Sequence[Row]) -> tuple[bool, str]:
    """Return whether a target is reached, and a line that says so; there may be none."""
    return (True, "") if target is None else verdict(target_of(target), rows[0], rows[-1])


def _place(model: str | Path, out: str | Path | None) -> Path:
    """Return where the result goes, after looking whether it can be written there."""
    given = Path(model)
    path = Path(out) if out is not None else given.with_name(f"{given.stem}-small{SUFFIX}")
    if path.suffix != SUFFIX:
        raise UsageError(f"`out` (={path}) must end in {SUFFIX}.")
    if path.resolve() == given.resolve():
        raise UsageError(f"`out` (={path}) is the model itself; choose another file.")
    return page_path(path, option="out")


def _typed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes to a recipe as JSON values; text that stands for a value as that value."""
    texts = {name: value for name, value in changes.items() if isinstance(value, str)}
    typed = {**changes, **Recipe.parsed(texts)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in typed.items()}


def _others(asked: Sequence[Asked], **others: tuple[Path, ...]) -> dict[str, tuple[Path, ...]]:
    """Return the networks by option. Raises: UsageError if some are named that no step needs, or some lack."""
    names = [step.kind.name for step in asked]
    if others["teacher"] and asked and not any(step.kind.taught for step in asked):
        raise UsageError(
            "`--teacher` works only with steps that learn from a teacher, such as `distil`; add one, or leave the "
            "option out."
        )
    if others["members"] and "soup" not in names:
        raise UsageError("`--members` works only with the step `soup`; add it to `--steps`, or leave the option out.")
    if "soup" in names and not others["members"]:
        raise UsageError(f"`soup` needs other networks; give them with `--members A{SUFFIX}`, several as `A,B`.")
    return others


def _teachers(
    asked: Sequence[Asked], paths: Sequence[Path], student: Bundle, opened: Opened
) -> list[tuple[str, Bundle]]:
    """Return the networks that are to be imitated, with names: that which was given, where `distil` has no other."""
    if not paths and any(step.kind.name == "distil" for step in asked):
        return [("MODEL", replace(student, model=copied(student.model)))]
    return [(path.name, opened(path)) for path in paths]


def _threads(threads: int | None, kept: Kept, *, resume: bool) -> int:
    """Settle how many threads compute: as asked, as before, or as many as PyTorch has here."""
    if threads is None and resume and kept.unfinished.is_file():
        threads = kept.read()[0].get("threads")
    if threads is not None:
        check_threads(threads)
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def _provenance(
    model: Path, material: Material, *, seed: int, threads: int, others: dict[str, tuple[Path, ...]]
) -> dict[str, Any]:
    """Return what the card says of how the network was shrunk, beside the steps and the rows."""
    dataset = material.dataset
    networks = {name: named(paths) for name, paths in others.items() if paths}
    return {
        "model": named([model])[0],
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "seed": seed,
        "threads": threads,
        **networks,
    }
