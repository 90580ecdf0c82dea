"""`fovea compare`: trainings side by side; runs that differ only in their seed form one group."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fovea.errors import FoveaError, UsageError
from fovea.runs.comparison import Comparison, compared
from fovea.runs.folder import Run
from fovea.runs.summary import RunSummary, read_summary
from fovea.storage import page_path
from fovea.texts import natural_key


def compare(runs: Sequence[str | Path], *, html: str | Path | None = None) -> Comparison:
    """Compare the run folders `runs`, grouped by recipe; `html` is where to write a page with curves.

    Of a folder of runs all that have a result are compared; those that diverged, were interrupted or still run are left
    out, with a note.

    Each group is compared with that of the first run: by an interval over the seeds that both have, or, for two single
    runs, by an interval over their images. Run folders keep no predictions, so images cannot be paired.

    Raises:
        UsageError: a folder that is not a run, a run without a model, or no folder for `html`.
        BundleError: a model file that is damaged.
        StorageError: the page cannot be written.
    """
    if html is not None:
        page_path(html, option="html")
    found, notes = _summaries(_once(runs))
    if not found:
        raise UsageError(f"There is no run to compare: {'; '.join(notes)}.")
    result = compared(found)
    result = replace(result, notes=(*notes, *result.notes))
    if html is not None:
        from fovea.report.compare import compare_page
        from fovea.report.page import write_page

        write_page(Path(html), compare_page(result.to_dict(), **result.page_values))
    return result


def _summaries(runs: Sequence[str | Path]) -> tuple[list[RunSummary], list[str]]:
    """Return the runs as their folders tell them, and what is left out of a folder of runs, and why."""
    found: list[RunSummary] = []
    notes: list[str] = []
    for place in runs:
        inside = _runs_in(Path(place))
        if not inside:
            found.append(read_summary(place))
            continue
        for folder in inside:
            try:
                summary = read_summary(folder)
            except FoveaError:
                notes.append(f"{folder.name} is left out, as it has no complete model: it diverged or has not ended")
                continue
            if summary.results:
                found.append(summary)
            else:
                notes.append(f"{folder.name} is left out, as it has no result: it diverged or has not ended")
    return found, notes


def _runs_in(folder: Path) -> list[Path]:
    """Return the runs directly in a folder that is no run itself, by name."""
    if not folder.is_dir() or Run(folder).recipe.exists():
        return []
    return sorted((path for path in folder.iterdir() if Run(path).recipe.is_file()), key=lambda p: natural_key(p.name))


def _once(runs: Sequence[str | Path]) -> list[str | Path]:
    if not runs:
        raise UsageError("Give at least one run folder, as written by `fovea train`.")
    once: dict[Path, str | Path] = {}
    for run in runs:
        once.setdefault(Path(run).resolve(), run)
    return list(once.values())
