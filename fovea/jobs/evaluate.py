"""`fovea evaluate`: how good a network is on a part of a data set."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

from fovea import inputs
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.display import Display
from fovea.errors import UsageError
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.parts import caveats, chosen_part, outcome_of, split_as_trained
from fovea.evaluation.result import Evaluation
from fovea.evaluation.robustness import measure_robustness
from fovea.evaluation.slices import sliced
from fovea.inputs.views import Protocol
from fovea.model.bundle import load
from fovea.model.predictor import Predictor
from fovea.storage import page_path, picture_path
from fovea.tasks.task import Task


@reads_data
def evaluate(
    model: str | Path | Predictor,
    data: str | Path,
    *,
    split: str = "test",
    crops: int = 1,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    slice_by: str | None = None,
    robust: bool = False,
    out: str | Path | None = None,
    min_accuracy: float | None = None,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 256,
    html: str | Path | None = None,
    images: bool = True,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> Evaluation:
    """Return how good `model` is on one part of `data`.

    Without the part `test` the validation part is taken, without that the whole; `split` of the result says which.
    Data that the model was trained on is split again as it was then. Logits are averaged over the views that `crops`,
    `flip` and `scales` ask for, as `Protocol` says. Labels are matched by class name; `data` may lack classes of the
    model. `slice_by` asks for the accuracy per value of that column of a manifest, `robust` for that on disturbed
    images, `out` for its picture. `html` is where to write a page, with thumbnails where `images` is set. `label_from`,
    the columns and `label_separator` say how `data` is read, as for `find`; the order of grades is that of the model.

    Raises:
        BundleError: a model file that cannot be loaded.
        DataError: data that cannot be used, or classes that the model does not know.
        UsageError: an unknown `split`, no folder for `html` or `out`, or what does not fit data or model.
        StorageError: the page or the picture cannot be written.
    """
    _check_places(html, out, robust=robust)
    protocol = Protocol(crops=crops, flip=flip, scales=tuple(scales))
    predictor = load(model, device=device) if isinstance(model, str | Path) else model
    _check_task(predictor.target, min_accuracy=min_accuracy, further=slice_by is not None or robust)
    display = display or Display(quiet=True)
    target = predictor.target
    source = DataSource(data=data, task=target.name, known=target.classes, allow_bad=allow_bad, **reading)
    dataset = source.find(progress=display.fetched)
    value_of = {} if slice_by is None else source.column(slice_by)
    name, dataset = chosen_part(split_as_trained(dataset, predictor.card), split)
    predictor.target.check_known(dataset.classes, data=dataset.name)
    notes = (*dataset.notes, *caveats(dataset, predictor.card, asked=split, given=name))
    for note in notes:
        display.note(f"data: {note}")
    geometry = inputs.kind_of(predictor.preprocess).viewed(predictor.preprocess, protocol)
    decoded = source.decode(dataset, geometry, progress=display.counter("decoding"))
    counter = display.counter("evaluating")
    outcome = outcome_of(predictor, decoded, split=name, protocol=protocol, batch=batch, progress=counter)
    counter = display.counter("disturbing")
    result = Evaluation(
        data=dataset.name,
        split=name,
        images=len(outcome),
        figures=outcome.figures,
        protocol=protocol,
        slices=None if slice_by is None else sliced(outcome, slice_by, value_of),
        robustness=measure_robustness(predictor, outcome, batch=batch, progress=counter) if robust else None,
        min_accuracy=min_accuracy,
        notes=notes,
        bad_files=decoded.bad_files,
    )
    _write(result, outcome if images else replace(outcome, picture=None), predictor, html=html, out=out)
    return result


def _check_places(html: str | Path | None, out: str | Path | None, *, robust: bool) -> None:
    if html is not None:
        page_path(html, option="html")
    if out is not None and not robust:
        raise UsageError(f"`out` (={out}) is for the picture of --robust; add that, or use --html.")
    if out is not None:
        picture_path(out)


def _check_task(target: Task, *, min_accuracy: float | None, further: bool) -> None:
    if min_accuracy is not None and not (target.counts_right and 0 <= min_accuracy <= 1):
        raise UsageError(f"`min_accuracy` (={min_accuracy}) must be a fraction from 0 to 1, for a model with classes.")
    if further and not target.counts_right:
        raise UsageError(
            f"`--slice` and `--robust` show accuracies; this model predicts {target.noun}, so leave them out."
        )


def _write(
    result: Evaluation, outcome: Outcome, predictor: Predictor, *, html: str | Path | None, out: str | Path | None
) -> None:
    """Write the picture and the page that were asked for."""
    if out is not None and result.robustness is not None:
        from fovea.drawing.robustness import robustness_picture

        robustness_picture({result.data: result.robustness}, Path(out))
    if html is not None:
        from fovea.report.evaluation import evaluation_page
        from fovea.report.page import write_page

        further: dict[str, Any] = {
            name: found and asdict(found)
            for name, found in (("slices", result.slices), ("robustness", result.robustness))
        }
        filters = predictor.first_layer()
        write_page(Path(html), evaluation_page(outcome, predictor.card, filters=filters, notes=result.notes, **further))
