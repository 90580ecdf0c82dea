"""The networks by name: how each is built and what its paper says of it. Knows no network itself."""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fovea.errors import FoveaError, UsageError, unknown
from fovea.texts import parse_value

if TYPE_CHECKING:  # for annotations only: this file needs no PyTorch
    from torch import nn

    Network = TypeVar("Network", bound=Callable[..., nn.Module])

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's pixels from 0 to 1, as most published weights want them normalised."""

_COUNTS = ("classes", "c_in", "size", "frames")
"""What a network may be asked for: `size` is the side of square images and of clips, or the length of a series.

`classes` is how many it separates, in points networks how many points.

`size` and `frames`, which only networks for clips know, reach those alone that flatten a map into a dense layer or
refuse what is too small for them.
"""
ANSWERS = {
    "classes": "one prediction for the whole input: classes, labels or a number",
    "masks": "a class for every pixel",
    "boxes": "objects: a class and a box for each",
    "points": "the positions of named points",
}
"""What a network's outputs are for, and so which kinds of target it can learn."""
FORMS = {
    "masks": {
        "logits": "(N, K, H, W), of the input's size unless the network says otherwise",
    },
    "boxes": {
        "centres": "(N, K + 4, H / 4, W / 4): logits of centres, then log distances to the sides, in strides",
        "anchors": "(N, A, K + 4): logits and offsets from the boxes that `model.anchors(size)` returns",
        "yolo": "(N, 2 (4 + 1) + K, H / 64, W / 64): for each cell, two boxes with their confidence, then K scores",
        "yolo2": "(N, 5 (4 + 1 + K), H / 32, W / 32): for each cell, five anchors with box, confidence and K logits",
        "one": "(N, K + 4): logits, then x0, y0, x1, y1 of one box, relative to the input's sides",
    },
    "points": {
        "heat maps": "(N, P, H / 4, W / 4): logits of the position of each point",
        "coordinates": "(N, 2 P): x, y of each point, relative to the input's sides",
    },
}
"""By what a network answers, the forms that its one output may have."""
KINDS = {
    2: "series (channels x length)",
    3: "images (channels x height x width)",
    4: "clips (channels x frames x height x width)",
}
"""By how many sizes an input has, what it is."""
_AXES = {2: ("size",), 3: ("size", "size"), 4: ("frames", "size", "size")}
"""By how many sizes an input has, the argument that each of them is, behind the channels."""


class Peer(NamedTuple):
    """The same network in another library: its name there, how its tensors' names become ours, published weights."""

    name: str
    rules: tuple[tuple[str, str], ...] = ()
    """(pattern, replacement) of regular expressions, applied one after the other to every tensor name there."""
    weights: str = ""
    """Address of published ImageNet weights, if any; the file's name ends in the first digits of its SHA-256."""
    licence: str = ""
    """Licence of those weights."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """What trained weights of this library subtract from pixels from 0 to 1, per channel."""
    std: tuple[float, ...] = IMAGENET_STD
    """What they divide by then."""

    def renamed(self, name: str) -> str:
        """Return our name of the tensor called `name` there."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of a network at its default arguments."""

    name: str
    family: str
    """The file of the zoo that declares it: `resnet`."""
    paper: str
    """Where it is described: `arXiv:...`, `doi:...`, the conference where there is neither, an address where there is
    no paper, or `this project`."""
    title: str
    year: int
    authors: str = ""
    """As one cites them: `He et al.`"""
    input: tuple[int, ...]
    """What `params` and `macs` hold for: images (C, H, W), series (C, T) or clips (C, T, H, W)."""
    params: int
    """Trainable parameters."""
    macs: int
    """Multiply-adds of convolutions and dense layers for one input; biases not counted."""
    answers: str = "classes"
    """What its outputs are for: one of `ANSWERS`. Kinds of target choose among networks that answer what they ask."""
    form: str = ""
    """The form of its output, one of `FORMS[answers]`; empty for those that answer `classes`."""
    top1: float | None = None
    """Published top-1 accuracy on ImageNet's validation split, one centre crop, in percent."""
    top5: float | None = None
    """Published top-5 accuracy, likewise."""
    published: str = ""
    """Where `top1` and `top5` are printed, and their protocol where it is not one centre crop."""
    decks: tuple[str, ...] = ()
    """Numbers of the lecture decks that show it: `000` to `004`."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it is trained where nothing else is asked for, by fields of `Plan` and `Recipe`; the rest is chosen."""
    peers: Mapping[str, Peer] = field(default_factory=dict)
    """The same network by library: `torchvision`, `timm`, `keras`, or `akamaster` (CIFAR-10)."""

    def to_dict(self) -> dict[str, Any]:
        """Return all as JSON values, peers without their rules."""
        peers = {
            library: {"name": peer.name, "weights": peer.weights, "licence": peer.licence}
            for library, peer in self.peers.items()
        }
        return {**vars(self), "input": list(self.input), "decks": list(self.decks), "peers": peers}


_builders: "dict[str, Callable[..., nn.Module]]" = {}
_entries: dict[str, Entry] = {}


def register(**facts: Any) -> "Callable[[Network], Network]":
    """Return a decorator that makes a builder known under its own name, with an `Entry` of these `facts`."""

    def add(builder: "Network") -> "Network":
        name = builder.__name__
        if name in _builders:
            raise UsageError(f"A network named `{name}` is already registered; choose another name.")
        _builders[name] = builder
        _entries[name] = Entry(name=name, family=builder.__module__.rpartition(".")[2], **facts)
        return builder

    return add


def names() -> tuple[str, ...]:
    """Return the names of all networks, sorted."""
    return tuple(sorted(_builders))


def resolve(name: str) -> str:
    """Return the name under which the network `name` is registered; names of torchvision and timm stand for ours.

    Raises:
        UsageError: an unknown name, with its neighbours.
    """
    if name in _builders:
        return name
    # searched on demand: networks register themselves one by one
    aliases = {
        entry.peers[library].name: own
        for library in ("timm", "torchvision")  # where both use a name, the latter's
        for own, entry in _entries.items()
        if library in entry.peers
    }
    if name not in aliases:
        raise unknown("network", name, {*_builders, *aliases}, see="`fovea models` lists them.")
    return aliases[name]


def entry(name: str) -> Entry:
    """Return the entry of the network `name`."""
    return _entries[resolve(name)]


def answering(answers: str, form: str = "") -> tuple[str, ...]:
    """Return the names of the networks that answer `answers`, of `ANSWERS`, in this form if one is given; sorted."""
    return tuple(name for name in names() if _entries[name].answers == answers and form in ("", _entries[name].form))


def require_answer(name: str, answers: str, forms: Sequence[str] = ()) -> None:
    """Raise UsageError if the network `name` answers something else, or in none of these forms, if any are given."""
    found = entry(name)
    fitting = [near for form in forms or ("",) for near in answering(answers, form)]
    if found.name in fitting:
        return
    what = found.answers if found.answers != answers else f"{answers} as `{found.form}`"
    wanted = " or ".join(f"`{form}`" for form in forms) if found.answers == answers else answers
    near = ", ".join(f"`{name}`" for name in fitting[:3])
    raise UsageError(
        f"`{found.name}` predicts {what}, not {wanted}; use {near or 'a network of your own'} "
        f"(`fovea models --answers {answers}` lists them)."
    )


def axes_of(shape: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Return each size of an input, channels first, beside the argument that it is to a builder.

    >>> axes_of((3, 16, 112, 112))
    (('c_in', 3), ('frames', 16), ('size', 112), ('size', 112))
    """
    C, *sizes = shape
    return (("c_in", C), *zip(_AXES.get(len(shape), ("size",) * len(sizes)), sizes, strict=True))


def fitted(name: str, shape: Sequence[int]) -> dict[str, object]:
    """Return the arguments that build the network for inputs of `shape`, channels first.

    >>> fitted("vgg16", (1, 96, 64))
    {'c_in': 1, 'size': 96}

    Raises:
        UsageError: the network sees inputs with another number of axes.
    """
    known = entry(name).input
    if len(shape) not in (1, len(known)):
        seen, given = ("x".join(map(str, sizes)) for sizes in (known, shape))
        raise UsageError(
            f"`{name}` takes {KINDS[len(known)]} of the form {seen}; {given} has a different number of dimensions."
        )
    found: dict[str, int] = {}
    for argument, size in axes_of(shape):
        found[argument] = max(size, found.get(argument, 1))
    return dict(found) if len(shape) > 1 else {**found, "size": 1}


def build(name: str, **arguments: object) -> "nn.Module":
    """Return a new network: `build("resnet18", classes=5, c_in=3, size=128)`.

    What is not given has the paper's value. `size` (side of square images or clips, length of a series) is ignored by
    networks that take any, and so are the `frames` of clips. Some take more: `arguments_of(name)` lists them.

    Raises:
        UsageError: an unknown name or argument, or a value that is not allowed.
        ShapeError: `size` is too small for the network.
    """
    name = resolve(name)
    resolved = arguments_of(name, **arguments)
    try:
        return _builders[name](**resolved)
    except ValueError as error:
        # a ShapeError stays one; a plain ValueError from PyTorch becomes an error of use
        kind = type(error) if isinstance(error, FoveaError) else UsageError
        raise kind(f"Network `{name}`: {error}") from error


def arguments_of(name: str, **arguments: object) -> dict[str, object]:
    """Return all arguments the network is built with, defaults included, as JSON can hold them.

    `build(name, **arguments_of(name, **arguments))` and `build(name, **arguments)` are the same network.

    >>> arguments_of("lenet5", classes=7)
    {'classes': 7, 'c_in': 1, 'size': 32}
    """
    name = resolve(name)
    defaults = {key: value.default for key, value in inspect.signature(_builders[name]).parameters.items()}
    # `_COUNTS` are checked, and then dropped where this network does not take them
    known = _COUNTS if len(_entries[name].input) == 4 else _COUNTS[:-1]  # only clips have frames
    allowed = defaults | {key: 1 for key in known if key not in defaults}
    for key, value in arguments.items():
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else "."
            raise UsageError(f"`{name}` has no argument `{key}`{hint} Its arguments are {', '.join(sorted(allowed))}.")
        _check(key, value, allowed[key])
    resolved = defaults | {key: value for key, value in arguments.items() if key in defaults}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in resolved.items()}


def body_of(name: str, arguments: Mapping[str, object]) -> str:
    """Return the network whose weights fit all but the head: the backbone, where a network is built on one.

    >>> body_of("unet_on", {"backbone": "mobilenet_v2"}), body_of("lenet5", {})
    ('mobilenet_v2', 'lenet5')
    """
    return str(arguments.get("backbone", name))


def parsed(name: str, key: str, text: str) -> object:
    """Return `text` as a value of the network's argument `key`, in the type of its default.

    >>> parsed("mlp", "widths", "64, 32")
    [64, 32]

    Raises:
        UsageError: it cannot be read as one.
    """
    default: Any = (dict.fromkeys(_COUNTS, 1) | arguments_of(name))[key]
    try:
        value: object = parse_value(text, default)
        return value
    except ValueError:
        kind = "integers separated by commas" if isinstance(default, list) else f"a {type(default).__name__}"
        raise UsageError(f"`{key}` of `{name}` must be {kind}, not `{text}`.") from None


def parsed_arguments(name: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments, text in the type of its default; what the network does not take stays, to be refused."""
    known = {"frames", *arguments_of(name)}
    return {
        key: parsed(name, key, value) if isinstance(value, str) and key in known else value
        for key, value in arguments.items()
    }


def _check(key: str, value: Any, default: object) -> None:
    """Raise UsageError for what is no count, not of the type of the `default`, or a share out of 0 to 1."""
    if key in _COUNTS:
        if type(value) is not int or value < 1:  # to isinstance, True is an int
            raise UsageError(f"`{key}` (={value!r}) must be an integer of at least 1.")
        return
    kind = type(default)
    accepted = {float: (float, int), tuple: (tuple, list)}.get(kind, (kind,))
    if type(value) not in accepted:
        raise UsageError(f"`{key}` (={value!r}) must be of type {' or '.join(t.__name__ for t in accepted)}.")
    if key == "dropout" and not 0 <= value <= 1:
        raise UsageError(f"`dropout` (={value}) must be from 0 (none) to 1; the default is {default}.")
