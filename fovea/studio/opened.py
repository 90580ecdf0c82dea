"""What the studio was opened with. Nothing else of the disk is read but what lies in the folder it was started in."""

from dataclasses import dataclass, field
from pathlib import Path

from fovea.data.sources.source import NAMES
from fovea.errors import UsageError
from fovea.model.bundle import Bundle, load
from fovea.model.container import is_exported
from fovea.model.opening import own_network
from fovea.runs.folder import Run


@dataclass(kw_only=True, eq=False)
class Opened:
    """A network, a run, an exported network, or data; all are missing where the studio was opened with nothing."""

    name: str = ""
    """What is open, for people."""
    bundle: Bundle | None = None
    model: Path | None = None
    """The file that the network is in."""
    run: Path | None = None
    """The folder of the run that the network is of."""
    exported: Path | None = None
    """An `.onnx` file."""
    data: str | None = None
    """A name, folder, archive or manifest, as `fovea train` takes it."""
    folder: Path = field(default_factory=Path.cwd)
    """The folder that the studio was started in."""

    def inside(self, text: str) -> Path:
        """Return a path that a page asks for, where it lies in the folder of the studio or in its data.

        Raises:
            UsageError: it leads elsewhere, or there is nothing.
        """
        path = (self.folder / text).resolve()
        roots = [self.folder.resolve(), *([Path(self.data).resolve()] if self.data and self.data not in NAMES else [])]
        if not any(path.is_relative_to(root) for root in roots):
            raise UsageError(f"`{text}` is not in the folder that the studio was started in; start it there.")
        if not path.exists():
            raise UsageError(f"There is no `{text}` in the folder that the studio was started in.")
        return path


def opened(what: str | Path | None, *, network: str | None = None) -> Opened:
    """Return what a model file, an exported network, a run, or data holds.

    `network` is the code of a user's own network, as `file.py:Net`.

    Raises:
        UsageError: there is no such thing.
        BundleError: it is no model file.
    """
    if what is None:
        return Opened()
    path = Path(what)
    run = Run(path)
    if path.is_dir() and (run.recipe.exists() or run.model.exists()):
        return Opened(
            name=path.resolve().name,
            bundle=_loaded(run.model, network) if run.model.exists() else None,
            model=run.model if run.model.exists() else None,
            run=path,
        )
    if is_exported(path):
        return Opened(name=path.name, exported=path)
    if path.suffix == ".safetensors":
        return Opened(name=path.stem, bundle=_loaded(path, network), model=path)
    if str(what) not in NAMES and not path.exists():
        raise UsageError(f"There is no model file, run, or data `{what}`; the data sets are {', '.join(NAMES)}.")
    return Opened(name=path.name, data=str(what))


def _loaded(path: Path, network: str | None) -> Bundle:
    return load(path, model=own_network(network, path) if network else None)
