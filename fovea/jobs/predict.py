"""`fovea predict`: predictions for any number of images, in bounded memory."""

import glob
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import inputs
from fovea.budget import batch_within
from fovea.display import Display
from fovea.errors import FoveaError, ImageError, UsageError
from fovea.inputs.interface import InputKind, Preprocessing, Stored
from fovea.inputs.views import Protocol as Views
from fovea.model.opening import open_model
from fovea.model.predictor import Predictor
from fovea.preprocess import Pixels
from fovea.preprocess.decoding import upright_size
from fovea.tasks.mask_objects import asked_singling
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Task
from fovea.texts import natural_key

if TYPE_CHECKING:
    from fovea.model.tiled import Tiling

TOO_LARGE = "pixels, the limit"
"""What is said of an image that is not decoded whole."""
TOP = 5
"""Classes or grades that are named where nothing else is asked for."""
ByPreprocessing = dict[Preprocessing, Stored]


class Preview(NamedTuple):
    """A large image at a fraction of its size."""

    pixels: Pixels
    """(h, w, C) uint8"""
    size: tuple[int, int]
    """(H, W) of the image."""


@dataclass(frozen=True, kw_only=True)
class FilePrediction:
    """What the network says of one file, or why it cannot be read."""

    image: str
    """The path as it was given or found."""
    prediction: Prediction | None = None
    """None if there is an `error`. Of classes and grades `scores` are the `top` best."""
    error: str = ""
    preview: Preview | None = None
    """Of an image that is too large to be drawn whole."""

    def to_dict(self) -> dict[str, Any]:
        """Return what applies as JSON values: `image` and `error`, `value`, or `predictions`."""
        if self.prediction is None:
            return {"image": self.image, "error": self.error}
        return {"image": self.image, **self.prediction.to_dict()}


def predict(
    model: str | Path | Predictor,
    images: str | Path | Iterable[str | Path],
    *,
    top: int | None = None,
    ensemble: Sequence[str | Path | Predictor] = (),
    device: str = "auto",
    batch: int = 64,
    min_score: float | None = None,
    flip: bool = False,
    out: str | Path | None = None,
    instances: str | None = None,
    instances_of: Sequence[str] = (),
    least_area: int = 1,
    tile: int | None = None,
    overlap: int | None = None,
    boxes: str | Path | Predictor | None = None,
    boxes_of: Sequence[str] = (),
    display: Display | None = None,
) -> Iterator[FilePrediction]:
    """Yield a prediction for each of `images`: files, folders (all images in them, in natural order) and globs.

    A file that cannot be read yields its reason and does not stop the rest. `top` is the number of classes or grades
    to return, 5 by default; for several labels all present labels are returned. `ensemble` averages the probabilities
    or numbers of several models, which must have the same classes; labels are present above the thresholds of the
    first model. `min_score` (0 to 1) is the lowest score of objects to return; the default is in the model's card.
    `flip` averages the outputs for each image and its mirror image, which takes twice as long.

    For masks, boxes and points `out` is a folder for the results: pictures, masks as PNG, boxes and points as COCO
    JSON and CSV. `instances` also writes the single objects of masks there: `connected`, or `parted`, which separates
    touching objects where they are narrow. `instances_of` are their classes (default: all but one named background),
    and `least_area` is their smallest size in pixels of the image.

    For masks and boxes, images are predicted tile by tile if the model was trained on tiles (`fit` tile), or if `tile`
    is given: the side of a tile in pixels of the image. `overlap` is the overlap of tiles in pixels. A TIFF of any
    size is then read in tiles, and the mask of an image above 100 million pixels is written as a TIFF.

    For points `boxes` gives the objects: data with boxes for the images, or a model that finds them, to which
    `min_score` then applies. Each box is enlarged by a quarter, as in training. The prediction of an image has the
    points of all of its objects; `boxes_of` selects classes of boxes.

    Raises:
        BundleError: a model file that cannot be loaded.
        UsageError: `top` or `batch` below 1, `top` for a model without a ranking, an address, an empty folder or glob,
            models that cannot form an ensemble, `min_score` or `out` for a model without masks, boxes or points,
            `tile` for a model without masks or boxes, `instances` without `out` or for a model without masks,
            `boxes` for a model without points.
        DataError: `boxes` that cannot be used.
        StorageError: the folder `out` cannot be written.
    """
    for name, value in (("top", top), ("batch", batch)):
        if value is not None and value < 1:
            raise UsageError(f"`{name}` (={value}) must be at least 1.")
    given = (model, *ensemble)
    members = [open_model(member, device=device) if isinstance(member, str | Path) else member for member in given]
    _check_ensemble(members)
    target = _target(members[0].target, top, min_score if boxes is None else None)
    kind = inputs.kind_of(members[0].preprocess)
    paths = find_images([images] if isinstance(images, str | Path) else images, kind=kind)
    samples = (sample for path in paths for sample in samples_at(path, members[0].preprocess))
    singling = asked_singling(target, instances, tuple(instances_of), least_area)
    if instances is not None and out is None:
        raise UsageError("`instances` writes single objects into the folder `out`; give one with `--out`.")
    if boxes_of and boxes is None:
        raise UsageError("`boxes_of` selects from `boxes`; give `boxes` too.")
    tiling, views = _tiling(members, tile, overlap), Views(flip=flip)
    kind.viewed(members[0].preprocess, views)
    if boxes is not None:
        from fovea.jobs.top_down import AskedBoxes, top_down_predictions

        asked = AskedBoxes(source=boxes, classes=tuple(boxes_of), min_score=min_score, device=device, batch=batch)
        found = top_down_predictions(members[0], asked.opened(members[0], display), paths, views=views, batch=batch)
    elif tiling is None:
        found = _predictions(members, samples, target=target, top=top or TOP, views=views, batch=batch)
    else:
        from fovea.jobs.tiled import Work, tiled_predictions

        found = tiled_predictions(Work(members[0], target, tiling, batch, display, views), paths)
    if out is None:
        return found
    from fovea.jobs.written import Writing  # writers are of no use to most

    return Writing(Path(out), target, singling if instances else None).passing(found)


def _target(target: Task, top: int | None, min_score: float | None) -> Task:
    """Return what is predicted, which tells of scores from `min_score` on. Raises: UsageError for what it has not."""
    if top is not None and not target.ranks:
        raise UsageError(
            f"`top` (={top}) limits a ranking of classes, and this model predicts {target.noun}; leave out `--top`."
        )
    if min_score is None:
        return target
    if not 0 <= min_score <= 1:
        raise UsageError(f"`min_score` (={min_score:g}) must be from 0 to 1.")
    return target.at_least(min_score)


def _tiling(members: Sequence[Predictor], tile: int | None, overlap: int | None) -> "Tiling | None":
    """Return how images are seen as tiles; None if they are seen whole."""
    if tile is None and overlap is None and not getattr(members[0].preprocess, "tiles", False):
        return None
    from fovea.model.tiled import tiling_of  # most images are seen whole

    if len(members) > 1:
        raise UsageError("`ensemble` cannot be combined with tiles; leave it out.")
    return tiling_of(members[0], tile=tile, overlap=overlap)


class Sample(NamedTuple):
    """One sample: what it is called, and where it is, or its values where a file holds several."""

    name: str
    source: Path | Stored


def samples_at(path: str, preprocess: Preprocessing) -> list[Sample]:
    """Return the samples in a file: that file itself, or what it holds where it is one of several.

    Raises:
        DataError: a file of several that cannot be read.
    """
    held = None
    if Path(path).suffix.lower() in inputs.kind_of(preprocess).containers:
        from fovea.data.sources.series import samples_in

        held = samples_in(Path(path), channels=preprocess.channels)
    return [Sample(path, Path(path))] if held is None else [Sample(*each) for each in held]


def find_images(given: Iterable[str | Path], *, kind: InputKind | None = None) -> Iterator[str]:
    """Yield the path of every sample that files, folders and globs mean, as they are met: images, or another `kind`.

    Raises:
        UsageError: an address, a folder without samples, or a glob that matches nothing.
    """
    kind = kind or inputs.kind("images")
    for item in (os.fspath(path) for path in given):
        if "://" in item:
            raise UsageError(f"`{item}` is an address, and only local files are supported; download it first.")
        if os.path.isdir(item):
            yield from _some(_below(item, kind), f"No {kind.nouns} in the folder `{item}`.")
        elif not os.path.exists(item) and glob.has_magic(item):
            yield from _some(_matching(item, kind), f"Nothing matches `{item}`.")
        else:
            yield item


def _some(paths: Iterable[str], complaint: str) -> Iterator[str]:
    empty = True
    for path in paths:
        empty = False
        yield path
    if empty:
        raise UsageError(complaint)


def _below(folder: str, kind: InputKind) -> Iterator[str]:
    from fovea.data.sources.folders import is_ignored, is_sample, unread_photographs  # a single file needs none of it

    for parent, folders, files in os.walk(folder):
        folders[:] = sorted((name for name in folders if not is_ignored(name)), key=natural_key)
        visible = [name for name in files if not is_ignored(name)]
        if kind.of_folders:
            yield from [parent] if any(is_sample(name, kind) for name in visible) else []
            continue
        # photographs that cannot be read are given their reason, not passed over
        own = [
            name for name in visible if is_sample(name, kind) or os.path.splitext(name)[1].lower() in kind.containers
        ]
        names = sorted([*own, *unread_photographs(visible)], key=natural_key)
        yield from (os.path.join(parent, name) for name in names)


def _matching(pattern: str, kind: InputKind) -> Iterator[str]:
    for path in sorted(glob.iglob(pattern, recursive=True)):
        if not os.path.isdir(path):
            yield path
        elif "**" not in pattern:  # which matches what is in the folder by itself
            yield from _below(path, kind)


def _check_ensemble(members: Sequence[Predictor]) -> None:
    first = members[0].target
    if len(members) > 1 and first.lies_on_image:
        raise UsageError(
            f"An ensemble averages probabilities or numbers, and these models predict {first.noun}; give one model."
        )
    if len({member.preprocess.input for member in members}) > 1:
        raise UsageError("The models of an ensemble must take the same kind of input, and these do not.")
    for other in members[1:]:
        if first.columns_of(other.target) is None:
            raise UsageError("The models of an ensemble must have the same classes, and these do not.")


def _predictions(
    members: Sequence[Predictor], samples: Iterator[Sample], *, target: Task, top: int, views: Views, batch: int
) -> Iterator[FilePrediction]:
    ways = {member.preprocess for member in members}
    # pixels are held twice: one by one, and as a batch
    stored = (2 * math.prod(way.stored_shape) * np.dtype(way.dtype).itemsize for way in ways)
    batch = batch_within(batch, sum(stored))
    with ThreadPoolExecutor() as pool:
        for chunk in _chunks(samples, batch):
            found = list(pool.map(partial(_read, ways), chunk))
            rows = iter(_mean_scores(members, [pixels for pixels in found if not isinstance(pixels, str)], views))
            for sample, pixels in zip(chunk, found, strict=True):
                if isinstance(pixels, str):
                    advice = "; use `--tile` for a large TIFF." if target.lies_on_image and TOO_LARGE in pixels else ""
                    yield FilePrediction(image=sample.name, error=pixels.rstrip(".") + advice if advice else pixels)
                else:
                    prediction = target.best(next(rows), top)
                    if target.lies_on_image:
                        prediction = target.in_image(prediction, members[0].preprocess, _size(sample))  # type: ignore[arg-type]
                    yield FilePrediction(image=sample.name, prediction=prediction)


def _chunks(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    """Yield the samples in lists of `size`; those before an error come before it."""
    chunk: list[Sample] = []
    try:
        for sample in samples:
            chunk.append(sample)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except FoveaError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _read(ways: Iterable[Preprocessing], sample: Sample) -> ByPreprocessing | str:
    """Return the values of a sample for each way to prepare them, or the reason why there are none."""
    try:
        return {preprocess: preprocess.read(sample.source) for preprocess in ways}
    except ImageError as error:
        return str(error).removeprefix(f"`{Path(sample.name)}`: ")


def _size(sample: Sample) -> tuple[int, int]:
    """Return the size (H, W) of an image that has been read."""
    size = upright_size(sample.source) if isinstance(sample.source, Path) else sample.source.shape[:2]
    if size is None:
        raise ImageError(f"`{sample.name}`: its size cannot be read.")
    return size


def _mean_scores(members: Sequence[Predictor], images: Sequence[ByPreprocessing], views: Views) -> NDArray[np.float64]:
    """Return the mean of the members' decoded outputs, columns in the order of the first member's classes."""
    if not images:
        return np.empty((0, 0))
    if len(members) == 1:
        return members[0].scores(np.stack([pixels[members[0].preprocess] for pixels in images]), views)
    scores = []
    for member in members:
        rows = member.scores(np.stack([pixels[member.preprocess] for pixels in images]), views)
        scores.append(rows[:, members[0].target.columns_of(member.target)])
    mean: NDArray[np.float64] = np.mean(scores, axis=0)
    return mean
