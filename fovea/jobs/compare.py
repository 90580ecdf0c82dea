"""`fovea compare`: trainings side by side; runs that differ only in their seed form one group."""

from collections.abc import Sequence
from pathlib import Path

from fovea.errors import UsageError
from fovea.runs.comparison import Comparison, compared
from fovea.runs.summary import read_summary
from fovea.storage import page_path


def compare(runs: Sequence[str | Path], *, html: str | Path | None = None) -> Comparison:
    """Compare the run folders `runs`, grouped by recipe; `html` is where to write a page with curves.

    Each group is compared with that of the first run: by an interval over the seeds that both have, or, for two single
    runs, by an interval over their images. Run folders keep no predictions, so images cannot be paired.

    Raises:
        UsageError: a folder that is not a run, a run without a model, or no folder for `html`.
        BundleError: a model file that is damaged.
        StorageError: the page cannot be written.
    """
    if html is not None:
        page_path(html, option="html")
    result = compared([read_summary(folder) for folder in _once(runs)])
    if html is not None:
        from fovea.report.compare import compare_page
        from fovea.report.page import write_page

        write_page(Path(html), compare_page(result.to_dict(), **result.page_values))
    return result


def _once(runs: Sequence[str | Path]) -> list[str | Path]:
    if not runs:
        raise UsageError("Give at least one run folder, as written by `fovea train`.")
    once: dict[Path, str | Path] = {}
    for run in runs:
        once.setdefault(Path(run).resolve(), run)
    return list(once.values())
