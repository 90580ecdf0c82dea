"""`fovea evaluate`: the scores of a network on a split of a data set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack, cast

import numpy as np

from fovea import inputs
from fovea.budget import INPUT
from fovea.data.sources.source import Reading, reads_data
from fovea.display import Display
from fovea.errors import UsageError
from fovea.evaluation.instances import InstanceScores, has_instances, measure_instances, singling_of
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.parts import DecodedPart, decoded_part, outcome_of, source_for
from fovea.evaluation.persons import measure_persons
from fovea.evaluation.result import Evaluation
from fovea.evaluation.robustness import measure_robustness
from fovea.evaluation.slices import sliced
from fovea.inputs.views import Protocol
from fovea.model.opening import open_model
from fovea.model.predictor import Predictor
from fovea.storage import page_path, picture_path
from fovea.tasks.mask_objects import PIXEL_BYTES, Singling, asked_singling
from fovea.tasks.places import Frame
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
    instances: str | None = None,
    instances_of: Sequence[str] = (),
    least_area: int = 1,
    out: str | Path | None = None,
    min_accuracy: float | None = None,
    min_score: Mapping[str, float] | None = None,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 256,
    html: str | Path | None = None,
    images: bool = True,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> Evaluation:
    """Return the scores of `model` on one split of `data`.

    If there is no test split, the validation split is used, and if there is none, all images; `split` of the result
    says which. Data that the model was trained on is split again in the same way. Logits are averaged over the views
    given by `crops`, `flip` and `scales` (see `Protocol`). Labels are matched by class name; `data` may lack classes
    of the model.

    `slice_by` adds the score for each value of that column of a manifest. `robust` adds the score on disturbed images,
    with a picture in `out`. If the data has single objects in its masks (COCO, Pascal VOC, Cityscapes), the result
    also says how well objects are found. For other masks `instances` asks for that: true objects are separated in the
    same way, `parted` or `connected`, and `instances_of` and `least_area` (pixels of the input) select those that
    count. If points come with the size of their objects (COCO), the result also has scores for points in the true
    boxes. `min_score` sets limits for scores by their JSON names (a maximum for errors), and `min_accuracy` for
    accuracy; the result then has `passed`. `html` is where to write a page, with thumbnails if `images` is set.
    `label_from`, the columns and `label_separator` have the same meaning as for `find`; the order of grades is that of
    the model.

    Raises:
        BundleError: a model file that cannot be loaded.
        DataError: data that cannot be used, or classes that the model does not have.
        UsageError: an unknown `split` or score, no folder for `html` or `out`, or an option that data or model lack.
        StorageError: the page or the picture cannot be written.
    """
    _check_places(html, out, robust=robust)
    protocol = Protocol(crops=crops, flip=flip, scales=tuple(scales))
    predictor = open_model(model, device=device) if isinstance(model, str | Path) else model
    target, further = predictor.target, slice_by is not None or robust
    _check_views(predictor, protocol, robust=robust)
    _check_task(target, min_accuracy=min_accuracy, min_score=min_score or {}, further=further)
    singling = asked_singling(target, instances, tuple(instances_of), least_area)
    display = display or Display(quiet=True)
    source = source_for(predictor, data, allow_bad=allow_bad, **reading)
    value_of = {} if slice_by is None else source.column(slice_by)
    part = decoded_part(predictor, source, split=split, display=display, protocol=protocol)
    counter = display.counter("evaluating")
    outcome = outcome_of(predictor, part.decoded, split=part.name, protocol=protocol, batch=batch, progress=counter)
    counter = display.counter("disturbing")
    result = Evaluation(
        data=part.decoded.name,
        split=part.name,
        images=len(outcome),
        nouns=inputs.kind_of(predictor.preprocess).nouns,
        figures=outcome.figures,
        protocol=protocol,
        slices=None if slice_by is None else sliced(outcome, slice_by, value_of),
        robustness=measure_robustness(predictor, outcome, batch=batch, progress=counter) if robust else None,
        instances=_instances(outcome, part, predictor, singling, asked=instances is not None, display=display),
        persons=measure_persons(outcome, part.found, part.decoded, cast(Frame, predictor.preprocess)),
        min_accuracy=min_accuracy,
        min_scores=dict(min_score or {}),
        scores=target.scores,
        notes=part.notes,
        bad_files=part.decoded.bad_files,
    )
    _write(result, outcome if images else replace(outcome, picture=None), predictor, html=html, out=out)
    return result


def _check_views(predictor: Predictor, protocol: Protocol, *, robust: bool) -> None:
    """Raise UsageError for disturbances and views that the network's input or answer does not have."""
    kind, target = inputs.kind_of(predictor.preprocess), predictor.target
    if robust and not kind.pictures:
        raise UsageError(f"`--robust` works only for images, and this network takes {kind.nouns}; leave it out.")
    if robust and getattr(predictor.preprocess, "tiles", False):
        raise UsageError("`--robust` works only for whole images, and this network takes tiles; leave it out.")
    if target.lies_on_image and (protocol.places > 1 or protocol.scales != (1.0,)):
        raise UsageError(
            "`--crops` and `--scales` average predictions for the whole image, and this model predicts "
            f"{target.noun}; leave them out, or use `--flip`."
        )


def _instances(
    outcome: Outcome, part: DecodedPart, predictor: Predictor, singling: Singling, *, asked: bool, display: Display
) -> InstanceScores | None:
    """Return how well objects are found, where the data has some or it was asked for."""
    given = has_instances(part.found)
    if not given and not asked:
        return None
    pixels = int(np.prod(np.shape(outcome.labels)[1:]))
    if not asked and (excess := INPUT.excess(PIXEL_BYTES * pixels)):
        display.note(f"single objects are not separated: that would need {excess}")
        return None
    data = {"found": part.found, "decoded": part.decoded} if given else {}
    singling = singling_of(part.found, singling) if given else singling
    counter = display.counter("separating objects")
    return measure_instances(outcome, predictor.preprocess, singling, **data, progress=counter)


def _check_places(html: str | Path | None, out: str | Path | None, *, robust: bool) -> None:
    if html is not None:
        page_path(html, option="html")
    if out is not None and not robust:
        raise UsageError(f"`out` (={out}) names the picture of --robust; add --robust, or use --html.")
    if out is not None:
        picture_path(out)


def _check_task(target: Task, *, min_accuracy: float | None, min_score: Mapping[str, float], further: bool) -> None:
    """Raise UsageError for what cannot be asked of a network with this target."""
    names = [metric.name for metric in target.scores]
    if min_accuracy is not None and "accuracy" not in names:
        way = f"set a limit for {', '.join(names)} with `--min-score`" if names else "leave it out"
        raise UsageError(
            f"`min_accuracy` (={min_accuracy}) works only for a model with classes, and this model predicts "
            f"{target.noun}; {way}."
        )
    if min_accuracy is not None and not 0 <= min_accuracy <= 1:
        raise UsageError(f"`min_accuracy` (={min_accuracy}) must be a fraction from 0 to 1, for a model with classes.")
    if further and not target.measures:
        raise UsageError(
            f"`--slice` and `--robust` need a score of a subset of the images, and there is none for {target.noun}; "
            "leave them out."
        )
    _check_scores(target, min_score)


def _check_scores(target: Task, asked: Mapping[str, float]) -> None:
    """Raise UsageError for a score that is not one of the task's, or a value that it cannot have."""
    metrics = {metric.name: metric for metric in target.scores}
    for name, value in asked.items():
        if name not in metrics:
            known = f"the scores are {', '.join(metrics)}" if metrics else "it has no scores"
            raise UsageError(f"`min_score` names `{name}`, and this model predicts {target.noun}: {known}.")
        given = f"`min_score` {name} (={value})"
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UsageError(f"{given} must be a finite number, for example {name}=0.9.")
        if metrics[name].share and not 0 <= value <= 1:
            raise UsageError(f"{given} must be a fraction from 0 to 1; write 90 % as 0.9.")


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

        page = evaluation_page(
            outcome,
            predictor.card,
            filters=predictor.first_layer(),
            notes=result.notes,
            slices=result.slices,
            robustness=result.robustness,
            instances=result.instances,
            persons=result.persons,
        )
        write_page(Path(html), page)
