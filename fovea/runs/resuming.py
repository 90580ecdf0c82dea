"""A run that goes on: from its folder back to a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fovea import inputs
from fovea.data.sources.source import DataSource
from fovea.devices import device_named
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.plans.plan import Plan
from fovea.runs.folder import Run
from fovea.runs.preparation import Begun, Prepared, find_data, ready
from fovea.runs.session import EventWriter, ReportWish, Session
from fovea.training.distributed import own_device
from fovea.training.recipe import Recipe


def resumed(run: Run, *, display: Display, device: str, events: EventWriter | None) -> Session:
    """Return the training in a run folder, at the place where it stopped; errors as `as_begun`."""
    stored = run.read_recipe()
    with _complete(run):
        report = ReportWish(**stored.get("report", {}))
    training = as_begun(run, stored, device=device, display=display, checkpoint=run.last.exists())
    session = Session(training, training.trainer(), run, display=display, events=events, report=report)
    session.resume()
    return session


def as_begun(run: Run, stored: Mapping[str, Any], *, device: str, display: Display, checkpoint: bool) -> Prepared:
    """Return the training that `run` began with the recipe `stored`; with a `checkpoint` its weights stay open.

    Raises:
        UsageError: the recipe is incomplete.
        DataError: the data has changed.
    """
    with _complete(run):
        source = DataSource(**stored["data"]["source"])
        preprocess = inputs.from_dict(stored["preprocess"])
        recipe = Recipe.from_dict(stored["training"])
        plan = Plan(recipe=recipe, val_fraction=stored["data"]["val_fraction"], **stored["network"])
        chosen = own_device(device_named(stored["device"] if device == "auto" else device))
        fingerprint = stored["data"]["fingerprint"]
    dataset = find_data(source, display)
    if dataset.fingerprint != fingerprint:
        raise DataError(f"`{source.data}` has changed since {run.folder} began; start a new run without --resume.")
    begun = Begun(preprocess, stored.get("origin"), checkpoint=checkpoint)
    return ready(dataset, plan, source=source, device=chosen, display=display, begun=begun)


@contextmanager
def _complete(run: Run) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError) as error:
        raise UsageError(f"`{run.recipe}` is incomplete ({error}); start again without --resume.") from error
