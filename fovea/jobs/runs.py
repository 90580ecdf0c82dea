"""A run: the folder that holds everything of one training."""

import json
import tomllib
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
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise StorageError(f"`{self.metrics}` cannot be written ({error.strerror}); free space.") from error

    def rewind(self, epochs: int) -> None:
        """Keep the first `epochs` lines of the metrics: what came after will be done again. Remove unfinished files."""
        remove_temporary(self.folder)
        lines = self.metrics.read_bytes().splitlines(keepends=True) if self.metrics.exists() else []
        write_atomically(self.metrics, b"".join(lines[:epochs]))


def _numbered(root: Path, name: str) -> list[Path]:
    return [root / (name if number == 1 else f"{name}-{number}") for number in range(1, 1001)]
