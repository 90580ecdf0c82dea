"""`fovea explain --show`: pictures of the weights, features and preferred inputs of a network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Unpack

from fovea import inputs
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.devices import using_threads
from fovea.display import Display
from fovea.errors import UsageError, unknown
from fovea.evaluation.parts import source_for
from fovea.jobs.explain import note_conversions
from fovea.jobs.pictures.kinds import KINDS, Asked, Kind, Named
from fovea.jobs.predict import find_images
from fovea.model.bundle import Bundle, load
from fovea.report.sheet import write_sheet
from fovea.storage import page_path

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """Where pictures are, and what was found."""

    page: Path
    files: tuple[Path, ...]
    """The pictures as PNG and the numbers as `.npz`, beside the page."""
    figures: Mapping[str, Any]
    """What was found, as JSON values."""
    lines: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"page": str(self.page), "files": [str(file) for file in self.files], **self.figures}

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        return [*self.lines, f"Page     {self.page}"]


@reads_data
def picture(
    model: str | Path | Bundle,
    show: str,
    images: str | Path | Iterable[str | Path] = (),
    *,
    layer: str | None = None,
    channel: int | Sequence[int] = (),
    target: str | Sequence[str] = (),
    against: str | None = None,
    data: str | Path | None = None,
    split: str = "test",
    concepts: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 32,
    seed: int = 0,
    threads: int | None = None,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> PictureResult:
    """Draw the weights, features or preferred inputs of `model`: `show` is one of `fovea.jobs.pictures.kinds.KINDS`.

    `layer` is the path of a module; None means the last spatial activation. `channel` selects channels, `target`
    selects answers by name or number. `data` and its `split` are the images for responses, patches, neighbours and
    concepts. `concepts` is a folder with one folder of images per concept. `settings` are options of the kind, as text
    or as values. `threads` is the number of processor threads; None means as many as PyTorch has.

    Raises:
        UsageError: an unknown kind, layer, channel, answer or setting, or one that is missing or not used.
        BundleError: a model file that cannot be loaded.
        DataError, ImageError: data or an image that cannot be used.
        StorageError: the page cannot be written.
    """
    if show not in KINDS:
        raise unknown("kind of picture", show, KINDS)
    kind = KINDS[show]
    given = [images] if isinstance(images, str | Path) else list(images)
    _check(kind, images=bool(given), data=data is not None)
    targets, channels = _listed(target, str), _listed(channel, int)
    kind.check_options(layer=layer, channel=channels, target=targets, against=against, concepts=concepts)
    parsed = kind.parsed({name: _text(value) for name, value in (settings or {}).items()})
    page = _page(model, show, out)
    bundle = load(model, device=device) if isinstance(model, str | Path) else model
    _check_network(bundle, layer=layer, answers=[*targets, *([] if against is None else [against])])
    with using_threads(threads), display or Display(quiet=True) as shown:
        asked = Asked(
            bundle=bundle,
            name=model if isinstance(model, str) else str(getattr(model, "name", bundle.card.architecture)),
            images=_read(bundle, list(find_images(given)), shown),
            layer=layer,
            channels=channels,
            targets=targets,
            against=against,
            source=None if data is None else _source(data, bundle, allow_bad=allow_bad, **reading),
            split=split,
            labelled=kind.labelled,
            concepts=None if concepts is None else Path(concepts),
            settings=parsed,
            batch=batch,
            seed=seed,
            display=shown,
        )
        sheet = kind.draw(asked)
    files = write_sheet(sheet, page)
    return PictureResult(page=page, files=tuple(files[1:]), figures=sheet.figures, lines=tuple(sheet.lines))


def _check(kind: Kind, *, images: bool, data: bool) -> None:
    """Raise UsageError if what a kind needs is missing, or what it has no use for is there."""
    for name, wants, there in (("images", kind.images, images), ("data", kind.data, data)):
        if wants == "must" and not there:
            raise UsageError(f"`{kind.name}` needs {name}. It shows {kind.does}.")
        if wants == "no" and there:
            raise UsageError(f"`{kind.name}` does not use {name}. It shows {kind.does}.")


def _check_network(bundle: Bundle, *, layer: str | None, answers: Iterable[str]) -> None:
    """Raise UsageError if a network sees no images, or does not have this layer or these answers."""
    if not (seen := inputs.kind_of(bundle.preprocess)).pictures:
        raise UsageError(f"This network takes {seen.nouns}, and pictures are available for images only.")
    for name in answers:
        bundle.target.answer_named(name)
    if layer is not None and layer not in (modules := dict(bundle.model.named_modules())):
        raise unknown("layer", layer, filter(None, modules))


def _read(bundle: Bundle, paths: Sequence[str], display: Display) -> list[Named]:
    """Return the images, and say which of them are converted, and how."""
    images = [Named(path, bundle.read(path)) for path in paths]
    note_conversions(paths, bundle, display)
    return images


def _listed(given: Value | Sequence[Value], kind: type[Value]) -> list[Value]:
    """Return one or several as a list, each once."""
    return [given] if isinstance(given, kind) else list(dict.fromkeys(given))  # type: ignore[arg-type]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _page(model: str | Path | Bundle, show: str, out: str | Path | None) -> Path:
    stem = "network" if isinstance(model, Bundle) else Path(model).stem
    page = page_path(out or f"{stem}-{show}.html", option="out")
    if page.suffix.lower() != ".html":
        raise UsageError(f"`out` (={out}) must end in .html, because an HTML page is written.")
    return page


def _source(data: str | Path, bundle: Bundle, *, allow_bad: bool, **reading: Unpack[Reading]) -> DataSource:
    return source_for(bundle, data, allow_bad=allow_bad, **reading)
