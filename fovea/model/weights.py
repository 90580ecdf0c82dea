"""Published weights: fitted to a network of ours, every tensor checked.

Whose names a file has is found by trying: ours, then those of each library that has the same network; each as they
stand, and without what tools put around a network.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.card import licences_of
from fovea.data.sources.archives import Progress
from fovea.data.sources.download import fetch
from fovea.errors import BundleError, StorageError, UsageError, listed
from fovea.model.naming import unwrapped
from fovea.model.reading import SUFFIXES, WeightsFile
from fovea.model.reading import card_of as card_of
from fovea.model.reading import read_weights as read_weights
from fovea.model.values import spoilt
from fovea.registry import Peer
from fovea.storage import cache_root

OWN = "fovea"
"""The naming of our own files."""
IMAGENET = "imagenet"
"""Stands for the published ImageNet weights of a network instead of a path."""
DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
BLUE_FIRST = "bgr"
"""What an origin says of the channels of a file whose network takes blue first."""
UNCOUNTED = ".num_batches_tracked"
AUXILIARY = re.compile(r"aux\d+\.")
"""Heads that help in training only: a file may have them where the network has not, and the other way round."""


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
    reversed: bool = False
    """Whether the network of the file takes blue first; mean and std stand for red first all the same."""
    known: bool
    """Whether the normalisation is that of these weights: they are published ones, or a model file of ours."""

    def assumption(self) -> str:
        """Return what is assumed of the normalisation."""
        values = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"`{self.file}` does not say how pixels are normalised; used are mean {' and std '.join(values)}"

    def to_dict(self) -> dict[str, str]:
        """Return what a card says of it, as JSON values."""
        channels = {"channels": BLUE_FIRST} if self.reversed else {}
        return {"file": self.file, "naming": self.naming, "sha256": self.sha256, **channels}


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


def load_into(model: nn.Module, file: WeightsFile, *, network: str, new_head: bool = False) -> Origin:
    """Give `model`, a network called `network` (or `custom`), the tensors of `file`, and return where they are from.

    With `new_head` what does not fit in the head keeps its initial values.

    Raises:
        BundleError: tensors are missing, unexpected or of another shape under every naming; nothing was changed.
    """
    peers = {} if network == "custom" else registry.entry(network).peers
    namings = {OWN: Peer(network), **peers}
    state = model.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    trials = [
        (naming, _trial({own: file.tensors[there] for there, own in meant.items()}, wanted, peer.renamed, new_head))
        for meant in unwrapped(file.tensors)
        for naming, peer in namings.items()
    ]
    naming, fit = min(trials, key=lambda trial: trial[1].faults)
    if fit.faults:
        raise BundleError(
            f"`{file.path.name}` does not match `{network}`, with the layer names of {naming}.{fit.described()}"
        )
    converted = _numbers(fit.tensors, state, file=file.path.name)
    if found := spoilt(model, converted):
        raise BundleError(f"`{file.path.name}` contains {found}; use the file of another epoch.")
    model.load_state_dict({**state, **converted})
    return _origin(file, namings[naming], naming=naming, new=tuple(fit.new))


def _numbers(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, file: str) -> dict[str, Tensor]:
    """Return the tensors in the types `wanted`.

    Raises:
        BundleError: whole or complex numbers where real ones are wanted.
    """
    # a quantised tensor of PyTorch brings its scale
    plain = {name: tensor.dequantize() if tensor.is_quantized else tensor for name, tensor in tensors.items()}
    real = [name for name in plain if wanted[name].dtype.is_floating_point]
    if wrong := [name for name in real if not plain[name].dtype.is_floating_point]:
        kind = str(plain[wrong[0]].dtype).removeprefix("torch.")
        raise BundleError(
            f"`{file}` has {kind} instead of real numbers in {listed(wrong, most=3)}: quantised weights without "
            "their scale. Use the file from before quantisation, or multiply by the scale and save float32."
        )
    return {name: tensor.to(wanted[name].dtype) for name, tensor in plain.items()}


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
        lists = {"Missing": self.missing, "Unexpected": self.unexpected, "With a different shape": self.misshapen}
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
        licence = licences_of(file.card).get("weights", "unknown")
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
        raise UsageError(f"No published weights of `{entry.name}` are known; give a file, or another network.")
    name = address.rpartition("/")[2]
    homes = _homes()
    for folder in homes:
        if (folder / name).is_file():
            return folder / name
    return fetch(address, homes[-1] / name, checksum=f"sha256:{digest[1]}", progress=progress)


def _homes() -> list[Path]:
    """Return the folders in which weights are searched for; the last is where they are downloaded to."""
    data = os.environ.get("FOVEA_DATA")
    return [*([Path(data) / "weights"] if data else []), cache_root() / "downloads" / "weights"]
