"""Published weights: read from other libraries' files, fitted to a network of ours, every tensor checked.

Whose names a file has is found by trying: ours, then those of each library that has the same network.
"""

import contextlib
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.data.sources.archives import Progress
from fovea.data.sources.download import checksum_of, fetch
from fovea.errors import BundleError, StorageError, UsageError, first_line, listed
from fovea.model.container import read_card
from fovea.model.keras import read_keras
from fovea.registry import Peer
from fovea.storage import cache_root

SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".h5")
OWN = "fovea"
"""The naming of our own files."""
IMAGENET = "imagenet"
"""Stands for the published ImageNet weights of a network instead of a path."""
DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
UNCOUNTED = ".num_batches_tracked"
AUXILIARY = re.compile(r"aux\d+\.")
"""Heads that help in training only: a file may have them where the network has not, and the other way round."""


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The tensors of a file under the names they have there, and its card where it is a model file of ours."""

    path: Path
    tensors: Mapping[str, Tensor]
    sha256: str
    card: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a network's weights come from, and what belongs to them."""

    file: str
    naming: str
    """`fovea`, or the library whose names the tensors have: `torchvision`, `timm`, ..."""
    sha256: str
    licence: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """How pixels from 0 to 1 are normalised for these weights, per channel."""
    new: tuple[str, ...]
    """Tensors of the head that the file does not have in this shape: they keep their initial values."""
    known: bool
    """Whether the normalisation is that of these weights: they are published ones, or a model file of ours."""

    def assumption(self) -> str:
        """Return what is assumed of the normalisation."""
        values = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"`{self.file}` does not say how pixels are normalised; taken are mean {' and std '.join(values)}"

    def to_dict(self) -> dict[str, str]:
        """Return what a card says of it, as JSON values."""
        return {"file": self.file, "naming": self.naming, "sha256": self.sha256}


def build(name: str, *, weights: str | Path | None = None, **arguments: object) -> nn.Module:
    """Return a new network, `build("resnet18", classes=5, c_in=3, size=128)`, with the `weights` of a file.

    What is not given has the paper's value. `size` (pixels of the square input) is ignored by networks that take any.
    `weights` is a path, or `imagenet` for the published file, downloaded once. Where `classes` is given and the file
    is for others, the head stays new.

    Raises:
        UsageError: an unknown name or argument, a value that is not allowed, or no published weights.
        ShapeError: `size` is too small for the network.
        BundleError: a file that is damaged, foreign, or of another network.
        StorageError: a file that cannot be read or downloaded.
    """
    model = registry.build(name, **arguments)
    if weights is not None:
        file = published_file(name) if str(weights) == IMAGENET else weights
        load_into(model, read_weights(file), network=registry.resolve(name), new_head="classes" in arguments)
    return model


def read_weights(path: str | Path) -> WeightsFile:
    """Return the tensors in a `.pth` of torchvision, a `.safetensors` of timm, a `.h5` of Keras, or a file of ours.

    Nothing in the file runs. Tensors come to the CPU; `state_dict` around them and `module.` before all their names
    are taken off.

    Raises:
        BundleError: the file is damaged or holds something else.
        StorageError: the file cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise BundleError(f"`{path.name}` is no weights file that is read here; those are {', '.join(SUFFIXES)}.")
    try:
        sha256 = checksum_of(path, "sha256").partition(":")[2]
        if path.suffix == ".safetensors":
            return WeightsFile(path=path, sha256=sha256, tensors=load_file(path), card=card_of(path))
        if path.suffix == ".h5":
            return WeightsFile(path=path, sha256=sha256, tensors=read_keras(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickle protocols: whether they can be read is seen at once
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        return WeightsFile(path=path, sha256=sha256, tensors=_tensors(loaded, path))
    except OSError as error:
        raise StorageError(f"`{path}` cannot be read: {error.strerror or error}.") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(
            f"`{path.name}` is half a download or no weights file, and nothing of it was used or run: "
            f"{_reason(error)}. Fetch it again."
        ) from error


def _reason(error: Exception) -> str:
    """Return what a reader found, in one sentence; PyTorch's own advice for pickles is to run what is in them."""
    if isinstance(error, SafetensorError | RuntimeError):
        return first_line(error).partition(". ")[0].rstrip(".:")
    return "it is no pickle of tensors alone"


def load_into(model: nn.Module, file: WeightsFile, *, network: str, new_head: bool = False) -> Origin:
    """Give `model`, a network called `network` (or `custom`), the tensors of `file`, and return where they are from.

    With `new_head` what does not fit in the head keeps its initial values.

    Raises:
        BundleError: tensors are missing, unexpected or of another shape under every naming; nothing was changed.
    """
    peers = {} if network == "custom" else registry.entry(network).peers
    namings = {OWN: Peer(network), **peers}
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    trials = {naming: _trial(file.tensors, wanted, peer.renamed, new_head) for naming, peer in namings.items()}
    naming = min(trials, key=lambda name: trials[name].faults)
    fit = trials[naming]
    if fit.faults:
        raise BundleError(
            f"`{file.path.name}` does not fit `{network}`, compared by the names of {naming}.{fit.described()}"
        )
    kept = {name: tensor for name, tensor in model.state_dict().items() if name not in fit.tensors}
    model.load_state_dict({**kept, **fit.tensors})
    return _origin(file, namings[naming], naming=naming, new=tuple(fit.new))


class _Trial(NamedTuple):
    """What comes of a file's tensors under one naming."""

    tensors: dict[str, Tensor]
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]
    new: list[str]

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    def described(self) -> str:
        lists = {"Missing": self.missing, "Unexpected": self.unexpected, "Of another shape": self.misshapen}
        return "".join(f" {fault} ({len(names)}): {listed(names, most=3)}." for fault, names in lists.items() if names)


def _trial(
    given: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], renamed: Callable[[str], str], new_head: bool
) -> _Trial:
    """Return what of `given` fits the shapes `wanted`, under our names, and all that does not."""

    def may_differ(name: str) -> bool:
        return bool(AUXILIARY.match(name)) or (new_head and name.startswith("head."))

    theirs = {renamed(name): name for name in given}
    fits = {n for n in theirs.keys() & wanted.keys() if _squeezed(given[theirs[n]].shape) == _squeezed(wanted[n])}
    rest = [name for name in wanted if name not in fits and (name in theirs or not name.endswith(UNCOUNTED))]
    strict = [name for name in rest if not may_differ(name)]
    foreign = [name for name in theirs if name not in wanted and not may_differ(name)]
    return _Trial(
        # a dense layer is a 1x1 convolution in some libraries
        tensors={name: given[theirs[name]].reshape(wanted[name]) for name in fits},
        missing=[name for name in strict if name not in theirs],
        unexpected=[theirs[name] for name in foreign] + [n for n in given if theirs[renamed(n)] != n],
        misshapen=[f"{n} {tuple(given[theirs[n]].shape)}, not {wanted[n]}" for n in strict if n in theirs],
        new=[name for name in rest if may_differ(name)],
    )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _origin(file: WeightsFile, peer: Peer, *, naming: str, new: tuple[str, ...]) -> Origin:
    published = peer.weights.endswith(f"/{file.path.name}")
    if file.card is None:
        licence = peer.licence if published else "unknown"
        mean, std = peer.mean, peer.std
    else:
        licence = file.card.get("licences", {}).get("weights", "unknown")
        mean, std = (tuple(file.card["preprocess"][name]) for name in ("mean", "std"))
    return Origin(
        file=file.path.name,
        naming=naming,
        sha256=file.sha256,
        licence=licence,
        mean=mean,
        std=std,
        new=new,
        known=published or file.card is not None,
    )


def network_of(path: str | Path) -> str | None:
    """Return the network that a file is for: by its card, or by its name, as `mobilenet_v2-b0353104.pth`; else None."""
    path = Path(path)
    card = card_of(path)
    if card is not None:
        return str(card["architecture"])
    entries = [registry.entry(name) for name in registry.names()]
    published = {peer.weights.rpartition("/")[2]: entry.name for entry in entries for peer in entry.peers.values()}
    known = {peer.name: entry.name for entry in entries for peer in entry.peers.values()}
    known |= {entry.name: entry.name for entry in entries}
    return published.get(path.name) or known.get(path.name.partition(".")[0].partition("-")[0])


def at_hand() -> dict[str, Path]:
    """Return the weights files in `$FOVEA_DATA/weights` and in the cache by network; model files of ours go first."""
    found: dict[str, Path] = {}
    for folder in _homes():
        files = sorted(file for file in folder.glob("*") if file.suffix in SUFFIXES)
        for file in sorted(files, key=lambda file: file.suffix != ".safetensors"):
            with contextlib.suppress(BundleError, StorageError):  # a damaged file is none at hand
                if (network := network_of(file)) is not None:
                    found.setdefault(network, file)
    return found


def published_file(network: str, *, progress: Progress | None = None) -> Path:
    """Return the published ImageNet weights of a network: from `$FOVEA_DATA/weights`, the cache, or downloaded.

    The digits at the end of the file's name are the first of its SHA-256 and are checked.

    Raises:
        UsageError: none are published, as far as is known here.
        StorageError: they cannot be downloaded; what has come is kept, and the next call resumes.
        DataError: another file came.
    """
    entry = registry.entry(network)
    address = next((peer.weights for peer in entry.peers.values() if peer.weights), "")
    digest = DIGEST.search(address)
    if digest is None:
        raise UsageError(f"No published weights of `{entry.name}` are known here; give a file, or another network.")
    name = address.rpartition("/")[2]
    homes = _homes()
    for folder in homes:
        if (folder / name).is_file():
            return folder / name
    return fetch(address, homes[-1] / name, checksum=f"sha256:{digest[1]}", progress=progress)


def _homes() -> list[Path]:
    """Return the folders in which weights are looked for; the last is where they are downloaded to."""
    data = os.environ.get("FOVEA_DATA")
    return [*([Path(data) / "weights"] if data else []), cache_root() / "downloads" / "weights"]


def card_of(path: str | Path) -> Mapping[str, Any] | None:
    """Return the card of a model file of ours; None for another library's. Errors as `read_weights`."""
    path = Path(path)
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            ours = "fovea" in (file.metadata() or {})
    except SafetensorError as error:
        raise BundleError(f"`{path.name}` is damaged: {first_line(error)}.") from error
    except OSError as error:
        raise StorageError(f"`{path}` cannot be read: {error.strerror or first_line(error)}.") from error
    return read_card(path) if ours else None


def _tensors(loaded: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in what a `.pth` holds."""
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise BundleError(f"`{path.name}` holds no state dict: a mapping from names to tensors.")
    wrapped = all(name.startswith("module.") for name in state)
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in state.items()}
