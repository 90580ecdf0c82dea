"""Plans: a network, its input and its training; the named ones promise a result.

`benchmarks/README.md` holds each promise's last measurement.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fovea.errors import UsageError, unknown
from fovea.preprocess import Fit
from fovea.training.recipe import FIELDS, Recipe

GROWTHS = ("identity", "vgg")
"""How a deeper network takes over the weights of a shallower one: `fovea/training/growth.py`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, on what input, and how."""

    model: str
    """A name of the zoo, or `file.py:Class`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the network's builder."""
    size: int
    """Height and width of the network's input in pixels."""
    fit: Fit = "crop"
    """How an image of another shape becomes square."""
    val_fraction: float = 0.1
    """Share of the training part held out for validation where the data has no such part; 0 trains on all of it."""
    standardise: bool = True
    """Normalise with the training images' mean and standard deviation; otherwise pixels just become 0..1."""
    start: str = ""
    """Weights to begin with: a file, or `imagenet` for the published ones; random ones where empty."""
    grow: str = ""
    """One of `GROWTHS`: how a deeper network begins with those weights; empty where they are for the network itself."""
    training: Recipe
    reasons: tuple[str, ...] = ()
    """Why this plan, one line each, for the user."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"`size` (={self.size}) must be 1 pixel or more.")
        if not 0 <= self.val_fraction < 1:
            raise UsageError(f"`val_fraction` (={self.val_fraction}) must be in [0, 1).")
        if self.grow and self.grow not in GROWTHS:
            raise unknown("way to grow", self.grow, GROWTHS)
        if self.grow and not self.start:
            raise UsageError(
                f"`grow` (={self.grow}) needs trained weights of a shallower network; name them by --from."
            )
        for name, scratch in (("whiten", False), ("initialisation", "own"), ("pretrain", 0)):
            if self.start and (value := getattr(self.training, name)) != scratch:
                raise UsageError(f"`{name}` (={value}) is for random weights; leave it out, or --from.")

    @property
    def room(self) -> float:
        """How much larger than the input training images are stored, so that random crops have a choice."""
        return 1.25 if any(spec.startswith("crop") for spec in self.training.augment) else 1.0

    def replace(self, **changes: Any) -> "Plan":
        """Return a plan with `changes` to its own fields and to those of its training."""
        own = {name: value for name, value in changes.items() if name in PLAN_FIELDS}
        rest = {name: value for name, value in changes.items() if name not in own}
        unknown_names = [name for name in rest if name not in FIELDS]
        if unknown_names:
            raise unknown("recipe field", unknown_names[0], (*FIELDS, *PLAN_FIELDS))
        return dataclasses.replace(self, training=self.training.replace(**rest), **own)


PLAN_FIELDS = tuple(f.name for f in dataclasses.fields(Plan) if f.name != "training")

DIGITS = Plan(
    model="lenet5",
    size=32,
    val_fraction=0.0,
    training=Recipe(
        epochs=40,
        batch=32,
        optimiser="adamw",
        lr=0.003,
        weight_decay=0.01,
        augment=("affine 10 0.06 0.1",),
        label_smoothing=0.05,
        precision="float32",
    ),
)
"""`digits`: mean test accuracy of five seeds >= 98.5 %, none below 97 %; seconds on two cores."""

FASHION = Plan(
    model="fashion_cnn",
    size=28,
    val_fraction=0.0,
    training=Recipe(
        epochs=14,
        batch=128,
        optimiser="adamw",
        lr=0.002,
        weight_decay=0.01,
        augment=("flip",),
        test_flip=True,
    ),
)
"""`fashion-93.5`: the deck's network, test accuracy >= 93.5 %."""

CIFAR10 = Plan(
    model="foveola",
    size=32,
    val_fraction=0.0,
    training=Recipe(
        epochs=11,
        batch=500,
        accumulate=2,
        optimiser="muon",
        lr=0.15,
        lr_rest=0.02,
        momentum=0.75,
        schedule="linear",
        whiten=True,
        label_smoothing=0.2,
        augment=("alternating-flip", "shift 2"),
        test_flip=True,
    ),
)
"""`cifar10-94`: mean test accuracy of three seeds >= 94 % with at most 0.40 PFLOP each; 18 to 40 minutes, two cores."""

FASHION_BEST = Plan(
    model="foveola",
    size=28,
    val_fraction=0.0,
    training=CIFAR10.training.replace(epochs=12, augment=("flip", "shift 2")),
)
"""`fashion-best`: test accuracy >= 94.5 %."""

CIFAR10_84 = Plan(
    model="foveola",
    arguments={"width": 0.5},
    size=32,
    val_fraction=0.0,
    training=CIFAR10.training.replace(epochs=3),
)
"""`cifar10-84`: test accuracy >= 84.5 %, for which the best recipe of lecture 000 needs 1.17 PFLOP, in 0.030."""

CIFAR10_96 = Plan(
    model="cifar_wrn28_10",
    size=32,
    val_fraction=0.0,
    training=Recipe(
        epochs=30,
        batch=256,
        lr=0.2,
        augment=("flip", "shift 4", "cutout 16"),
        label_smoothing=0.1,
        test_flip=True,
    ),
)
"""`cifar10-96`: test accuracy >= 96 %, hoped for and not measured yet: it needs a GPU, for 47 PFLOP.

Zagoruyko and Komodakis 2016 (4.0 % error in 200 epochs); DeVries and Taylor 2017 (3.1 % with cutout).
"""

CIFAR10_VGG1 = Plan(
    model="vgg_block1",
    size=32,
    val_fraction=0.0,
    standardise=False,
    training=Recipe(
        epochs=100,
        batch=64,
        lr=0.001,
        momentum=0.9,
        nesterov=False,
        weight_decay=0.0,
        schedule="constant",
    ),
)
"""`cifar10-vgg1`: lecture 000, example 2a as printed (He uniform, SGD), which prints 67.1 % on test."""

CIFAR10_VGG3 = CIFAR10_VGG1.replace(model="vgg_block3")
"""`cifar10-vgg3`: example 2b, printed 73.5 %."""

CIFAR10_VGG3_DROPOUT = CIFAR10_VGG3.replace(arguments={"dropout": 0.2})
"""`cifar10-vgg3-dropout`: example 3a, printed 83.5 %."""

CIFAR10_VGG3_AUGMENTED = CIFAR10_VGG3.replace(augment=("flip", "shift 3"))
"""`cifar10-vgg3-augmented`: example 3b, printed 84.5 %. It shifts by whole pixels, up to a tenth, and reflects."""

RECIPES: Mapping[str, Plan] = MappingProxyType(
    {
        "digits": DIGITS,
        "fashion-93.5": FASHION,
        "fashion-best": FASHION_BEST,
        "cifar10-84": CIFAR10_84,
        "cifar10-94": CIFAR10,
        "cifar10-96": CIFAR10_96,
        "cifar10-vgg1": CIFAR10_VGG1,
        "cifar10-vgg3": CIFAR10_VGG3,
        "cifar10-vgg3-dropout": CIFAR10_VGG3_DROPOUT,
        "cifar10-vgg3-augmented": CIFAR10_VGG3_AUGMENTED,
    }
)

DEFAULT_RECIPE: Mapping[str, str] = MappingProxyType(
    {"digits": "digits", "mnist": "fashion-93.5", "fashion-mnist": "fashion-93.5", "cifar10": "cifar10-94"}
)
"""The recipe that a named data set gets without `--recipe`, `--model` and `--budget`."""


def named(name: str) -> Plan:
    """Return the plan called `name`; an unknown name is an error that lists its neighbours."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]
