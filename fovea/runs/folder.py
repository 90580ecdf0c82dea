"""A run: the folder that holds everything of one training."""

import json
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from fovea.errors import StorageError, UsageError
from fovea.storage import remove_temporary, write_atomically


@dataclass(frozen=True)
class Run:
    """The paths of a run, and its metrics."""

    folder: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.folder / "recipe.toml"

    @property
    def metrics(self) -> Path:
        """One JSON object per line and epoch."""
        return self.folder / "metrics.jsonl"

    @property
    def looks(self) -> Path:
        """One JSON object per look inside the network: what the report draws of it."""
        return self.folder / "looks.jsonl"

    @property
    def report(self) -> Path:
        """The page that shows how the training went and what came of it."""
        return self.folder / "report.html"

    @property
    def model(self) -> Path:
        """The bundle: the best network so far, in the end the result."""
        return self.folder / "model.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint that `--resume` continues from."""
        return self.folder / "last.safetensors"

    @classmethod
    def create(cls, out: str | Path | None, *, name: str) -> "Run":
        """Make the folder of a new run: `out`, or `runs/NAME`, `runs/NAME-2`, ... in the working folder.

        Raises:
            UsageError: `out` holds a run already.
            StorageError: the folder cannot be made or written.
        """
        cls.check_free(out)
        folders = [Path(out)] if out is not None else _numbered(Path("runs"), name)
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=out is not None)
            except FileExistsError:
                if out is None:
                    continue
                raise StorageError(f"`{folder}` is a file; choose another --out.") from None
            except OSError as error:
                raise StorageError(f"Cannot make the folder `{folder}`: {error.strerror}. Choose --out.") from error
            return cls(folder)
        raise StorageError(f"`runs` holds a thousand runs called `{name}`; choose --out.")

    @classmethod
    def check_free(cls, out: str | Path | None) -> None:
        """Raise UsageError where `out` holds a run already."""
        if out is not None and cls(Path(out)).recipe.exists():
            raise UsageError(f"`{out}` holds a run already. Continue it with --resume {out}, or choose another --out.")

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Return the run in `folder`; UsageError where there is none."""
        run = cls(Path(folder))
        if not run.recipe.exists():
            raise UsageError(f"`{folder}` is no run: it has no recipe.toml. Give the folder that `fovea train` named.")
        return run

    def write_recipe(self, recipe: dict[str, Any]) -> None:
        """Write the resolved recipe."""
        write_atomically(self.recipe, tomli_w.dumps(recipe).encode())

    def read_recipe(self) -> dict[str, Any]:
        """Return the resolved recipe; UsageError where it is no TOML."""
        try:
            return tomllib.loads(self.recipe.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"`{self.recipe}` is no valid TOML: {error}.") from error

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add one epoch to the metrics."""
        _append(self.metrics, line)

    def append_look(self, line: dict[str, Any]) -> None:
        """Add one look inside the network."""
        _append(self.looks, line)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the epochs so far."""
        return _lines(self.metrics)

    def read_looks(self) -> list[dict[str, Any]]:
        """Return the looks so far."""
        return _lines(self.looks)

    def rewind(self, epochs: int, *, steps: int) -> None:
        """Keep what was written of so many epochs and steps: the rest will be done again. Remove unfinished files."""
        remove_temporary(self.folder)
        lines = self.metrics.read_bytes().splitlines(keepends=True) if self.metrics.exists() else []
        write_atomically(self.metrics, b"".join(lines[:epochs]))
        if self.looks.exists():
            looks = [look for look in self.read_looks() if look["step"] <= steps]
            write_atomically(self.looks, "".join(json.dumps(look) + "\n" for look in looks).encode())


def _append(path: Path, line: dict[str, Any]) -> None:
    try:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise StorageError(f"`{path}` cannot be written ({error.strerror}); free space or make it writable.") from error


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a file of lines; of the last, a kill may have left a part that is none."""
    objects = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError):
            objects.append(json.loads(line))
    return objects


def _numbered(root: Path, name: str) -> list[Path]:
    return [root / (name if number == 1 else f"{name}-{number}") for number in range(1, 1001)]
