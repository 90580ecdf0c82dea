"""`fovea evaluate`: how good a network is on a part of a data set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.bundle import Bundle, load
from fovea.data.cache import decode_dataset
from fovea.data.dataset import PARTS, BadFile, Dataset, Part
from fovea.data.manifests import Columns, manifest_in, read_column
from fovea.data.parquet import SUFFIX, parquet_files, read_parquet_column
from fovea.data.sources import find
from fovea.data.splits import split_validation
from fovea.errors import DataError, UsageError, listed, unknown
from fovea.jobs.progress import Display
from fovea.jobs.robustness import Robustness, measure_robustness
from fovea.jobs.slices import Slices, sliced
from fovea.report.outcome import Outcome
from fovea.storage import page_path, picture_path
from fovea.training import metrics
from fovea.training.evaluation import PLAIN, predict_logits
from fovea.training.views import Protocol

SPLITS = (*PARTS, "whole")
SHOWN_CLASSES = 20
SHOWN_MISTAKES = 5


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The figures of one network on one part of one data set; those that do not apply to its task are None."""

    data: str
    split: str
    """`train`, `val`, `test`, or `whole` for all parts together."""
    images: int
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    """Where the true accuracy lies with 95 % confidence (Wilson)."""
    top5: float | None = None
    """The share of images whose class is among the five most probable; None for five classes and fewer."""
    nll: float | None = None
    """Negative log-likelihood in nats per image."""
    ece: float | None = None
    """Expected calibration error: how far confidence and accuracy lie apart."""
    temperature: float | None = None
    """What the logits were divided by; None where the model file has no temperature of its own."""
    ece_unscaled: float | None = None
    """The calibration error at temperature 1."""
    per_class: Mapping[str, Mapping[str, float]] | None = None
    """`precision`, `recall`, `f1` and `support` (images) by class name."""
    confusion: Sequence[Sequence[int]] | None = None
    """Counts, the rows true and the columns predicted classes, in the order of `per_class`."""
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    protocol: Protocol = PLAIN
    """Which views of each image were averaged."""
    slices: Slices | None = None
    """The accuracy per value of a column of the manifest, where asked for."""
    robustness: Robustness | None = None
    """The accuracy on disturbed images, where asked for."""
    min_accuracy: float | None = None
    """What was asked for."""
    notes: tuple[str, ...] = ()
    bad_files: tuple[BadFile, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the accuracy is at least what was asked for."""
        return self.min_accuracy is None or (self.accuracy is not None and self.accuracy >= self.min_accuracy)

    def summary(self) -> list[str]:
        """Return lines for a person: the result and its part, the worst classes, the most frequent mistakes."""
        where = ", ".join(filter(None, (f"{self.split} of {self.data}, {self.images:,} images", self.protocol.text)))
        if self.accuracy is None or self.interval is None:
            r2 = "" if self.r2 is None else f", R2 {self.r2:.4f}"
            return [f"mean absolute error {self.mae:.4g}, root mean squared error {self.rmse:.4g}{r2} ({where})"]
        low, high = self.interval
        top5 = "" if self.top5 is None else f"top-5 {self.top5:.2%}, "
        before = "" if self.temperature is None else f" ({self.ece_unscaled:.2%} without temperature scaling)"
        return [
            f"accuracy {self.accuracy:.2%}, 95 % interval {low:.2%} to {high:.2%} ({where})",
            f"{top5}negative log-likelihood {self.nll:.4f}, calibration error {self.ece:.2%}{before}",
            *self._worst_classes(),
            *self._mistakes(),
            *(self.slices.summary() if self.slices else ()),
            *(self.robustness.summary() if self.robustness else ()),
        ]

    def _worst_classes(self) -> list[str]:
        seen = [(name, scores) for name, scores in (self.per_class or {}).items() if scores["support"]]
        worst = sorted(seen, key=lambda item: item[1]["recall"])[:SHOWN_CLASSES]
        wide = max(len("lowest recall"), *(len(name) for name, _ in worst))
        lines = [
            f"{name:{wide}}  {s['recall']:6.1%}  {s['precision']:9.1%}  {s['f1']:6.1%}  {s['support']:6}"
            for name, s in worst
        ]
        return ["", f"{'lowest recall':{wide}}  recall  precision      F1  images", *lines]

    def _mistakes(self) -> list[str]:
        names = list(self.per_class or {})
        counts = np.array(self.confusion)
        np.fill_diagonal(counts, 0)
        often = np.argsort(-counts, axis=None, kind="stable")[:SHOWN_MISTAKES]
        pairs = [(int(true), int(taken)) for true, taken in zip(*np.unravel_index(often, counts.shape), strict=True)]
        return [f"{counts[pair]} x {names[pair[0]]} taken for {names[pair[1]]}" for pair in pairs if counts[pair]]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures that apply as JSON values."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        values["protocol"] |= {"views": self.protocol.views, "text": self.protocol.text}
        bad_files = [bad._asdict() for bad in self.bad_files]
        return {**values, "bad_files": bad_files, "passed": self.passed}


def evaluate(
    model: str | Path | Bundle,
    data: str | Path,
    *,
    split: str = "test",
    crops: int = 1,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    slice_by: str | None = None,
    robust: bool = False,
    out: str | Path | None = None,
    min_accuracy: float | None = None,
    label_from: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = 256,
    html: str | Path | None = None,
    images: bool = True,
    display: Display | None = None,
) -> Evaluation:
    """Return how good `model` is on one part of `data`.

    Without the part `test` the validation part is taken, without that the whole; `split` of the result says which.
    Data that the model was trained on is split again as it was then. Logits are averaged over the views that `crops`,
    `flip` and `scales` ask for, as `Protocol` says. Labels are matched by class name; `data` may lack classes of the
    model. `slice_by` asks for the accuracy per value of that column of a manifest, `robust` for that on disturbed
    images, `out` for its picture. `html` is where to write a page, with thumbnails where `images` is set.

    Raises:
        BundleError: a model file that cannot be loaded.
        DataError: data that cannot be used, or classes that the model does not know.
        UsageError: an unknown `split`, no folder for `html` or `out`, or what does not fit data or model.
        StorageError: the page or the picture cannot be written.
    """
    _check_places(html, out, robust=robust)
    protocol = Protocol(crops=crops, flip=flip, scales=tuple(scales))
    bundle = model if isinstance(model, Bundle) else load(model, device=device)
    _check_task(bundle, min_accuracy=min_accuracy, further=slice_by is not None or robust)
    columns: dict[str, Any] = {"path_column": path_column, "label_column": label_column, "split_column": split_column}
    display = display or Display(quiet=True)
    dataset = find(data, label_from=label_from, task=bundle.task, progress=display.fetched, **columns)
    value_of = {} if slice_by is None else _column(data, slice_by, path_column=path_column)
    name, dataset = _part(_split_as_trained(dataset, bundle.card), split)
    _check_classes(dataset, bundle)
    notes = (*dataset.notes, *_caveats(dataset, bundle, asked=split, given=name))
    for note in notes:
        display.note(f"data: {note}")
    geometry, counter = protocol.geometry(bundle.preprocess), display.counter("decoding")
    decoded = decode_dataset(dataset, geometry, allow_bad=allow_bad, progress=counter)
    logits = _logits(bundle, decoded, protocol=protocol, batch=batch, display=display)
    outcome = _outcome(bundle, decoded, logits, split=name, protocol=protocol)
    slices = None if slice_by is None else sliced(outcome, slice_by, value_of)
    robustness = _robustness(bundle, decoded, outcome, batch=batch, display=display) if robust else None
    if robustness is not None and out is not None:
        _draw(robustness, Path(out), name=dataset.name)
    if html is not None:
        shown = outcome if images else replace(outcome, picture=None)
        _write_page(Path(html), bundle, shown, notes=notes, slices=slices, robustness=robustness)
    return Evaluation(
        data=dataset.name,
        split=name,
        images=len(outcome),
        min_accuracy=min_accuracy,
        protocol=protocol,
        slices=slices,
        robustness=robustness,
        notes=notes,
        bad_files=decoded.bad_files,
        **_figures(outcome),
    )


def _check_places(html: str | Path | None, out: str | Path | None, *, robust: bool) -> None:
    if html is not None:
        page_path(html, option="html")
    if out is not None and not robust:
        raise UsageError(f"`out` (={out}) is for the picture of --robust; add that, or use --html.")
    if out is not None:
        picture_path(out)


def _check_task(bundle: Bundle, *, min_accuracy: float | None, further: bool) -> None:
    if min_accuracy is not None and (bundle.task == "number" or not 0 <= min_accuracy <= 1):
        raise UsageError(f"`min_accuracy` (={min_accuracy}) must be a fraction from 0 to 1, for a model with classes.")
    if further and bundle.task == "number":
        raise UsageError("`--slice` and `--robust` show accuracies; this model predicts a number, so leave them out.")


def _column(data: str | Path, column: str, *, path_column: str) -> dict[str, str]:
    """Return what stands in a column of the manifest `data` by the name of each image."""
    path = Path(data).expanduser()
    if path.suffix.lower() == SUFFIX or (path.is_dir() and parquet_files(path)):
        return read_parquet_column(path, column)
    manifest = manifest_in(path) if path.is_dir() else path if path.suffix.lower() == ".csv" else None
    if manifest is None:
        raise UsageError(f"`--slice {column}` needs a CSV or Parquet manifest with that column; `{data}` is none.")
    return read_column(manifest, column, columns=Columns(path=path_column))


def _logits(bundle: Bundle, decoded: Dataset, *, protocol: Protocol, batch: int, display: Display) -> torch.Tensor:
    """Return the network's outputs (N, K) on all parts, one after the other."""
    counter = display.counter("evaluating")
    return torch.cat(
        [
            predict_logits(
                bundle.model,
                part.decoded,
                bundle.preprocess,
                device=bundle.device,
                protocol=protocol,
                batch=batch,
                progress=counter,
            )
            for part in decoded.parts.values()
        ]
    )


def _robustness(bundle: Bundle, decoded: Dataset, outcome: Outcome, *, batch: int, display: Display) -> Robustness:
    return measure_robustness(
        bundle,
        partial(_pixels, tuple(decoded.parts.values())),
        outcome.labels,
        protocol=outcome.protocol,
        batch=batch,
        progress=display.counter("disturbing"),
    )


def _draw(robustness: Robustness, path: Path, *, name: str) -> None:
    from fovea.drawing.robustness import robustness_picture

    robustness_picture({name: robustness}, path)


def _outcome(bundle: Bundle, dataset: Dataset, logits: torch.Tensor, *, split: str, protocol: Protocol) -> Outcome:
    """Return what the network says of all parts of a decoded `dataset`, its labels among the network's classes."""
    parts = tuple(dataset.parts.values())
    labels = np.concatenate([part.labels for part in parts])
    if bundle.task == "classes":
        labels = np.array([bundle.class_index[name] for name in dataset.classes])[labels]
    return Outcome(
        data=dataset.name,
        split=split,
        protocol=protocol,
        classes=bundle.classes,
        outputs=logits if bundle.task == "classes" else torch.from_numpy(bundle.numbers(logits)),
        labels=labels,
        names=tuple(name for part in parts for name in part.names),
        temperature=bundle.temperature,
        picture=partial(_pixels, parts),
    )


def _pixels(parts: Sequence[Part], index: int) -> NDArray[np.uint8]:
    """Return the pixels of an image counted through all `parts`."""
    for part in parts:
        if index < len(part):
            break
        index -= len(part)
    return np.asarray(part.decoded[index])


def _write_page(path: Path, bundle: Bundle, outcome: Outcome, *, notes: Sequence[str], **further: Any) -> None:
    from fovea.report.evaluation import evaluation_page
    from fovea.report.page import write_page
    from fovea.report.rasters import first_filters

    filters = first_filters(bundle.model, (bundle.preprocess.channels, *bundle.preprocess.size))
    found = {name: value and asdict(value) for name, value in further.items()}
    write_page(path, evaluation_page(outcome, bundle.card, filters=filters, notes=notes, **found))


def _figures(outcome: Outcome) -> dict[str, Any]:
    """Return the figures that apply to what is predicted."""
    if not outcome.classes:
        return metrics.number_scores(outcome.outputs[:, 0].numpy(), outcome.labels)._asdict()
    scaled = outcome.temperature != 1
    unscaled = metrics.calibration_error(outcome.unscaled, outcome.labels) if scaled else None
    return {
        "temperature": outcome.temperature if scaled else None,
        "ece_unscaled": unscaled,
        **_class_figures(outcome.probabilities, outcome.labels, outcome.classes),
    }


def _split_as_trained(dataset: Dataset, card: Mapping[str, Any]) -> Dataset:
    """Return the data set with the validation part that a training on this same data had set aside."""
    trained_on = _trained_on(card)
    if trained_on.get("fingerprint") != dataset.fingerprint or not trained_on.get("val_fraction"):
        return dataset
    return split_validation(dataset, fraction=trained_on["val_fraction"], seed=card["training"]["seed"])


def _part(dataset: Dataset, split: str) -> tuple[str, Dataset]:
    """Return the data set with the chosen part alone, and what was chosen."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    fallback = {"test": ("test", "val"), "whole": ()}.get(split, (split,))
    name = next((part for part in fallback if part in dataset.parts), "whole")
    if name == "whole":
        if split in ("train", "val"):
            raise DataError(f"`{dataset.name}` has no part `{split}`; it has {', '.join(dataset.parts)}.")
        return name, dataset
    return name, replace(dataset, parts={name: dataset.parts[name]})


def _caveats(dataset: Dataset, bundle: Bundle, *, asked: str, given: str) -> Iterator[str]:
    """Yield what the reader of the result must know of the part it is for."""
    if asked != given:
        yield f"there is no {asked} part; this is {given}"
    if "train" in dataset.parts and _trained_on(bundle.card).get("fingerprint") == dataset.fingerprint:
        yield "the network was trained on images of this part"


def _trained_on(card: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = card.get("training", {}).get("data", {})
    return data


def _check_classes(dataset: Dataset, bundle: Bundle) -> None:
    strangers = [name for name in dataset.classes if name not in bundle.class_index]
    if strangers:
        raise DataError(
            f"`{dataset.name}` has classes that the model does not know: {listed(strangers, most=20)}. "
            f"It knows {listed(bundle.classes, most=20)}; rename or leave out the others."
        )


def _class_figures(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any]:
    predicted = probabilities.argmax(axis=1)
    correct = int((predicted == labels).sum())
    scores = metrics.class_scores(labels, predicted, classes=len(classes))
    rows = zip(*(column.tolist() for column in scores), strict=True)
    return {
        "accuracy": correct / len(labels),
        "interval": metrics.wilson_interval(correct, len(labels)),
        "top5": metrics.top_k_accuracy(probabilities, labels, k=5) if len(classes) > 5 else None,
        "nll": metrics.negative_log_likelihood(probabilities, labels),
        "ece": metrics.calibration_error(probabilities, labels),
        "per_class": {
            name: dict(zip(metrics.ClassScores._fields, row, strict=True))
            for name, row in zip(classes, rows, strict=True)
        },
        "confusion": metrics.confusion_matrix(labels, predicted, classes=len(classes)).tolist(),
    }
