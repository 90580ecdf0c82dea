"""A run: the folder that holds everything of one training."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from fovea.errors import StorageError, UsageError, first_line
from fovea.runs import lines
from fovea.storage import alone, check_writable, is_locked, remove_temporary, write_atomically
from fovea.texts import command, flattened


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

    @property
    def steering(self) -> Path:
        """What is asked of the training while it runs; see `fovea.runs.steering`."""
        return self.folder / "steering.json"

    @property
    def watched(self) -> Path:
        """Touched by whoever looks at the training while it runs; see `fovea.runs.live`."""
        return self.folder / "watched.json"

    @property
    def live(self) -> Path:
        """What the training shows to whoever looks."""
        return self.folder / "live.safetensors"

    def snapshot(self, step: int) -> Path:
        """Return the path of the network as it was after a step, where it was asked for."""
        return self.folder / f"step-{step:06}.safetensors"

    @property
    def before_refit(self) -> Path:
        """The network before its head was fitted to the validation images too; where that was done."""
        return self.folder / "before-refit.safetensors"

    @property
    def lock(self) -> Path:
        """Held by the process that trains; empty."""
        return self.folder / "lock"

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
        raise StorageError(f"`runs` already holds a thousand runs called `{name}`; choose --out.")

    @classmethod
    def check_free(cls, out: str | Path | None) -> None:
        """Raise UsageError where `out` holds a run already, and StorageError where it cannot be made."""
        folder = Path("runs" if out is None else out)
        if folder.is_file():
            raise StorageError(f"`{folder}` is a file; choose another --out.")
        check_writable(folder)
        if out is not None and cls(Path(out)).recipe.exists():
            again = command("--resume", out)
            raise UsageError(f"`{out}` holds a run already. Continue it with {again}, or choose another --out.")

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Return the run in `folder`; UsageError where there is none."""
        run = cls(Path(folder))
        if not run.recipe.exists():
            raise UsageError(
                f"`{folder}` is not a run: it has no recipe.toml. Give the run folder that `fovea train` printed."
            )
        return run

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Keep other processes out while the body runs; yield False where the file system has no locks.

        Raises: UsageError where another process trains this run.
        """
        with ExitStack() as stack:
            try:
                locked = stack.enter_context(alone(self.lock))
            except BlockingIOError as error:
                raise UsageError(
                    f"`{self.folder}` is being trained by another process; wait until that ends, or stop it first."
                ) from error
            self._forget()  # what was asked of a process that was killed
            try:
                yield locked
            finally:
                self._forget()

    def _forget(self) -> None:
        """Remove what is of a running process alone."""
        for file in (self.steering, self.watched, self.live):
            file.unlink(missing_ok=True)

    @property
    def is_held(self) -> bool:
        """Whether a process trains this run; False too where the file system has no locks."""
        return is_locked(self.lock)

    def write_recipe(self, recipe: dict[str, Any]) -> None:
        """Write the resolved recipe. Raises: UsageError for a text, as the name of a file, that is not UTF-8."""
        try:
            content = tomli_w.dumps(recipe).encode()
        except UnicodeEncodeError as error:
            check_utf8(value for _, value in flattened(recipe))
            raise UsageError("A name is not UTF-8, which recipe.toml must be; rename it.") from error
        write_atomically(self.recipe, content)

    def read_recipe(self) -> dict[str, Any]:
        """Return the resolved recipe; UsageError where it is no TOML, StorageError where it cannot be read."""
        try:
            if not self.recipe.is_file():
                raise UsageError(f"`{self.recipe}` is not a file; start a new run without --resume.")
            return tomllib.loads(self.recipe.read_bytes().decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"`{self.recipe}` is not valid TOML: {first_line(error).rstrip('.')}.") from error
        except OSError as error:
            raise StorageError(f"`{self.recipe}` cannot be read: {error.strerror}.") from error

    def write_changes(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """Write what was changed in the training so far into its recipe."""
        self.write_recipe({**self.read_recipe(), "changes": [dict(change) for change in changes]})

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add one epoch to the metrics."""
        lines.append(self.metrics, line)

    def append_look(self, line: dict[str, Any]) -> None:
        """Add one look inside the network."""
        lines.append(self.looks, line)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the epochs so far, those that are whole."""
        return lines.history(self.metrics)

    def read_looks(self) -> list[dict[str, Any]]:
        """Return the looks so far, as JSON objects of any content."""
        return lines.objects(self.looks)

    def rewind(self, epochs: int, *, steps: int) -> int:
        """Keep what was written of so many epochs and steps: the rest will be done again. Remove unfinished files.

        Returns how many of the epochs are lost: their lines are damaged.
        """
        remove_temporary(self.folder)
        kept = lines.keep(self.metrics, "epoch", below=epochs)
        if self.looks.exists():
            lines.keep(self.looks, "step", below=steps + 1)
        return epochs - kept


def check_utf8(values: Iterable[object]) -> None:
    """Raise UsageError for a text, as the name of a file, that recipe.toml cannot hold."""
    for text in map(str, values):
        if text.encode(errors="ignore").decode() != text:
            raise UsageError(f"`{text}` is not UTF-8, which recipe.toml must be; rename it.")


def _numbered(root: Path, name: str) -> list[Path]:
    return [root / (name if number == 1 else f"{name}-{number}") for number in range(1, 1001)]
