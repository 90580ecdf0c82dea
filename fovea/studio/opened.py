"""What the studio was opened with. Nothing else of the disk is read but what lies in the folder it was started in.

What takes long to import is imported where it is needed: the first page does not wait for it.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fovea.errors import UsageError
from fovea.model.container import is_exported, read_header
from fovea.model.opening import check_engine, own_network
from fovea.studio.passes import Passes

if TYPE_CHECKING:
    from fovea.model.bundle import Bundle
    from fovea.runs.folder import Run


@dataclass(kw_only=True, eq=False)
class Opened:
    """A network, a run, an exported network, or data; all are missing where the studio was opened with nothing."""

    name: str = ""
    """What is open, for people."""
    bundle: "Bundle | None" = None
    """None too until it is loaded; the pages of rooms are made afterwards."""
    model: Path | None = None
    """The file that the network is in."""
    code: str | None = None
    """That of a user's own network, as `file.py:Net`."""
    run: Path | None = None
    """The folder of the run that the network is of."""
    exported: Path | None = None
    """An `.onnx` file."""
    data: str | None = None
    """A name, folder, archive or manifest, as `fovea train` takes it."""
    folder: Path = field(default_factory=Path.cwd)
    """The folder that the studio was started in."""
    passes: Passes = field(default_factory=Passes)
    """Those of the images that are looked at, over all pages."""
    _untouched: "Bundle | None" = field(default=None, init=False)
    """What copies are made of: it never runs, and has no hooks at any time."""

    def load(self) -> None:
        """Read the network, where there is one.

        Raises:
            BundleError: it is damaged, or does not fit its file.
            UsageError: `code` gives no network.
        """
        if self.model is None:
            return
        from fovea.model.bundle import load

        self.bundle = load(self.model, model=own_network(self.code, self.model) if self.code else None)
        self._untouched = shared(self.bundle)

    def own_bundle(self) -> "Bundle":
        """Return the network for one page: the same tensors, and hooks that no other page sees.

        Raises: UsageError where none is open.
        """
        if self.bundle is None:
            raise UsageError("No network is open.")
        return shared(self._untouched or self.bundle)

    def take(self, other: "Opened") -> None:
        """Open another network that is loaded, for the pages that are made from now on."""
        self.name, self.bundle, self.model, self.run = other.name, other.bundle, other.model, other.run
        self.code, self.exported, self._untouched = other.code, other.exported, other._untouched

    def inside(self, text: str) -> Path:
        """Return a path that a page asks for, where it lies in the folder of the studio or in its data.

        Raises:
            UsageError: it leads elsewhere, or there is nothing.
        """
        path = (self.folder / text).resolve()
        roots = [self.folder.resolve(), *([Path(self.data).resolve()] if self.data and not _is_name(self.data) else [])]
        if not any(path.is_relative_to(root) for root in roots):
            raise UsageError(f"`{text}` is not in the folder that the studio was started in; start it there.")
        if not path.exists():
            raise UsageError(f"There is no `{text}` in the folder that the studio was started in.")
        return path


def shared(bundle: "Bundle") -> "Bundle":
    """Return a bundle with a copy of the network that shares its tensors."""
    from fovea.layers import sharing

    return replace(bundle, model=sharing(bundle.model))


def found(what: str | Path | None, *, network: str | None = None) -> Opened:
    """Return what a path or name is; of a model file the header is read and checked, `load` reads the network.

    `network` is the code of a user's own network, as `file.py:Net`.

    Raises:
        UsageError: there is no such thing.
        BundleError: it is no model file.
        MissingDependencyError: PyTorch, which runs a model file, is not installed.
    """
    if what is None:
        if network is not None:
            raise UsageError("`--network` works only with a model file or a run, which is missing; give it first.")
        return Opened()
    path = Path(what)
    if path.is_dir() and (run := _run(path)) is not None:
        return Opened(
            name=path.resolve().name, model=_checked(run.model) if run.model.exists() else None, code=network, run=path
        )
    if is_exported(path):
        return Opened(name=path.name, exported=path)
    if path.suffix == ".safetensors":
        return Opened(name=_called(path), model=_checked(path), code=network)
    if not path.exists() and not _is_name(str(what)):
        from fovea.data.sources.source import NAMES

        raise UsageError(f"There is no model file, run, or data `{what}`; the data sets are {', '.join(NAMES)}.")
    return Opened(name=path.name, data=str(what))


def opened(what: str | Path | None, *, network: str | None = None) -> Opened:
    """Return what a path or name is, as `found`, with its network loaded; errors of both."""
    it = found(what, network=network)
    it.load()
    return it


def _run(path: Path) -> "Run | None":
    """Return the run in a folder; None where it holds none."""
    from fovea.runs.folder import Run

    run = Run(path)
    return run if run.recipe.exists() or run.model.exists() else None


def _called(path: Path) -> str:
    """Return what people call a model file: by its run, where it is the one of a run."""
    from fovea.runs.folder import Run

    return path.resolve().parent.name if path.name == Run(path.parent).model.name else path.stem


def _is_name(text: str) -> bool:
    """Tell whether a text names a data set."""
    from fovea.data.sources.source import NAMES

    return text in NAMES


def _checked(path: Path) -> Path:
    """Return the path of a model file whose header is as it should be."""
    check_engine(path)
    read_header(path)
    return path
