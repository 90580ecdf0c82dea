"""The same network in another form: as Python, or in the letters of patterns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fovea.exporting.source import python_source
from fovea.jobs.measure import Measurable, found
from fovea.measurement.result import shape_text
from fovea.storage import write_atomically
from fovea.zoo.letters import resembles
from fovea.zoo.spelling import spelled


def as_python(
    model: Measurable, input_shape: Sequence[int] | None = None, *, arguments: Mapping[str, object] | None = None
) -> str:
    """Return a network as the text of a Python file that needs PyTorch alone; what is given is as in `measure`.

    Raises:
        UsageError: as `measure`; or the network takes its path by the data, or has a layer of its own.
    """
    network, name, shape = found(model, input_shape, arguments=arguments)
    written = {key: value for key, value in (arguments or {}).items() if key != "pattern"}
    letters = model if isinstance(model, str) and resembles(model) else (arguments or {}).get("pattern")
    title = ", ".join([str(letters or name), *(f"{key}={value}" for key, value in written.items())])
    return python_source(network, title=title, shape=shape_text((1, *shape)))


def as_letters(
    model: Measurable, input_shape: Sequence[int] | None = None, *, arguments: Mapping[str, object] | None = None
) -> str:
    """Return a network in the letters of patterns, whose layers can be changed one by one.

    Raises:
        UsageError: as `measure`; or a layer, or how layers are joined, has no letter.
    """
    return spelled(found(model, input_shape, arguments=arguments)[0])


def write_python(
    model: Measurable,
    out: str | Path,
    input_shape: Sequence[int] | None = None,
    *,
    arguments: Mapping[str, object] | None = None,
) -> Path:
    """Write `as_python` to a file, and return where it is.

    Raises:
        UsageError: as there.
        StorageError: the file cannot be written.
    """
    write_atomically(Path(out), as_python(model, input_shape, arguments=arguments).encode())
    return Path(out)
