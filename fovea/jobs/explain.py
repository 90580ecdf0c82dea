"""`fovea explain`: which parts of an image a prediction depends on."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import torch

from fovea import inputs
from fovea.data.sources.source import DataSource, Reading, reads_data
from fovea.devices import using_threads
from fovea.display import Display
from fovea.errors import DataError, ImageError, UsageError, unknown
from fovea.evaluation.parts import decoded_part, outcome_of, sample_of, source_for
from fovea.explanation.attribution.methods import METHODS, Method, method_named
from fovea.explanation.explained import Explanation, Place
from fovea.explanation.objective import Objective
from fovea.explanation.target_layer import check_map, target_layer
from fovea.explanation.trust.badge import Badge, Badges, find_badges, read_badges
from fovea.inputs.interface import InputKind, Stored
from fovea.jobs.explain_spot import Question, Spot
from fovea.jobs.predict import find_images, samples_at
from fovea.model.bundle import Bundle, load
from fovea.preprocess.decoding import upright_size

if TYPE_CHECKING:
    from fovea.report.explanation import Album, Written

TOP = 5
"""Answers with a bar."""
MISTAKES = 12
"""Mistakes that are explained."""


@dataclass(frozen=True, kw_only=True)
class ExplainResult:
    """Where the explanations of some images are."""

    page: Path
    """The page of the only image, or the gallery of all."""
    written: tuple["Written", ...]
    """The files of each image."""
    explanations: tuple[dict[str, Any], ...]
    """What is said of each image, as JSON values."""

    @property
    def failed(self) -> int:
        """How many images cannot be read."""
        return sum("error" in said for said in self.explanations)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"page": str(self.page), "images": list(self.explanations)}

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        lines = []
        for said in self.explanations:
            if "error" in said:
                continue
            for place in said["explanations"]:
                layer = f" at {place['layer']}" if "layer" in place else ""
                lines.append(f"{said['image']}  {place['answer']}  {place['method']}{layer}  {place['seconds']:.2f} s")
        return [*lines, f"Page     {self.page}"]


class Unread(NamedTuple):
    """An image that cannot be read."""

    image: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return self._asdict()


class Request(NamedTuple):
    """What is to be explained, and how."""

    methods: Sequence[Method]
    settings: Mapping[str, str]
    """Of the methods, as text; each goes to those that have it."""
    targets: Sequence[str]
    """Names of answers; empty for what the network answers."""
    against: str | None
    layer: str | None
    spot: Spot
    """The one thing in an image that is explained, where that is asked."""
    batch: int
    seed: int
    display: Display
    badges: Badges = {}
    """What `fovea trust` found of the methods."""
    most: int = TOP
    """Answers that are explained where no target is named."""


class Known(NamedTuple):
    """What is known of an image that is explained."""

    image: str
    """What it is called."""
    truth: str
    """Its true class; empty if that is not known."""
    label: Any = None
    """The true label of a mistake, as the network knows it."""
    size: tuple[int, int] | None = None
    """(H, W) of the image upright."""


@reads_data
def explain(
    model: str | Path | Bundle,
    images: str | Path | Iterable[str | Path] = (),
    *,
    method: str | Sequence[str] = "gradcam",
    target: str | Sequence[str] = (),
    against: str | None = None,
    at: str | tuple[float, float] | None = None,
    object: int | None = None,
    layer: str | None = None,
    mistakes: str | Path | None = None,
    split: str = "test",
    settings: Mapping[str, Any] | None = None,
    trust: str | Path | None = None,
    out: str | Path | None = None,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 32,
    seed: int = 0,
    threads: int | None = None,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> ExplainResult:
    """Explain predictions of `model` for `images` (files, folders, globs), or its worst `mistakes` on a data set.

    `method` names one or more of `fovea.explanation.attribution.methods.METHODS`, separated by commas. `target`
    selects answers by name or number; if it is empty, the prediction is explained. `against` subtracts the evidence
    for another answer. For masks, boxes and points `at` is a pixel (x, y) of the image, and the region, box or point
    there is explained; `object` is the number of a box or point, where 1 is the box with the highest score. `layer` is
    the path of the module whose feature map is weighed; None means the last spatial activation. Methods that need many
    samples use batches of `batch` inputs, drawn with `seed`. `threads` is the number of processor threads; None means
    as many as PyTorch has. `settings` are options of the methods, such as `{"patch": 20}` for occlusion; each option
    goes to the methods that have it.

    `trust` is the JSON that `fovea trust` wrote for this model file, used for the badges of methods. If it is None,
    `NAME-trust.json` (NAME is the name of the model file) is searched for in the working folder, beside the model file
    and beside the page.

    For one image `out` is the page. For several images it is a folder with one page each and a gallery. Beside every
    page are a picture per method and the raw maps as `.npz`. If the folder of an image has the name of a class, that
    class is taken as the true label.

    Raises:
        BundleError: a model file that cannot be loaded.
        UsageError: an unknown method, setting, answer or layer, no images, both images and `mistakes`, a network
            with an unsupported input, or a `trust` file that is missing or belongs to another model file.
        DataError: `mistakes` cannot be used, or `trust` is not a result of `fovea trust`.
        StorageError: the pages cannot be written.
    """
    from fovea.report.explanation import Album

    methods = methods_named(method)
    given = [images] if isinstance(images, str | Path) else list(images)
    if given and mistakes is not None:
        raise UsageError("Give images or `mistakes` with a data set, not both.")
    bundle = load(model, device=device) if isinstance(model, str | Path) else model
    targets = [target] if isinstance(target, str) else list(target)
    with using_threads(threads), display or Display(quiet=True) as shown:
        texts = {name: str(value) for name, value in (settings or {}).items()}
        spot = Spot.of(at, object)
        spot.check(bundle.target, alone=not (targets or against or mistakes))
        request = Request(methods, texts, targets, against, layer, spot, batch, seed, shown)
        _check(bundle, request)
        request = request._replace(badges=_badges(model, trust, out, shown))
        if mistakes is None:
            paths = _paths(given, inputs.kind_of(bundle.preprocess))
            alone = len(paths) == 1 and [sample.name for sample in samples_at(paths[0], bundle.preprocess)] == paths
            found, only = _of_files(bundle, paths, request), Path(paths[0]) if alone else None
        else:
            source = source_for(bundle, mistakes, allow_bad=allow_bad, **reading)
            found, only = _of_mistakes(bundle, source, split, request), None
        return _written(found, Album(out, only=only), shown)


def _written(found: Iterable[Explanation | Unread], album: "Album", display: Display) -> ExplainResult:
    """Return what was explained, written as pages; DataError if no image can be read."""
    said = []
    for explanation in found:
        said.append(explanation.to_dict())
        if isinstance(explanation, Unread):
            display.note(f"skipped: {explanation.image}: {explanation.error}")
        else:
            album.add(explanation)
    if not album.written:
        raise DataError(f"None of the images can be read. The first: {said[0]['image']}: {said[0]['error']}")
    return ExplainResult(page=album.finish(), written=tuple(album.written), explanations=tuple(said))


def _paths(images: Sequence[str | Path], kind: InputKind) -> list[str]:
    paths = list(find_images(images, kind=kind))
    if not paths:
        raise UsageError("Nothing to explain; give images, folders or globs, or `mistakes` with a data set.")
    return paths


def methods_named(names: str | Sequence[str]) -> list[Method]:
    """Return the methods called so, each once, in a text as `a,b`, or in a sequence; UsageError for an unknown one."""
    each = names.split(",") if isinstance(names, str) else names
    return [*{(found := method_named(name.strip())).name: found for name in each}.values()]


def check_explainable(bundle: Bundle, methods: Sequence[Method], *, layer: str | None) -> None:
    """Raise UsageError if a method takes no such inputs, or `layer` is not there, gives no map, or has no use."""
    axes = len(bundle.preprocess.shape) - 1
    if lacking := [method.name for method in methods if axes not in method.axes]:
        nouns = inputs.kind_of(bundle.preprocess).nouns
        others = ", ".join(sorted(method.name for method in METHODS.values() if axes in method.axes))
        raise UsageError(f"`{lacking[0]}` does not explain {nouns}; {others} do.")
    if layer is None:
        return
    if not any(method.layered for method in methods):
        listed = ", ".join(method.name for method in methods)
        raise UsageError(
            f"`layer` (={layer}) works only for methods that weigh feature maps; {listed} explain the input."
        )
    check_map(bundle.model, bundle.blank, layer)


def _check(bundle: Bundle, request: Request) -> None:
    """Raise UsageError for what cannot be asked of this network, before any image is read."""
    answers = [bundle.target.answer_named(name) for name in request.targets]
    if request.against is not None and bundle.target.answer_named(request.against) in answers:
        raise UsageError(f"`against` (={request.against}) is the explained answer itself; give another answer.")
    known = {name for method in request.methods for name in method.settings}
    for name in request.settings:
        if name not in known:
            raise unknown("setting", name, known)
    for method in request.methods:
        method.parsed(request.settings)
    check_explainable(bundle, request.methods, layer=request.layer)
    if request.layer is None and any(method.layered for method in request.methods):
        target_layer(bundle.model, bundle.blank)


def _badges(model: str | Path | Bundle, trust: str | Path | None, out: str | Path | None, display: Display) -> Badges:
    """Return what `fovea trust` found of the methods on this model file; of none where it is not there."""
    if isinstance(model, Bundle):
        if trust is not None:
            raise UsageError(
                f"`trust` (={trust}) belongs to a model file, and no file was given; give the path of the model."
            )
        return {}
    if trust is not None:
        return read_badges(Path(trust), Path(model))
    pages = Path() if out is None else Path(out).parent if Path(out).suffix.lower() == ".html" else Path(out)
    badges, remarks = find_badges(Path(model), (Path(), Path(model).parent, pages))
    for remark in remarks:
        display.note(f"trust: {remark}")
    return badges


def _of_files(bundle: Bundle, paths: Sequence[str], request: Request) -> Iterator[Explanation | Unread]:
    read = list[str]()
    given = [each for path in paths for each in samples_at(path, bundle.preprocess)]
    for done, (path, source) in enumerate(given):
        request.display.advance("explaining", done, len(given))
        try:
            sample = bundle.preprocess.read(source)
        except ImageError as error:
            yield Unread(path, str(error).removeprefix(f"`{Path(path)}`: "))
            continue
        read.append(path)
        folder = Path(path).parent.name
        size = upright_size(source) if isinstance(source, Path) else None
        truth = folder if folder in bundle.classes else ""
        yield explained(bundle, sample, request, Known(path, truth, size=size))
    note_conversions(read, bundle, request.display)


def note_conversions(paths: Sequence[str], bundle: Bundle, display: Display) -> None:
    """Say which images a network sees in other colours than they have, a line for each way."""
    converted: dict[str, list[str]] = {}
    for path in paths:
        if how := inputs.kind_of(bundle.preprocess).conversion(Path(path), bundle.preprocess):
            converted.setdefault(how, []).append(path)
    for how, names in converted.items():
        others = f" and {len(names) - 1} more" if names[1:] else ""
        display.note(f"converted {how}: {names[0]}{others}")


def _of_mistakes(bundle: Bundle, source: DataSource, split: str, request: Request) -> Iterator[Explanation]:
    """Yield the worst mistakes on a part of the data, each with its answer and the truth explained."""
    part = decoded_part(bundle, source, split=split, display=request.display)
    outcome = outcome_of(bundle, part.decoded, split=part.name, progress=request.display.counter("evaluating"))
    worst = outcome.mistakes[:MISTAKES]
    if not worst:
        raise UsageError(f"The network makes no mistakes on the split {part.name} of `{part.decoded.name}`.")
    for done, mistake in enumerate(worst):
        request.display.advance("explaining", done, len(worst))
        sample = sample_of(part.decoded, mistake.image).copy()  # the cache is mapped, not to be written
        label, image = outcome.labels[mistake.image], outcome.names[mistake.image]
        yield explained(bundle, sample, request, Known(image, mistake.truth, label=label))


def explained(bundle: Bundle, sample: Stored, request: Request, known: Known) -> Explanation:
    """Return what the network says of one stored sample (H, W, C) uint8, and where it sees that."""
    target, x = bundle.target, bundle.inputs_of(sample[None])
    kind = inputs.kind_of(bundle.preprocess)
    outputs = bundle.outputs(sample[None])
    said = target.prediction(target.decode(outputs)[0])
    by_label = dict(said.scores)
    named = dict.fromkeys(target.answer_named(name) for name in request.targets)
    if request.spot:
        questions = [request.spot.question(bundle, x, known.size)]
    else:
        answers = [*named] or target.asked(outputs, known.label)[: request.most]
        questions = [question_of(bundle, answer, request, x.device) for answer in answers]
    places = [
        _place(method, bundle, x, objective, request, names=names)
        for objective, names in questions
        for method in request.methods
    ]
    return Explanation(
        image=known.image,
        prediction=target.top(said, TOP),
        truth=known.truth,
        truth_probability=by_label.get(known.truth),
        pixels=kind.drawn(sample),
        places=tuple(places),
        laid=lambda found: kind.laid(found.at(bundle.preprocess.shape[1:])[0].numpy(), sample),
        described=kind.described(sample),
    )


def explain_sample(bundle: Bundle, sample: Stored, request: Request) -> Explanation:
    """Return what the network says of one stored sample (H, W, C) uint8, and where it sees that.

    Raises: UsageError for what cannot be asked of this network.
    """
    request.spot.check(bundle.target, alone=not (request.targets or request.against))
    _check(bundle, request)
    return explained(bundle, sample, request, Known("", ""))


def question_of(bundle: Bundle, answer: int, request: Request, device: torch.device) -> Question:
    """Return the evidence for an answer, less that against it."""
    target = bundle.target
    against = None if request.against is None else target.answer_named(request.against)
    objective = Objective.of_task(
        target,
        torch.tensor([answer], device=device),
        None if against is None else torch.tensor([against], device=device),
    )
    return objective, (target.answer_text(answer), "" if against is None else target.answer_text(against))


def _place(
    method: Method, bundle: Bundle, x: torch.Tensor, objective: Objective, request: Request, *, names: tuple[str, str]
) -> Place:
    """Return the map of one method; `names` are the answer, and the one that is subtracted."""
    begun = time.perf_counter()
    common = {
        "layer": request.layer,
        "batch": request.batch,
        "seed": request.seed,
        "progress": request.display.counter(method.title),
    }
    found = method(bundle.model, x, objective, **common, **method.parsed(request.settings))
    seconds = time.perf_counter() - begun
    badge = request.badges.get(method.name, Badge())
    return Place(method, *names, found, seconds, badge)
