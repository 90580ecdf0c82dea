"""The model file: saved whole or not at all, checked before it is loaded, never unpickled."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.data.dataset import Task
from fovea.errors import BundleError, UsageError, listed
from fovea.header import card_text, first_line, read_header
from fovea.preprocess import Preprocess
from fovea.storage import write_atomically
from fovea.training.evaluation import predict_logits
from fovea.training.losses import probabilities

Pixels = NDArray[np.uint8]
Picture = str | Path | Image.Image | Pixels


class Score(NamedTuple):
    """One class and the probability the network gives it."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image."""

    scores: tuple[Score, ...] = ()
    """All classes, the most probable first; empty where the network predicts a number."""
    value: float | None = None
    """The number, where the network predicts one."""

    @property
    def label(self) -> str:
        """The most probable class, or the number as text."""
        return self.scores[0].label if self.scores else f"{self.value:g}"

    @property
    def probability(self) -> float:
        """The probability of `label`; not a number where the network predicts a number."""
        return self.scores[0].probability if self.scores else math.nan


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A network with all that its use needs: `load(path).predict("cat.jpg")`."""

    model: nn.Module
    """In evaluation mode, channels-last, on `device`."""
    card: Mapping[str, Any]
    preprocess: Preprocess
    device: torch.device

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in index order; empty where the task is `number`."""
        return tuple(self.card["classes"])

    @property
    def class_index(self) -> Mapping[str, int]:
        """The index of each class by its name, and by its id (as `n01440764`) where the card holds ids."""
        return {name: index for key in ("class_ids", "classes") for index, name in enumerate(self.card.get(key, ()))}

    @property
    def task(self) -> Task:
        """`classes` or `number`."""
        return cast(Task, self.card["task"])

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""
        return float(self.card["temperature"])

    def predict(self, images: Picture | Iterable[Picture], *, batch: int = 256) -> list[Prediction]:
        """Return one prediction per image.

        `images` is a path, a PIL image, a uint8 array (H, W) or (H, W, C), a batch (N, H, W, C), or a list of any.

        Raises:
            ImageError: a file that cannot be decoded.
            UsageError: an array or object that is no image.
        """
        pixels = [self._read(image) for image in _listed(images)]
        return [self.prediction(row) for row in self.scores(np.stack(pixels), batch=batch)] if pixels else []

    def scores(self, pixels: Pixels, *, batch: int = 256) -> NDArray[np.float64]:
        """Return (N, classes) probabilities, or (N, 1) numbers, for (N, H, W, C) uint8 as `preprocess` returns them."""
        logits = predict_logits(self.model, pixels, self.preprocess, device=self.device, batch=batch)
        return self.numbers(logits) if self.task == "number" else self.probabilities(logits)

    def prediction(self, row: NDArray[np.float64]) -> Prediction:
        """Return what one row of `scores` means."""
        if self.task == "number":
            return Prediction(value=float(row[0]))
        order = (-row).argsort(kind="stable")
        return Prediction(scores=tuple(Score(self.classes[index], float(row[index])) for index in order))

    def probabilities(self, logits: Tensor) -> NDArray[np.float64]:
        """Return (N, classes) probabilities, each row of sum 1, from the network's outputs (N, outputs)."""
        rows: NDArray[np.float64] = probabilities(logits.double(), temperature=self.temperature).numpy()
        return rows

    def numbers(self, logits: Tensor) -> NDArray[np.float64]:
        """Return (N, 1) numbers in the unit of the labels, from the network's outputs (N, 1)."""
        target = self.card["target"]
        rows: NDArray[np.float64] = (logits.double() * target["std"] + target["mean"]).numpy()
        return rows

    def _read(self, image: Picture) -> Pixels:
        if isinstance(image, str | Path):
            return self.preprocess.read(Path(image))
        if not isinstance(image, Image.Image | np.ndarray):
            kind = type(image).__name__
            raise UsageError(f"An image must be a path, a PIL image or a uint8 array; this is of type `{kind}`.")
        return self.preprocess.read(_as_array(image) if isinstance(image, Image.Image) else image)


def save_bundle(path: str | Path, model: nn.Module, card: dict[str, Any]) -> None:
    """Write the model file: whole under its final name, or not at all.

    Raises:
        BundleError: a card that `load` would not accept.
        StorageError: the disk is full or the folder is read-only; what was at `path` is still there.
    """
    path = Path(path)
    metadata = {"fovea": card_text(card, path)}
    tensors = {
        # safetensors refuses channels-last tensors, and views that share memory
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in _tensors_once(model).items()
    }
    write_atomically(path, save(tensors, metadata))


def load(path: str | Path, *, model: nn.Module | None = None, device: str = "cpu") -> Bundle:
    """Return the network in the file `path`, ready to predict.

    `model` is needed for a `custom` bundle, whose code the file does not hold: `load("net.safetensors", model=Net())`.
    `device` is `cpu`, `cuda`, `mps`, or `auto` for the best one here.

    Raises:
        BundleError: the file is truncated, foreign, hostile, of a newer format, or does not fit its network.
        StorageError: the file cannot be read.
        UsageError: `model` is no network, or this machine has no such `device`.
    """
    if not isinstance(model, nn.Module | None):
        raise UsageError(f"`model` (={model!r}) must be a network, a torch.nn.Module: `Net()`, not `Net`.")
    path, place = Path(path), chosen_device(device)
    card, shapes = read_header(path)
    preprocess = _preprocess(card, path)
    if model is None:
        # what a hostile card asks for is compared with what the file holds before it takes memory
        _check_lists(card, len(shapes), path=path)
        _check_shapes(_build(card, path, device="meta"), shapes, path=path)
        _check_input(card["arguments"], preprocess, path=path)
    network = _build(card, path, device="cpu") if model is None else model
    _check_shapes(network, shapes, path=path)
    try:
        network.load_state_dict(_with_aliases(network, load_file(path)))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise BundleError(f"`{path.name}` is damaged: {first_line(error)}.") from error
    if spoilt := [name for name, tensor in network.state_dict().items() if tensor.isnan().any()]:
        raise BundleError(f"`{path.name}` holds NaN instead of numbers, in {listed(spoilt)}; train it again.")
    network.to(place).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Bundle(model=network, card=card, preprocess=preprocess, device=place)


def chosen_device(name: str) -> torch.device:
    """Return the device called `name`, or for `auto` the best one here: `cuda`, `mps` or `cpu`.

    Raises:
        UsageError: this machine does not have it.
    """
    here = [
        *(["cuda"] if torch.cuda.is_available() else []),
        *(["mps"] if torch.backends.mps.is_available() else []),
        "cpu",
    ]
    if name == "auto":
        return torch.device(here[0])
    if name.partition(":")[0] not in here:
        raise UsageError(f"`--device {name}` is not there; this machine has {', '.join(here)}.")
    return torch.device(name)


_RANDOM_FILLS = (
    *(Tensor.normal_, Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_),  # those that PyTorch shows to a function mode
)


class _Unfilled(TorchFunctionMode):
    """Leaves new tensors as they are instead of drawing random numbers that the file's are about to replace."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _build(card: dict[str, Any], path: Path, *, device: str) -> nn.Module:
    """Return the network of the card, its weights not set; on the device `meta` it takes no memory."""
    name = card["architecture"]
    if name == "custom":
        raise BundleError(
            f"`{path.name}` holds a network of your own, whose code is not in the file: "
            f'in Python, `fovea.load("{path.name}", model=Net())`.'
        )
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device), _Unfilled():
            return registry.build(name, **card["arguments"])
    except Exception as error:  # whatever a builder makes of a hostile argument
        raise BundleError(f"`{path.name}` names a network that cannot be built: {first_line(error)}") from error


def _check_lists(card: dict[str, Any], tensors: int, *, path: Path) -> None:
    """Raise BundleError where an argument lists more layers than the file has tensors."""
    for key, value in card["arguments"].items():
        if isinstance(value, list) and len(value) > tensors:
            raise BundleError(f"`{path.name}`: `{key}` lists {len(value)} layers for {tensors} tensors.")


def _check_shapes(model: nn.Module, found: Mapping[str, tuple[int, ...]], *, path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in _tensors_once(model).items()}
    faults = {
        "Missing": expected.keys() - found.keys(),
        "Unexpected": found.keys() - expected.keys(),
        "Of another shape": {name for name in expected.keys() & found.keys() if expected[name] != found[name]},
    }
    if any(faults.values()):
        text = " ".join(f"{fault}: {listed(names)}." for fault, names in faults.items() if names)
        raise BundleError(f"`{path.name}` does not fit its network. {text}")


def _tensors_once(model: nn.Module) -> dict[str, Tensor]:
    """Return the network's tensors by name; one that several names share stands under the first of them."""
    first = _first_names(model)
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if first[name] == name}


def _with_aliases(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full state dict from the tensors of `_tensors_once`."""
    return {name: tensors[first] for name, first in _first_names(model).items()}


def _first_names(model: nn.Module) -> dict[str, str]:
    """Return, for every name in the state dict, the first name of the same tensor."""
    seen: dict[int, str] = {}
    return {name: seen.setdefault(id(tensor), name) for name, tensor in model.state_dict(keep_vars=True).items()}


def _preprocess(card: dict[str, Any], path: Path) -> Preprocess:
    try:
        return Preprocess.from_dict(card["preprocess"])
    except (TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"`{path.name}`: its preprocessing cannot be used. {first_line(error)}") from error


def _check_input(arguments: Mapping[str, Any], preprocess: Preprocess, *, path: Path) -> None:
    """Raise BundleError where the network was built for other images than the preprocessing makes."""
    C, (H, W) = preprocess.channels, preprocess.size
    if (C, H, W) != (arguments.get("c_in", C), arguments.get("size", H), arguments.get("size", W)):
        raise BundleError(f"`{path.name}`: its network was not built for {C}x{H}x{W}, which its preprocessing makes.")


def _listed(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """Return the images one by one, however they were given."""
    if isinstance(images, np.ndarray):
        return images if images.ndim == 4 else [images]
    return [images] if isinstance(images, str | bytes | Path | Image.Image) else images


def _as_array(image: Image.Image) -> Pixels:
    """Return a PIL image as a uint8 array, upright, as decoding its file would."""
    if image.mode.startswith(("I", "F")):
        raise UsageError(f"A PIL image of mode `{image.mode}` has no fixed range; give its path, or 8-bit pixels.")
    image = ImageOps.exif_transpose(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return np.asarray(image)
