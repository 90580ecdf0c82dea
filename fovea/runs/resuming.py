"""A run that is resumed: from its folder back to a training."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fovea.custom import custom_name
from fovea.data.contents import contents
from fovea.data.dataset import Dataset
from fovea.data.sources.source import NAMES
from fovea.devices import device_named
from fovea.display import Display
from fovea.errors import DataError, FoveaError, UsageError
from fovea.runs.folder import Run
from fovea.runs.preparation import Begun, Prepared, find_data, ready
from fovea.runs.session import EventWriter, ReportRequest, Session
from fovea.runs.stored import Stored, read_stored
from fovea.texts import command
from fovea.training.distributed import own_device


def resumed(run: Run, *, display: Display, device: str, events: EventWriter | None, model: str | None) -> Session:
    """Return the training in a run folder, at the place where it stopped; errors as `as_begun`.

    A network of a file of Python is built only where `model` names that file and the network in it: a run may be
    somebody else's, and its recipe runs no code.
    """
    recipe = run.read_recipe()
    stored = read_stored(run, recipe)
    _check_named(run, stored.plan.model, model)
    if model is not None:
        stored = read_stored(run, recipe, model=model)
    training = as_begun(run, stored, device=device, display=display, checkpoint=run.last.exists())
    report = ReportRequest(**stored.report)
    session = Session(training, training.trainer(), run, display=display, events=events, report=report)
    session.resume()
    return session


def as_begun(run: Run, stored: Stored, *, device: str, display: Display, checkpoint: bool) -> Prepared:
    """Return the training that `run` began as `stored`; with a `checkpoint` its weights stay open.

    Raises:
        DataError: the data has changed.
    """
    chosen = own_device(device_named(stored.device if device == "auto" else device))
    dataset = _found(run, stored, display)
    if dataset.fingerprint != stored.fingerprint:
        raise _changed(run, stored)
    begun = Begun(stored.preprocess, stored.origin, checkpoint=checkpoint)
    training = ready(dataset, stored.plan, source=stored.source, device=chosen, display=display, begun=begun)
    training = dataclasses.replace(training, changes=stored.changes)
    if stored.contents is not None and stored.contents != contents(training.dataset):
        raise _changed(run, stored, ": files of the same names have other contents")
    return training


def _found(run: Run, stored: Stored, display: Display) -> Dataset:
    source = stored.source
    try:
        return find_data(source, display)
    except FoveaError as error:
        if source.data in NAMES or source.path.is_absolute() or source.path.exists():
            raise
        raise DataError(
            f"`{source.data}`, the data of {run.folder}, is neither here nor where that run began; resume it "
            f"from there, or bring it back."
        ) from error


def recipe_with(run: Run, *, model: str) -> Mapping[str, Any]:
    """Return the recipe of `run` with the network named as this process has named it."""
    recipe = run.read_recipe()
    return {**recipe, "network": {**recipe["network"], "model": model}}


def _check_named(run: Run, begun: str, given: str | None) -> None:
    """Raise UsageError unless `given` names a network of Python where the run began with one, and only there."""
    asked, wanted = custom_name(given or ""), custom_name(begun)
    if wanted is None:
        if given is not None:
            raise UsageError("--resume continues a run with its own settings; leave out --model.")
        return
    if asked is None or asked[1] != wanted[1]:
        again = command("fovea", "train", "--resume", run.folder, "--model", begun)
        raise UsageError(
            f"`{run.folder}` trains `{begun}`, whose code --resume runs only on request; if you trust that file, "
            f"name it: `{again}`."
        )


def _changed(run: Run, stored: Stored, how: str = "") -> DataError:
    return DataError(
        f"`{stored.source.data}` has changed since {run.folder} began{how}; start a new run without --resume."
    )
