"""What can be done after a training, as commands that a shell takes as they stand, from the working folder."""

import json
from pathlib import Path

from fovea import inputs
from fovea.custom import custom_name
from fovea.data.dataset import Dataset
from fovea.data.sources.source import DataSource, Reading
from fovea.runs.preparation import Prepared
from fovea.texts import command, shown

OF_THE_MODEL = ("order", "input")
"""The ways of reading that a model brings itself."""


def to_resume(run: Path, prepared: Prepared) -> str:
    """Return the command that resumes a run; code that it needs is named."""
    code = prepared.plan.model
    return command("fovea", "train", "--resume", run, *(["--model", code] if custom_name(code) else []))


def after_training(model: Path, prepared: Prepared) -> list[str]:
    """Return the commands that evaluate a model file on its data, show it one of the images, and describe it."""
    describe = command("fovea", "info", model)
    if custom_name(prepared.plan.model):
        return [command("python", "-c", evaluation_in_python(model, prepared)), describe]
    steps = [command("fovea", "evaluate", model, prepared.source.data, *reading_options(prepared.source))]
    if image := _image(prepared.source, prepared.dataset):
        steps.append(command("fovea", "predict", model, image))
    return [*steps, describe]


def reading_options(source: DataSource) -> list[str]:
    """Return the options of how data is read that differ from what is usual.

    >>> reading_options(DataSource(data="pets", label_from="^([a-z]+)", allow_bad=True))
    ['--label-from', '^([a-z]+)', '--allow-bad']
    """
    options: list[str] = []
    for name, value in _reading(source).items():
        text = value if isinstance(value, str) else ",".join(value)
        option = f"--{name.replace('_', '-')}"
        options += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return [*options, "--allow-bad"] if source.allow_bad else options


def evaluation_in_python(model: Path, prepared: Prepared) -> str:
    """Return Python that evaluates a network of one's own, whose code no model file holds."""
    file, name = custom_name(prepared.plan.model) or (Path(), "")
    offered = f"classes={prepared.target.outputs}, c_in={prepared.preprocess.channels}"
    network = f"custom_network({_quoted(file)}, {_quoted(name)}, {offered})"
    given = {**_reading(prepared.source), **({"allow_bad": True} if prepared.source.allow_bad else {})}
    reading = "".join(f", {key}={value if value is True else _quoted(value)}" for key, value in given.items())
    return (
        "import fovea; from fovea.custom import custom_network; "
        f"model = fovea.load({_quoted(model)}, model={network}); "
        f'print(*fovea.evaluate(model, {_quoted(prepared.source.data)}{reading}).summary(), sep="\\n")'
    )


def _reading(source: DataSource) -> dict[str, str | tuple[str, ...]]:
    names = [name for name in Reading.__annotations__ if name not in OF_THE_MODEL]
    return {name: getattr(source, name) for name in names if getattr(source, name) != getattr(DataSource, name)}


def _quoted(value: object) -> str:
    """Return a value as Python; what is not to be shown, and what is no text, as an escape."""
    text = json.dumps(value if isinstance(value, tuple) else str(value), ensure_ascii=False)
    return "".join(piece if shown(piece) == piece else ascii(piece)[1:-1] for piece in text)


def _image(source: DataSource, dataset: Dataset) -> Path | None:
    """Return the file or folder of a sample, of the test split where there is one; None where samples have none."""
    if not source.path.exists():
        return None
    if source.path.is_file() and source.path.suffix.lower() in inputs.kind(dataset.input).containers:
        return source.path if any(part.files is None for part in dataset.parts.values()) else None
    part = next(dataset.parts[name] for name in ("test", "val", "train") if name in dataset.parts)
    places = [folder / part.names[0] for folder in (source.path, source.path.parent)]
    return next((place for place in places if place.exists()), None)
