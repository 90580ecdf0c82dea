"""How a network is trained: one frozen dataclass, checked when it is made."""

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fovea import tasks
from fovea.budget import most_threads
from fovea.errors import UsageError, unknown
from fovea.fields import is_number
from fovea.texts import parse_value
from fovea.training.first_sizes import phases
from fovea.training.schedules import SCHEDULES

OPTIMISERS = ("sgd", "rmsprop", "adadelta", "adam", "adamw", "muon")
INITIALISATIONS = ("own", "he", "xavier", "lecun")
PRECISIONS = ("auto", "float32", "bfloat16")
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list of texts"}


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How long, on what batches, for which loss, and by which steps."""

    epochs: int = 20
    """Passes over the train split; 0 with a budget."""
    budget_s: float = 0.0
    """Seconds of training instead of epochs; 0 counts epochs."""
    batch: int = 128
    """Images per optimiser step and device pass."""
    accumulate: int = 1
    """Batches whose gradients are averaged before a step."""
    loss: str = "cross-entropy"
    """`cross-entropy`, `binary` (one sigmoid unit, two classes), `margin` (capsules), `mse` (a number), or another."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes (Szegedy et al. 2015, section 7)."""
    aux_weight: float = 0.3
    """Weight of each auxiliary head's loss, where a network has such heads (Szegedy et al. 2014, section 5)."""
    class_weights: bool = False
    """Weigh each class's loss by the inverse of its frequency."""
    balanced: bool = False
    """Draw every class equally often, with replacement."""
    optimiser: str = "sgd"
    """One of `OPTIMISERS`."""
    lr: float = 0.1
    """Base learning rate per step of `batch * accumulate` images."""
    lr_rest: float = 0.02
    """Under `muon`: Adam's rate for norms and biases; dense layers get it divided by the root of their inputs."""
    momentum: float = 0.9
    """Momentum of SGD, RMSProp and Muon, beta 1 of Adam, rho of Adadelta."""
    nesterov: bool = True
    """Look-ahead momentum for SGD."""
    weight_decay: float = 5e-4
    """L2 penalty (decoupled in AdamW) on weights of two and more dimensions; never on norms and biases, nor by Muon."""
    schedule: str = "one-cycle"
    """A name in `SCHEDULES`, or `plateau`, which follows the validation loss."""
    warmup: float = 0.0
    """Share of the training over which the rate rises in a straight line."""
    clip: float = 0.0
    """Largest norm of the whole gradient; 0 does not clip."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, used for evaluation; 0 has none."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What a network begins with, and which of its parts learn when."""

    initialisation: str = "own"
    """`own` (what the network brings) or one of `INITIALISATIONS` for all convolutions and dense layers."""
    whiten: bool = False
    """Set the first convolution to the whitening of the training patches and freeze it (Jordan 2024)."""
    whiten_bias: bool = True
    """Let the bias of that convolution learn; otherwise it is 0, and no gradient goes back through the layer after."""
    pretrain: int = 0
    """Epochs of unsupervised pretraining per layer, before training: each learns to reproduce its inputs."""
    freeze: str = "none"
    """`none`, `all` (but the head), or the last part that stays as it is, with all before it: `stem`, `stage1`, ..."""
    frozen_views: int = 0
    """So many augmented versions of every image go through the frozen parts, once, before training, and each step
    takes one of them; 0 augments anew at every step."""
    frozen_statistics: bool = False
    """Keep the running statistics of all batch norms before the head; those of frozen parts are kept in any case."""
    probe: bool = False
    """Instead of training, set the head to what fits the features of the training images best, in closed form."""
    class_means: bool = False
    """Instead of training, set the head to the mean features of each class, of which the nearest is chosen."""
    fit_head: bool = False
    """Before training, set the head to the logistic regression on the features of the training images; the better of
    that network and the trained one, on validation, is kept."""
    head_versions: int = 1
    """So many versions of every training image that regression is fitted to: the plain one, and augmented ones."""
    head_strength: float = 0.0
    """C of that regression's penalty |W|^2 / (2 C); 0 chooses it by cross-validation."""
    refit_head: bool = False
    """In the end, fit the head to the training and the validation images together."""
    head_first: float = 0.0
    """Share of the training in which the head learns alone."""
    stage_decay: float = 1.0
    """Each part before the head learns at this factor of the rate of the part after it."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What images go through, what is kept, and where it runs."""

    augment: tuple[str, ...] = ()
    """Augmentations in order, as `flip`, `shift 4`, `crop 0.35`; of `mixup 0.2`, `cutmix 1` one per batch."""
    first_sizes: tuple[str, ...] = ()
    """Smaller images at first, as `24 0.6`: 24 pixels up to that share of the training; then the network's own size."""
    resample: bool = False
    """Train on as many images as there are, drawn once, with replacement, by the seed: a member of a bagged ensemble
    (Breiman 1996, "Bagging predictors")."""
    test_flip: bool = False
    """Average the outputs of an image and its mirror image when evaluating."""
    patience: int = 0
    """Stop after so many epochs without a better validation result; 0 never does."""
    keep_best: bool = True
    """Keep the weights of the best validation result; otherwise, and without a validation split, the last."""
    precision: str = "auto"
    """`float32`, `bfloat16` (autocast) or `auto`: what is faster on this device, timed."""
    compile: bool = False
    """Run the network through `torch.compile`."""
    threads: int = 0
    """CPU threads; 0 times a few steps with 1, 2, ... and takes the fastest."""
    seed: int = 0
    """Seed of initialisation, order, augmentation and dropout."""
    checkpoint_minutes: float = 5.0
    """Longest time between checkpoints; there is one after every epoch too."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Running, Transfer, Optimisation):
    """Everything about a training but the network and the data: three groups of fields, under one flat set of names.

    What needs one group alone asks for that.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._require_type(field.name, type(field.default))
        _require_choice("loss", self.loss, tasks.losses())
        _require_choice("optimiser", self.optimiser, OPTIMISERS)
        _require_choice("schedule", self.schedule, (*SCHEDULES, "plateau"))
        _require_choice("initialisation", self.initialisation, INITIALISATIONS)
        _require_choice("precision", self.precision, PRECISIONS)
        for name in ("batch", "accumulate"):
            self._require(name, getattr(self, name) >= 1, "must be 1 or more")
        for name in ("lr", "lr_rest", "checkpoint_minutes"):
            self._require(name, 0 < getattr(self, name) < math.inf, "must be above 0, and finite")
        for name in ("label_smoothing", "momentum", "ema", "warmup", "head_first"):
            self._require(name, 0 <= getattr(self, name) < 1, "must be in [0, 1)")
        for name in (
            "epochs",
            "budget_s",
            "aux_weight",
            "weight_decay",
            "clip",
            "head_strength",
            "patience",
            "threads",
            "seed",
        ):
            self._require(name, getattr(self, name) >= 0, "must not be negative")
        for name, default in ((field.name, field.default) for field in dataclasses.fields(self)):
            finite = isinstance(default, bool | str | tuple) or is_number(getattr(self, name))
            self._require(name, finite, "must be finite")
        machine = f"must be at most {most_threads()}; this machine has {os.cpu_count()} processors"
        self._require("threads", self.threads <= most_threads(), machine)
        self._require("head_versions", self.head_versions >= 1, "must be 1 or more")
        self._require("pretrain", self.pretrain >= 0, "must not be negative")
        whole = not phases(self.first_sizes) or not self.frozen_views
        self._require("first_sizes", whole, "and `frozen_views` cannot be used together")
        self._require("stage_decay", 0 < self.stage_decay <= 1, "must be above 0 and at most 1")
        self._require("class_means", not (self.class_means and self.probe), "and `probe` cannot be used together")
        if self.probe or self.class_means:
            form = "probe" if self.probe else "class_means"
            self._require(form, not self.epochs and not self.budget_s, "goes without `epochs` and `budget_s`")
        else:
            one_length = (self.epochs > 0) != (self.budget_s > 0)
            self._require("epochs", one_length, "or `budget_s` must be above 0, not both")
        self._require("schedule", self.schedule != "plateau" or not self.budget_s, "cannot be combined with a budget")
        both = self.class_weights and self.balanced
        self._require("class_weights", not both, "and `balanced` cannot be used together")
        for name in ("class_weights", "balanced"):
            fits = not getattr(self, name) or tasks.kind_of_loss(self.loss).has_classes
            self._require(name, fits, f"needs classes; `loss` (={self.loss}) has none")

    def _require_type(self, name: str, kind: type) -> None:
        given = type(getattr(self, name))
        self._require(name, given is kind or (given, kind) == (int, float), f"must be {KINDS[kind]}")
        value = getattr(self, name)
        if isinstance(value, tuple):
            self._require(name, all(isinstance(item, str) for item in value), f"must be {KINDS[kind]}")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise UsageError(f"`{name}` (={getattr(self, name)}) {rule}.")

    def replace(self, **changes: Any) -> "Recipe":
        """Return a recipe with `changes`; an unknown field is an error that lists its neighbours. Lists are tuples."""
        for name in changes:
            if name not in FIELDS:
                raise unknown("recipe field", name, FIELDS)
        return dataclasses.replace(self, **{name: _tuple(value) for name, value in changes.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for TOML and JSON."""
        return {**dataclasses.asdict(self), "augment": list(self.augment)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `to_dict` wrote."""
        epochs = 0 if values.get("budget_s") else cls.epochs
        return cls().replace(**{"epochs": epochs, **values})

    @staticmethod
    def parsed(assignments: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of `key=value` strings in the types of the fields."""
        for name in assignments:
            if name not in FIELDS:
                raise unknown("recipe field", name, FIELDS)
        return {name: parse(name, text, default=getattr(Recipe, name)) for name, text in assignments.items()}


FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))


def fitted(recipe: Recipe, *, images: int, validated: bool) -> Recipe:
    """Return `recipe` with no more images to a step than there are.

    Raises:
        UsageError: it needs a validation split, and there is none.
    """
    for name, follows in (("patience", recipe.patience > 0), ("schedule", recipe.schedule == "plateau")):
        if follows and not validated:
            value = getattr(recipe, name)
            raise UsageError(f"`{name}` (={value}) needs a validation split; `--val-fraction 0.1` sets one aside.")
    accumulate = min(recipe.accumulate, images)
    return recipe.replace(accumulate=accumulate, batch=min(recipe.batch, images // accumulate))


def _require_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise unknown(name, value, allowed)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def parse(name: str, text: str, *, default: Any) -> Any:
    """Return the value of the field `name` that `text` stands for, in the type of `default`."""
    try:
        return parse_value(text, default)
    except ValueError:
        raise UsageError(f"`{name}` must be {KINDS[type(default)]}, not `{text}`.") from None
