"""`fovea export`: a model file in the formats of other programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from fovea.data.sources.source import Reading, reads_data
from fovea.display import Display
from fovea.errors import UsageError
from fovea.exporting.library import check_installed
from fovea.exporting.settings import ExportSettings
from fovea.exporting.targets import TARGETS, Request, Target, target_named
from fovea.jobs.proof_samples import samples_for
from fovea.model.bundle import Bundle, load
from fovea.storage import check_writable, page_path

INT8, MAX_DROP, AUTO = "int8", 0.5, "auto"


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written."""

    model: str
    """What it was made of."""
    to: str
    files: tuple[Path, ...]
    """The main one first."""
    facts: dict[str, Any]
    """JSON values, `proof` among them."""
    lines: list[str]

    @property
    def path(self) -> Path:
        """The file, or the first of several."""
        return self.files[0]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"model": self.model, "to": self.to, "files": [str(path) for path in self.files], **self.facts}

    def summary(self) -> list[str]:
        """Return lines for the terminal."""
        return [f"Written  {self.path}", *self.lines]


@reads_data
def export(
    model: str | Path | Bundle,
    *,
    to: str = "onnx",
    out: str | Path | None = None,
    images: str | Path | None = None,
    raw: bool = False,
    dynamic_size: bool = False,
    half: bool = False,
    single_file: bool = False,
    runtime: str | Path | None = None,
    int8: str | Path | None = None,
    max_drop: float = MAX_DROP,
    keep: str | Sequence[str] = AUTO,
    ranges: str = AUTO,
    allow_bad: bool = False,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> Export:
    """Export the network of a model file for other programs, after verifying that it computes the same.

    `to` is a target of `fovea.exporting.targets`. `out` is the file to write; the default is the model's name with
    another suffix. The export is verified on `images`: a file, a folder or a data set. `raw` leaves out preprocessing
    and decoding, `dynamic_size` allows any height and width, `half` computes in float16. `single_file` writes one page
    instead of a folder, and `runtime` is the onnxruntime-web package for it, packed or unpacked by npm.

    `int8` is data whose training split calibrates an int8 network. It may lose `max_drop` points of its score (for
    errors, per cent) on the validation split. `keep` are layers that stay in float: `auto` measures which, `none`, or
    names. `ranges` is how the ranges of activations are chosen: `minmax`, `percentile`, `mse`, or `auto`, which tries
    all.

    Raises:
        DropError: int8 loses more than `max_drop`; nothing is written.
        ProofError: the export computes something else, or cannot be verified; nothing is written.
        UsageError: an unknown target, an option that the target does not support, or a network that it cannot express.
        MissingDependencyError: the required extra is not installed.
    """
    target = target_named(to)
    if target.extra == "export":
        check_installed()
    options = _options(target, single_file=single_file, runtime=runtime)
    precision = _precision(target, half=half, int8=int8 is not None)
    if int8 is None and (max_drop, keep, ranges) != (MAX_DROP, AUTO, AUTO):
        raise UsageError("`--max-drop`, `--keep` and `--ranges` need `--int8 DATA`; add it, or leave them out.")
    settings = ExportSettings(precision=precision, raw=raw, dynamic_size=dynamic_size)
    place = _place(model, target.as_page if single_file else target, out)
    display = display or Display(quiet=True)
    bundle = model if isinstance(model, Bundle) else load(model)
    if int8 is not None:
        from fovea.jobs.calibration import int8_request, int8_settings  # its libraries are known to be there only now

        ways = int8_settings(max_drop=max_drop, keep=keep, ranges=ranges)
        options[INT8] = int8_request(bundle, int8, ways, allow_bad=allow_bad, display=display, **reading)
    if INT8 in options and images is None:
        samples = options[INT8].proof_samples
    else:
        samples = samples_for(bundle, images, display=display)
    display.note(
        f"Writing {bundle.card.architecture} for {to} and verifying it on {len(samples.stored)} {samples.source}"
    )
    name = bundle.card.architecture if isinstance(model, Bundle) else str(model)
    request = Request(
        bundle=bundle, name=name, out=place, settings=settings, samples=samples, say=display.note, options=options
    )
    files, facts, lines = target.write(request)
    return Export(model=name, to=to, files=files, facts=facts, lines=lines)


def _options(target: Target, **given: Any) -> dict[str, Any]:
    """Return what is given of what only some targets take. Raises: UsageError if this one does not."""
    options = {name: value for name, value in given.items() if value}
    for name in options:
        if name not in target.options:
            takers = " and ".join(f"`--to {other.name}`" for other in TARGETS if name in other.options)
            raise UsageError(f"`--{name.replace('_', '-')}` works with {takers}, not with `--to {target.name}`.")
    return options


def _precision(target: Target, *, half: bool, int8: bool) -> str:
    if half and int8:
        raise UsageError("`--half` and `--int8` cannot be used together; leave one out.")
    if int8 and INT8 not in target.options:
        raise UsageError(f"`--to {target.name}` does not support `--int8`; leave it out.")
    return INT8 if int8 else "float16" if half else "float32"


def _place(model: str | Path | Bundle, target: Target, out: str | Path | None) -> Path:
    """Return where the file or folder goes, after looking whether it can be written there."""
    if out is None:
        if isinstance(model, Bundle):
            raise UsageError("`out` must give the file to write, because a loaded model has no name.")
        given = Path(model)
        out = given.with_suffix(target.suffix) if target.suffix else given.with_name(f"{given.stem}-{target.name}")
    path = Path(out)
    if not target.suffix:
        check_writable(path)
        return path
    if path.suffix != target.suffix:
        raise UsageError(f"`out` (={path}) must end in {target.suffix}.")
    return page_path(path, option="out")
