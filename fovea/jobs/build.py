"""`fovea build`: a model file from a network's name and, where there are some, published weights."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fovea
from fovea import inputs, registry, tasks
from fovea.card import Card
from fovea.data.sources.class_names import ClassNames, read_class_names
from fovea.display import Display
from fovea.errors import UsageError
from fovea.files import check_regular
from fovea.inputs.interface import Preprocessing
from fovea.model.bundle import save_bundle
from fovea.model.weights import IMAGENET, Origin, load_into, published_file, read_weights
from fovea.preprocess import Preprocess
from fovea.registry import IMAGENET_MEAN, IMAGENET_STD
from fovea.tasks.classes import Classes
from fovea.tasks.task import Task
from fovea.texts import command
from fovea.zoo.letters import resembles

PHOTOGRAPHS, KEPT = 224, 224 / 256
"""Networks for inputs of so many pixels and more are published with the centre of a larger image: this share of it."""
SEEN = {2: "series", 4: "clips"}
"""The kind of input by how many sizes it has, where that is not images."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A model file that was made."""

    model: Path
    card: Card
    parameters: int
    children: Mapping[str, int]
    """The parameters of `stem`, each stage, and `head`."""
    origin: Origin | None
    """Where the weights are from; None for random ones."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        origin = self.origin and dataclasses.asdict(self.origin)
        named = {"model": str(self.model), "card": self.card.to_dict(), "parameters": self.parameters}
        return {**named, "children": dict(self.children), "origin": origin}

    def summary(self) -> list[str]:
        """Return lines for the terminal."""
        preprocess, origin = inputs.from_dict(self.card["preprocess"]), self.origin
        shape = "x".join(map(str, preprocess.shape))
        weights = "random" if origin is None else f"{origin.file}, with the layer names of {origin.naming}"
        assumed = origin is not None and not origin.known and preprocess.mean == origin.mean
        notes = [f"Note     {origin.assumption()}; change them with --mean and --std"] if origin and assumed else []
        next_steps = (
            command("fovea", "train", "DATA", "--from", self.model)
            if origin is None
            else f"{command('fovea', 'predict', self.model)} IMAGE..."
        )
        return [
            f"Model    {self.model}: {self.card.architecture}, {self.parameters:,} parameters",
            f"Layers   {', '.join(f'{name} {count:,}' for name, count in self.children.items())}",
            f"Weights  {weights}",
            f"Input    {shape}{_cut(preprocess)}; {len(self.card.target.classes):,} classes",
            *notes,
            f"Next     {next_steps}",
        ]


def _cut(preprocess: Preprocessing) -> str:
    """Return what images are cut from, where they are."""
    if not isinstance(preprocess, Preprocess) or preprocess.crop == 1:
        return ""
    return ", the centre of {}x{}".format(*(round(side / preprocess.crop) for side in preprocess.size))


def build_file(
    name: str,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    classes_from: str | Path | None = None,
    size: int | None = None,
    resize: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    licence: str | None = None,
    coded: bool = False,
    display: Display | None = None,
    **arguments: object,
) -> Built:
    """Write the network `name` as a model file `out`, with `weights` from a file or the published ones (`imagenet`).

    `name` may also be a pattern of letters such as `CRCRP CRCRP F`, which builds the network `pattern`. `classes_from`
    is a file with the class names in the order of the outputs. Images are resized until the shorter side has `resize`
    pixels, then cropped at the centre to `size` pixels square; for series `size` is the length. `mean` and `std`, one
    number or one per channel, normalise pixels from 0 to 1 or the values of series. The default is the normalisation
    of the library that the weights come from. `coded` stores tensors with few distinct values, or many zeros, in fewer
    bytes, without loss. `arguments` are passed to the network and may be text.

    Raises:
        UsageError: an unknown name or argument, a value that is not allowed, or `out` exists.
        NotFoundError: weights or class names that are not there.
        BundleError: weights that are damaged, in another format, or of another network; nothing is written.
    """
    require_free(out)
    if resembles(name):
        name, arguments = "pattern", {"pattern": name, **arguments}
    name = registry.resolve(name)
    display = display or Display(quiet=True)
    known = read_class_names(classes_from) if classes_from is not None else None
    shape = registry.entry(name).input
    side = size or shape[-1]
    given = {"size": side, **_counted(known, arguments), **registry.parsed_arguments(name, arguments)}
    model = registry.build(name, **given)
    origin = None
    if weights is not None:
        file = published_file(name, progress=display.fetched) if str(weights) == IMAGENET else Path(weights)
        check_regular(file)
        origin = load_into(model, read_weights(file), network=name)
        origin = dataclasses.replace(origin, licence=licence or origin.licence)
    resolved = registry.arguments_of(name, **given)
    channels = int(str(resolved.get("c_in", shape[0])))
    preprocess: Preprocessing
    if len(shape) == 3:
        preprocess = _preprocess(channels, side, resize, mean=mean, std=std, origin=origin)
        if registry.entry(name).answers != "classes" and resize is None:  # what lies at the border is asked for too
            preprocess = dataclasses.replace(preprocess, crop=1.0)
    else:
        frames = int(str({"frames": shape[1], **resolved, **given}["frames"]))
        preprocess = _geometry(len(shape), channels, side, frames, resize=resize)
        preprocess = preprocess.with_normalisation(*_normalisation(preprocess, mean, std, origin))
    card = _card(name, resolved, known or _numbered(resolved), preprocess=preprocess, origin=origin)
    save_bundle(out, model, card, coded=coded)
    children = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    return Built(model=Path(out), card=card, parameters=sum(children.values()), children=children, origin=origin)


def require_free(out: str | Path) -> None:
    """Raise UsageError if there is anything at `out`: a network that was built never takes another's place."""
    if os.path.lexists(out):
        raise UsageError(f"`{out}` exists, and `fovea build` overwrites nothing; choose another `out`, or remove it.")


def _counted(known: ClassNames | None, arguments: Mapping[str, object]) -> dict[str, int]:
    """Return how many classes the file of their names has."""
    if known is None:
        return {}
    if arguments.get("classes", len(known.names)) != len(known.names):
        raise UsageError(
            f"`classes` (={arguments['classes']}) must be {len(known.names)}, the number of names; leave it out."
        )
    return {"classes": len(known.names)}


def _numbered(arguments: Mapping[str, object]) -> ClassNames:
    """Return the class numbers as names, where there are no better ones."""
    return ClassNames(tuple(str(index) for index in range(int(str(arguments["classes"])))))


def _preprocess(
    channels: int,
    side: int,
    resize: int | None,
    *,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    origin: Origin | None,
) -> Preprocess:
    if resize is not None and resize < side:
        raise UsageError(f"`resize` (={resize}) must be at least {side} pixels, the size of the crop taken from it.")
    if channels not in (1, 3):
        raise UsageError(f"`c_in` (={channels}) must be 1 (grey) or 3 (RGB); other images are not supported.")
    default = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,), (0.5,))
    found_mean, found_std = (origin.mean, origin.std) if origin else default
    return Preprocess(
        size=(side, side),
        channels=channels,
        crop=side / resize if resize else KEPT if side >= PHOTOGRAPHS else 1.0,
        mean=_per_channel(mean or found_mean, channels),
        std=_per_channel(std or found_std, channels),
    )


def _geometry(sizes: int, channels: int, side: int, frames: int, *, resize: int | None) -> Preprocessing:
    """Return how inputs with so many `sizes`, channels counted, are prepared; their normalisation is still open."""
    kind = inputs.kind(SEEN[sizes])
    if resize is not None:
        raise UsageError(f"`resize` works only for images; leave it out for {kind.nouns}.")
    settings = {"frames": frames} if "frames" in kind.settings else {}
    return kind.geometry(size=side, fit="crop", channels=channels, native_size=None, settings=settings)


def _normalisation(
    preprocess: Preprocessing, mean: Sequence[float] | None, std: Sequence[float] | None, origin: Origin | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found_mean, found_std = (origin.mean, origin.std) if origin else (preprocess.mean, preprocess.std)
    channels = preprocess.channels
    return _per_channel(mean or found_mean, channels), _per_channel(std or found_std, channels)


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(values) * channels if len(values) == 1 else tuple(values)


def _target(name: str, classes: ClassNames) -> Task:
    """Return what a network's outputs mean, by what it answers."""
    answers = registry.entry(name).answers
    if answers == "classes":
        return Classes(names=tuple(classes.names), ids=tuple(classes.ids))
    if answers not in tasks.names():
        raise UsageError(
            f"`{name}` predicts {answers}, and `fovea build` cannot write a model file for that yet; build it in "
            "Python."
        )
    kind = tasks.kind(answers)
    registry.require_answer(name, answers, tuple(kind.forms))
    loss = kind.loss_of(registry.entry(name).form)
    return kind.from_card({"classes": list(classes.names), "loss": loss, "temperature": 1.0})


def _card(
    name: str, arguments: Mapping[str, object], classes: ClassNames, *, preprocess: Preprocessing, origin: Origin | None
) -> Card:
    return Card(
        fovea=fovea.__version__,
        architecture=name,
        arguments=arguments,
        target=_target(name, classes).for_input(preprocess.shape[1:]),
        preprocess=preprocess,
        origin=origin.to_dict() if origin else {},
        licences={"weights": origin.licence if origin else "none: random initialisation"},
    )
