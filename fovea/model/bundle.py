"""The model file: saved whole or not at all, checked before it is loaded, never unpickled."""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import inputs, registry
from fovea.budget import INPUT, batch_within
from fovea.card import CUSTOM, Card
from fovea.data.dataset import Images
from fovea.devices import device_named
from fovea.errors import BundleError, UsageError, first_line
from fovea.errors import listed as quoted
from fovea.inputs.interface import Preprocessing, Stored
from fovea.inputs.reading import Picture, check_one_tile, listed, read_sample
from fovea.inputs.views import PLAIN, Protocol
from fovea.layers import Unfilled, copied, placed
from fovea.measurement.memory import one_input_bytes
from fovea.measurement.network import without_values
from fovea.model import described
from fovea.model import tensors as tensors_of
from fovea.model.container import Header, header_in, model_file, read_header
from fovea.model.first_layer import first_filters
from fovea.model.values import spoilt
from fovea.notebook import Cells, Tabular
from fovea.storage import write_atomically
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Task
from fovea.training.inference import Progress, predict_logits


@dataclass(frozen=True, kw_only=True, repr=False)
class Bundle(Tabular):
    """A network with all that its use needs: `load(path).predict("cat.jpg")`. A `Predictor`.

    Images are (N, H, W, C) uint8 0..255, outputs (N, K) float32.
    """

    model: nn.Module
    """In evaluation mode, channels-last, on `device`."""
    card: Card
    device: torch.device
    input_bytes: int = 0
    """What the network holds at a time for one input; 0 where it is not known."""

    @property
    def target(self) -> Task:
        """What the outputs mean."""
        return self.card.target

    @property
    def headline(self) -> str:
        """The network, its input, what it answers, and its last result."""
        return described.headline(self.card)

    def cells(self) -> Cells:
        """Return what the file says of itself, a row for each fact."""
        return Cells(columns=("fact", "value"), rows=described.facts(self.card, self.model, self.device))

    @property
    def preprocess(self) -> Preprocessing:
        """How a sample becomes the input."""
        return self.card.preprocess

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in index order; empty if the task has none."""
        return self.target.classes

    @property
    def task(self) -> str:
        """The name of the task: `classes`, `number`, ..."""
        return self.target.name

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""
        return float(self.card["temperature"])

    def predict(self, images: Picture | Iterable[Picture], *, batch: int = 256) -> list[Prediction]:
        """Return one prediction per image.

        `images` is a path, the bytes of a file, a PIL image, a uint8 array (H, W) or (H, W, C), a batch (N, H, W, C),
        or a list of any.

        Raises:
            ImageError: a file that cannot be decoded, or an image of several tiles, for a network that sees these.
            UsageError: an array or object that is not an image.
        """
        pixels = [self._read_whole(image) for image in listed(images, self._axes)]
        if not pixels:
            return []
        return [self.target.prediction(row) for row in self.scores(np.stack(pixels), batch=batch)]

    def scores(self, pixels: Images, protocol: Protocol = PLAIN, *, batch: int = 256) -> NDArray[np.float64]:
        """Return (N, classes) probabilities, or (N, 1) numbers, for (N, H, W, C) uint8 as `preprocess` returns them."""
        return self.target.decode(self.outputs(pixels, protocol, batch=batch))

    def outputs(
        self, pixels: Images, protocol: Protocol = PLAIN, *, batch: int = 256, progress: Progress | None = None
    ) -> Tensor:
        """Return float32 outputs (N, K), on the CPU, for decoded images (N, h, w, C) uint8; means over the views.

        Of targets that lie on images they are condensed. Raises: BundleError if one is not finite.
        """
        return predict_logits(
            self.model,
            pixels,
            self.preprocess,
            device=self.device,
            protocol=protocol,
            batch=batch_within(batch, self.input_bytes),
            progress=progress,
            keep=self._kept,
            unmirrored=self.target.unmirrored,
        )

    def logits(self, pixels: Images, *, batch: int = 256) -> NDArray[np.float32]:
        """Return the network's outputs (N, K, ...) as they are, for decoded images; errors as `outputs`."""
        each = batch_within(batch, self.input_bytes)
        found: NDArray[np.float32] = predict_logits(
            self.model, pixels, self.preprocess, device=self.device, batch=each, keep=_finite
        ).numpy()
        return found

    def _kept(self, outputs: Tensor, first: int) -> Tensor:
        return self.target.condensed(_finite(outputs, first))

    def inputs(self, images: Picture | Iterable[Picture] | Tensor) -> Tensor:
        """Return the input of the network: float32 (N, C, H, W), normalised, on its device.

        Of pixels 0..255 as a float tensor (N, C, H, W) it is a differentiable function: explanations ask what a pixel
        counts.
        """
        prepare = inputs.kind_of(self.preprocess).network_input(self.preprocess, self.device)
        if isinstance(images, Tensor):
            return prepare(images.to(self.device))
        return self.inputs_of(np.stack([self.read(image) for image in listed(images, self._axes)]))

    def inputs_of(self, samples: Stored) -> Tensor:
        """Return the input of the network of stored samples, (N, H, W, C) uint8: float32 (N, C, H, W), normalised."""
        prepare = inputs.kind_of(self.preprocess).network_input(self.preprocess, self.device)
        return prepare(prepare.arranged(samples))

    @property
    def blank(self) -> Tensor:
        """(1, C, H, W) float32 zeros on the network's device: an input, for what asks only how it is made."""
        return torch.zeros(1, *self.preprocess.shape, device=self.device)

    def first_layer(self) -> NDArray[np.float32] | None:
        """Return the weights of the first layer as images, (F, C, k, k); None if they are none."""
        return first_filters(self.model, self.preprocess.shape)

    def read(self, image: Picture) -> Stored:
        """Return a path, the bytes of a file, a PIL image or an array as one stored sample: (H, W, C) uint8 0..255."""
        return read_sample(image, self.preprocess)

    def _read_whole(self, image: Picture) -> Stored:
        check_one_tile(image, self.preprocess)
        return self.read(image)

    @property
    def _axes(self) -> int:
        """How many axes the array of one sample has at most."""
        return len(self.preprocess.stored_shape)


def _finite(outputs: Tensor, _: int) -> Tensor:
    """Return the outputs of a batch. Raises: BundleError if one is not finite."""
    if not outputs.isfinite().all():
        raise BundleError("The network's outputs are not finite: its weights, or its mean and std, are corrupted.")
    return outputs


def save_bundle(path: str | Path, model: nn.Module, card: Card, *, coded: bool | None = None) -> None:
    """Write the model file: whole under its final name, or not at all.

    Tensors that are `coded` take fewer bytes where they have few values or many zeros, and come back to the bit; None
    codes those of a network that was read from a coded file.

    Raises:
        BundleError: a card or weights that `load` would not accept; nothing is written.
        StorageError: the disk is full or the folder is read-only; what was at `path` is still there.
    """
    path = Path(path)
    tensors: Mapping[str, Tensor] = {
        # safetensors refuses channels-last tensors, and views that share memory
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in _tensors_once(model).items()
    }
    form = tensors_of.coded if (bool(card.coding) if coded is None else coded) else tensors_of.uncoded
    tensors, card = form(tensors, card)
    content = save(dict(tensors), {"fovea": card.text(path.name)})
    _check(header_in(content, path), model, path=path)
    write_atomically(path, content)


def load(path: str | Path, *, model: nn.Module | None = None, device: str = "cpu") -> Bundle:
    """Return the network in the file `path`, or in the run folder `path`, ready to predict.

    `model` is needed for a `custom` bundle, whose code the file does not hold: `load("net.safetensors", model=Net())`.
    `device` is `cpu`, `cuda`, `mps`, or `auto` for the best one here.

    Raises:
        BundleError: the file is truncated, foreign, hostile, of a newer format, or does not fit its network.
        StorageError: the file cannot be read.
        UsageError: `model` is no network, or this machine has no such `device`.
    """
    if not isinstance(model, nn.Module | None):
        raise UsageError(f"`model` (={model!r}) must be a network, a torch.nn.Module: `Net()`, not `Net`.")
    path, place = model_file(path), device_named(device)
    card, shapes = read_header(path)
    if model is None:
        virtual = _check_fit(card, shapes, path=path)
        # a changed network was larger: it is never built with values, which may take more memory than the file
        network = (_filled(virtual) if card.changes else None) or _build(card, path, device="cpu")
    else:
        network = _changed(_settled(model, card, path), card, shapes, path=path)
    _check_shapes(network, shapes, path=path)
    input_bytes = _input_bytes(network, card, own=model is None, path=path)
    try:
        tensors = tensors_of.read_tensors(path, card.coding)
        network.load_state_dict(_with_aliases(network, tensors))
    except (SafetensorError, RuntimeError, OSError, BundleError) as error:
        raise BundleError(f"`{path.name}` is damaged: {first_line(error)}.") from error
    _check_values(network, path=path)
    return Bundle(model=placed(network, place).eval(), card=card, device=place, input_bytes=input_bytes)


def _check(header: Header, model: nn.Module, *, path: Path) -> None:
    """Raise BundleError for a file of this header and the tensors of `model` that `load` would refuse."""
    own = header.card.architecture != CUSTOM
    if own:
        _check_fit(header.card, header.shapes, path=path)
    _input_bytes(copied(model), header.card, own=own, path=path)
    _check_values(model, path=path)


def _check_fit(card: Card, shapes: Mapping[str, tuple[int, ...]], *, path: Path) -> nn.Module:
    """Compare what a card, hostile maybe, asks for with what the file holds, before it takes memory.

    Return the network that the card asks for, without values.
    """
    _check_lists(card, len(shapes), path=path)
    virtual = _build(card, path, device="meta")
    _check_shapes(virtual, shapes, path=path)
    _check_input(card, path=path)
    return virtual


def _filled(virtual: nn.Module) -> nn.Module | None:
    """Return a network without values with memory for those of a file; None if it has values that no file holds."""
    held: dict[int, object] = {
        id(tensor): nn.Parameter(torch.empty_like(tensor, device="cpu"), tensor.requires_grad)
        if isinstance(tensor, nn.Parameter)
        else torch.empty_like(tensor, device="cpu")
        for tensor in virtual.state_dict(keep_vars=True).values()
    }
    network = copy.deepcopy(virtual, held)
    own = chain.from_iterable(vars(module).values() for module in network.modules())
    rest = [*network.parameters(), *network.buffers(), *(value for value in own if isinstance(value, Tensor))]
    return None if any(tensor.is_meta for tensor in rest) else network


def _check_values(model: nn.Module, *, path: Path) -> None:
    if found := spoilt(model, model.state_dict()):
        raise BundleError(f"`{path.name}` contains {found}; train it again.")


def _build(card: Card, path: Path, *, device: str) -> nn.Module:
    """Return the network of the card, its weights not set; on the device `meta` it takes no memory."""
    name = card.architecture
    if name == CUSTOM:
        raise BundleError(
            f"`{path.name}` contains a custom network, whose code is not in the file. "
            f'In Python use `fovea.load("{path.name}", model=Net())`.'
        )
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device), Unfilled():
            return _after_changes(registry.build(name, **card.arguments), card)
    except Exception as error:  # whatever a builder makes of a hostile argument
        raise BundleError(f"`{path.name}` names a network that cannot be built: {first_line(error)}") from error


def _after_changes(model: nn.Module, card: Card) -> nn.Module:
    """Return a network after the changes of the card, made in place."""
    if not card.changes:
        return model
    from fovea.compression.changes import changed  # most files have none, and need not wait for it

    return changed(model, card.changes)


def _changed(model: nn.Module, card: Card, shapes: Mapping[str, tuple[int, ...]], *, path: Path) -> nn.Module:
    """Return a network of the user's own after the changes of the card, made in place if they lead to these shapes."""
    if not card.changes:
        return model
    try:
        # first on a copy that takes no memory, whatever the card asks for
        _check_shapes(_after_changes(copied(without_values(model)), card), shapes, path=path)
        return _after_changes(model, card)
    except UsageError as error:
        raise BundleError(f"`{path.name}`: its changes do not match this network: {first_line(error)}") from error


def _settled(model: nn.Module, card: Card, path: Path) -> nn.Module:
    """Return a network whose lazy layers have got the shapes that the inputs of the card ask for, in place."""
    if not any(map(nn.parameter.is_lazy, model.state_dict(keep_vars=True).values())):
        return model
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, *card.preprocess.shape))
    except Exception as error:  # a user's network may raise anything
        shape = "x".join(map(str, card.preprocess.shape))
        raise BundleError(f"`{path.name}`: the network fails on inputs of {shape}: {first_line(error)}") from error
    return model.train(training)


def _check_lists(card: Card, tensors: int, *, path: Path) -> None:
    """Raise BundleError if an argument lists more layers than the file has tensors."""
    for key, value in card.arguments.items():
        if isinstance(value, list) and len(value) > tensors:
            raise BundleError(f"`{path.name}`: `{key}` lists {len(value)} layers but there are {tensors} tensors.")


def _check_shapes(model: nn.Module, found: Mapping[str, tuple[int, ...]], *, path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in _tensors_once(model).items()}
    faults = {
        "Missing": expected.keys() - found.keys(),
        "Unexpected": found.keys() - expected.keys(),
        "With a different shape": {name for name in expected.keys() & found.keys() if expected[name] != found[name]},
    }
    if any(faults.values()):
        text = " ".join(f"{fault}: {quoted(names)}." for fault, names in faults.items() if names)
        raise BundleError(f"`{path.name}` does not match its network. {text}")


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


def _check_input(card: Card, *, path: Path) -> None:
    """Raise BundleError if the network was built for other images than the preprocessing makes."""
    # what the card leaves out has its builder's default
    shape, arguments = card.preprocess.shape, registry.arguments_of(card.architecture, **card.arguments)
    arguments = {**card.arguments, **arguments}
    sizes: dict[str, int] = {}
    for name, size in registry.axes_of(shape):
        sizes[name] = max(size, sizes.get(name, 1))  # of an image that is no square the longer side, as it was built
    if any(arguments.get(name, size) != size for name, size in sizes.items()):
        made = "x".join(map(str, shape))
        raise BundleError(f"`{path.name}`: its network was not built for {made}, which its preprocessing produces.")


def _input_bytes(model: nn.Module, card: Card, *, own: bool, path: Path) -> int:
    """Return what the network holds for one input; one that is not our `own` may fail on the empty batch that tells.

    Raises:
        BundleError: it is too much, or such an input does not pass through the network.
    """
    shape = card.preprocess.shape
    made = "x".join(map(str, shape))
    try:
        needed = one_input_bytes(model, shape)
    except Exception as error:  # a network may raise anything
        if own:
            reason = f"its network fails on {made}, which its preprocessing produces: {first_line(error)}"
            raise BundleError(f"`{path.name}`: {reason}.") from error
        needed = 4 * math.prod(shape)
    if excess := INPUT.excess(needed):
        raise BundleError(f"`{path.name}`: one input of {made} would need {excess}.")
    return needed
