"""`fovea trust`: which explanation methods are reliable for a network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea import inputs
from fovea.data.cache.decoded import check_bad
from fovea.data.dataset import Dataset, Part
from fovea.data.sampling import drawn_evenly
from fovea.data.sources.boxes import Boxes, boxes_of
from fovea.data.sources.download import checksum_of
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.display import Display
from fovea.errors import ImageError, ShapeError, UsageError
from fovea.evaluation.parts import found_part, source_for
from fovea.explanation.attribution.methods import METHODS, Method
from fovea.explanation.attribution.registry import Progress, part_of
from fovea.explanation.objective import Evidence, Objective
from fovea.explanation.target_layer import target_layer
from fovea.explanation.trust.badge import result_name
from fovea.explanation.trust.boxes import whole_pixels
from fovea.explanation.trust.planted import LEAST_ACCURACY, Found, Planted, find_cue
from fovea.explanation.trust.planted import planted as plant
from fovea.explanation.trust.result import Row, Verdicts
from fovea.explanation.trust.table import Bench, Checks
from fovea.inputs.interface import Stored
from fovea.jobs.explain import check_explainable, methods_named
from fovea.model.bundle import Bundle, load
from fovea.preprocess import Preprocess, decode
from fovea.storage import page_path, write_atomically
from fovea.tasks.task import Task
from fovea.texts import strict_json

QUICK = "gradcam,gradcam++,layercam,hirescam,eigencam,saliency,gradient_x_input,guided,deconvnet"
"""The methods that pass an image through the network once, forth and back; the others take tens to thousands."""
IMAGES, STEPS = 16, 16
SANITY_STEPS, SANITY_IMAGES = 5, 8
KEPT = 0.5
"""A larger share of its probability that the network keeps on blurred images is worth a word."""


@dataclass(frozen=True, kw_only=True)
class TrustResult:
    """Which methods are to be believed, and where that is written."""

    verdicts: Verdicts
    page: Path
    file: Path
    """The result as JSON, which `fovea explain` finds."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**self.verdicts.to_dict(), "page": str(self.page), "file": str(self.file)}

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The columns, and a row for each method, after those of the random map and the centre."""
        return self.verdicts.table

    def summary(self) -> list[str]:
        """Return the lines for the terminal below the table."""
        return [*self.verdicts.reasons, f"Page     {self.page}", f"Badges   {self.file}"]


class Sample(NamedTuple):
    """One of the images on which methods are tried."""

    name: str
    pixels: Stored
    """(H, W, C) uint8 0..255: the input of the network."""
    boxes: Tensor
    """(b, 4) int64 in these pixels."""


@reads_data
def trust(
    model: str | Path | Bundle,
    data: str | Path,
    *,
    method: str | Sequence[str] = QUICK,
    images: int = IMAGES,
    split: str = "test",
    layer: str | None = None,
    steps: int = STEPS,
    boxes: str | Path | None = None,
    planted: bool = True,
    out: str | Path | None = None,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 32,
    seed: int = 0,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> TrustResult:
    """Return which methods explain predictions of `model` reliably, tried on some `images` of one split of `data`.

    `method` names the methods, separated by commas, or `all`. Images are drawn with `seed`, evenly over classes.
    Insertion and deletion use `steps` steps. `layer` is the path of the module whose feature map is weighed. `boxes`
    is a CSV with the columns path, x0, y0, x1, y1, in pixels; a manifest with these columns needs no extra file.
    `planted` also tries each method on a small network that has learned a known cue. The page is `out`. Beside it is
    `NAME-trust.json` (NAME is the name of the model file), which gives the pages of `fovea explain` their badges.

    Raises:
        BundleError: a model file that cannot be loaded.
        UsageError: an unknown method, layer or split, or an option that data or model do not support.
        DataError: data or boxes that cannot be used.
        StorageError: page or result cannot be written.
    """
    methods = [*METHODS.values()] if method == "all" else methods_named(method)
    for name, value in (("images", images), ("steps", steps), ("batch", batch)):
        if value < 1:
            raise UsageError(f"`{name}` (={value}) must be at least 1.")
    file = Path(model) if isinstance(model, str | Path) else None
    page = _page(out, file)
    bundle = load(model, device=device) if isinstance(model, str | Path) else model
    bundle.target.check_whole("`fovea trust`")
    layer = _layer(bundle, methods, layer)
    source = source_for(bundle, data, allow_bad=allow_bad, **reading)
    checks = Checks(steps=steps, sanity_steps=SANITY_STEPS, sanity_images=SANITY_IMAGES, batch=batch, seed=seed)
    with display or Display(quiet=True) as shown:
        dataset = source.find(progress=shown.fetched)
        known = boxes_of(source, dataset, boxes)
        part = found_part(bundle, dataset, split=split, display=shown)
        samples, notes = _drawn(bundle, source, part.dataset, known, images=images, seed=seed, display=shown)
        answers, bench = _bench(
            bundle, samples, checks, layer, part_of(_told(shown, "random map"), 0, len(methods) + 1)
        )
        cue = plant() if planted else None
        rows = [*_rows(bench, methods, cue, shown)]
        notes += _caveats(bundle.target, bench)
        for note in notes:
            shown.note(f"note: {note}")
    verdicts = Verdicts(
        model="" if file is None else file.name,
        sha256="" if file is None else checksum_of(file, "sha256").partition(":")[2],
        data=dataset.name,
        split=part.name,
        images=[sample.name for sample in samples],
        answers=[bundle.target.answer_text(answer) for answer in answers],
        followed=_followed(bundle.target),
        layer=layer,
        rows=rows,
        rivals={"random": (bench.random, bench.located_random), "centre": (bench.centre, bench.located_centre)},
        accuracy=None if cue is None else cue.accuracy,
        notes=[*part.notes, *notes],
    )
    return _written(verdicts, samples, page, file)


def _page(out: str | Path | None, model: Path | None) -> Path:
    """Return where the page goes; UsageError or StorageError if it, or the result beside it, cannot be written."""
    page = Path(out) if out is not None else Path(f"{_model(model).stem}-trust.html")
    if page.suffix.lower() != ".html":
        raise UsageError(f"`out` (={out}) must end in .html, because an HTML page is written.")
    page_path(page.with_name(result_name(_model(model))), option="out")
    return page_path(page, option="out")


def _model(file: Path | None) -> Path:
    return file or Path("model")


def _layer(bundle: Bundle, methods: Sequence[Method], layer: str | None) -> str:
    """Return the layer whose map is weighed, empty if none gives a map; errors for one that does not."""
    kind = inputs.kind_of(bundle.preprocess)
    if not kind.pictures:
        raise UsageError(f"Explanations can be checked for images only, and this network takes {kind.nouns}.")
    check_explainable(bundle, methods, layer=layer)
    if layer is not None:
        return layer
    try:
        return target_layer(bundle.model, bundle.blank)
    except UsageError:  # each method that needs one says so
        return ""


def _drawn(
    bundle: Bundle,
    source: DataSource,
    dataset: Dataset,
    boxes: Boxes | None,
    *,
    images: int,
    seed: int,
    display: Display,
) -> tuple[list[Sample], list[str]]:
    """Return the images on which methods are tried, and what the reader must know of them."""
    total = sum(map(len, dataset.parts.values())) + len(dataset.bad_files)
    check_bad(dataset, total, allow_bad=source.allow_bad)
    drawn = replace(drawn_evenly(dataset, images, seed=seed, first=boxes or ()), bad_files=())
    decoded = source.decode(drawn, bundle.preprocess, progress=display.counter("decoding"))
    notes = [f"skipped: {bad.name}: {bad.reason}" for bad in decoded.bad_files]
    samples = []
    for name, part in decoded.parts.items():
        size_of = _sizes(drawn.parts[name])
        for index, image in enumerate(part.names):
            pixels = np.array(part.decoded[index])
            given = None if boxes is None else boxes.get(image)
            samples.append(Sample(image, pixels, _placed(bundle, given, image, size_of, notes)))
    if len(samples) < images:
        notes.append(f"there are only {len(samples)} images")
    if boxes is not None:
        boxed = sum(len(sample.boxes) > 0 for sample in samples)
        notes.append(f"boxes are known for {boxed} of the {len(samples)} images")
    return samples, notes


def _sizes(part: Part) -> Callable[[str], tuple[int, int]]:
    """Return a function that gives the (H, W) of an image, upright, by its name."""
    if part.files is None:
        shape = part.decoded.shape
        return lambda _: (shape[1], shape[2])
    file_of = dict(zip(part.names, part.files, strict=True))

    def size(name: str) -> tuple[int, int]:
        H, W, _ = decode(file_of[name], channels=1).shape
        return H, W

    return size


def _placed(
    bundle: Bundle,
    given: NDArray[np.float64] | None,
    image: str,
    size_of: Callable[[str], tuple[int, int]],
    notes: list[str],
) -> Tensor:
    """Return where boxes (b, 4) lie in the input of the network, (c, 4) int64; those outside are left out and noted."""
    if given is None:
        return torch.zeros(0, 4, dtype=torch.int64)
    preprocess = cast(Preprocess, bundle.preprocess)
    try:
        moved = preprocess.boxes_in_input(given, size_of(image))
    except ImageError as error:  # a photograph so large that it is read at a fraction of its size only
        notes.append(f"the boxes of {image} are ignored: {str(error).rpartition('`: ')[2]}")  # without its path
        moved = given[:0]
    placed = whole_pixels(torch.from_numpy(moved), preprocess.size)
    if outside := len(moved) - len(placed):
        notes.append(f"{outside} of {len(moved)} boxes of {image} are outside the input of the network")
    return placed


def _bench(
    bundle: Bundle, samples: Sequence[Sample], checks: Checks, layer: str, progress: Progress
) -> tuple[list[int], Bench]:
    """Return what the network answers to each image, and the bench on which methods explain that."""
    pixels = np.stack([sample.pixels for sample in samples])
    answers = bundle.target.answered(bundle.outputs(pixels, batch=checks.batch))
    objective = Objective(answers=torch.from_numpy(answers).to(bundle.device), evidence=bundle.target.evidence)
    bench = Bench(
        bundle.model,
        bundle.inputs_of(pixels),
        objective,
        boxes=[sample.boxes for sample in samples],
        measured=replace(objective, evidence=stated(bundle.target)),
        checks=checks,
        layer=layer or None,
        progress=progress,
    )
    return answers.tolist(), bench


def stated(target: Task) -> Evidence:
    """Return what a task says of answers (N,) int64 to outputs (N, K): (N,) float64, as `decode` gives it."""

    def said(outputs: Tensor, answers: Tensor) -> Tensor:
        return torch.from_numpy(target.decode(outputs.cpu())).gather(1, answers.cpu()[:, None])[:, 0]

    return said


def _followed(target: Task) -> str:
    return (
        "the probability of the network's answer"
        if target.has_classes
        else f"the prediction of the network: {target.noun}"
    )


def _caveats(target: Task, bench: Bench) -> Iterator[str]:
    """Yield what the reader must know of the curves."""
    if target.has_classes and bench.random.came is not None:
        blurred, whole = (float(bench.random.came.values[:, end].mean()) for end in (0, -1))
        if blurred > KEPT * whole:
            yield (
                f"insertion says little here: the probability is {whole:.2f} for the original images, and still "
                f"{blurred:.2f} for the blurred images it starts from"
            )


def _rows(bench: Bench, methods: Sequence[Method], cue: Planted | None, display: Display) -> Iterator[Row]:
    """Yield a row for each method; UsageError if none applies."""
    reasons = []
    for place, method in enumerate(methods, 1):
        progress = part_of(_told(display, method.title), place, len(methods) + 1)
        try:
            trust = bench.row(method, progress)
        except (UsageError, ShapeError) as error:
            reasons.append(str(error))
            yield Row(method=method, reason=str(error))
            continue
        yield Row(method=method, trust=trust, cue=_cue(method, cue, bench.checks))
    if len(reasons) == len(methods):
        raise UsageError(f"None of the methods works with this network. The first: {reasons[0]}")


def _cue(method: Method, cue: Planted | None, checks: Checks) -> Found | None:
    """Return how well a method finds the cue; None if none is planted, or its network did not learn it."""
    if cue is None or cue.accuracy < LEAST_ACCURACY:
        return None
    return find_cue(method, cue, batch=checks.batch, seed=checks.seed)


def _told(display: Display, detail: str) -> Progress:
    return lambda done, total: display.advance("checking", done, total, detail=detail)


def _written(verdicts: Verdicts, samples: Sequence[Sample], page: Path, model: Path | None) -> TrustResult:
    """Write the page, and the result beside it."""
    from fovea.report.page import write_page
    from fovea.report.trust import trust_page

    file = page.with_name(result_name(_model(model)))
    write_page(page, trust_page(verdicts, [(sample.pixels, sample.boxes) for sample in samples]))
    write_atomically(file, strict_json(verdicts.to_dict(), indent=2).encode())
    return TrustResult(verdicts=verdicts, page=page, file=file)
