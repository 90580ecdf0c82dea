"""The steps that a chain may have, by name, and how `fold,prune=0.5,finetune=3,share=5bit` is read.

Works without PyTorch until a step is taken.
"""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from fovea.errors import UsageError, unknown

if TYPE_CHECKING:
    from torch import nn

    from fovea.compression.step import Done, Work

MOST_STEPS = 50
MOST_EPOCHS = 10_000
MOST_BITS = 8
EPOCHS = "3"
"""Of a step that trains, where none are named."""
PRUNED = ("macs", "params", "bytes", "latency", "energy")
"""What `prune` takes a share of."""


class Kind(NamedTuple):
    """One step by its name."""

    name: str
    form: str
    """How its value is written, as `EPOCHS`; empty if it takes none."""
    does: str
    """What it does, in words."""
    reads: Callable[[str], Any]
    """Text behind `=` -> the value; ValueError for what it cannot be."""
    at: str
    """The function that does it, as `module:function`: (model, work, value) -> Done."""
    default: str = ""
    """What stands for a value that is left out; empty if there must be one."""
    repairs: bool = False
    """Whether it recovers what the step before it has cost: the score counts after it."""
    settles: bool = False
    """Whether it puts weights on a grid that further training would leave."""
    trains: bool = False
    """Whether it moves the weights by training."""
    taught: bool = False
    """Whether it learns from `--teacher` where there is one."""
    closes: bool = False
    """Whether nothing may follow."""


class Asked(NamedTuple):
    """A step of a chain as it was asked for."""

    text: str
    """As it is written in the table: `finetune=3`."""
    kind: Kind
    value: Any

    def __call__(self, model: "nn.Module", work: "Work") -> "Done":
        """Take the step; errors as `fovea.compression.step.Step`."""
        module, _, function = self.kind.at.partition(":")
        done: Done = getattr(import_module(module), function)(model, work, self.value)
        return done


def _epochs(text: str) -> float:
    value = float(text)
    if not 0 < value <= MOST_EPOCHS:
        raise ValueError(f"above 0, up to {MOST_EPOCHS}")
    return value


def _nothing(text: str) -> None:
    if text:
        raise ValueError("no value")


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(" or ".join(names))
        return text

    return read


def _share(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 < value < 1):
        raise ValueError("above 0 and below 1")
    return value


def _bits(text: str) -> int:
    value = int(text.removesuffix("bit"))
    if not 1 <= value <= MOST_BITS:
        raise ValueError(f"from 1bit to {MOST_BITS}bit")
    return value


def _pruned(text: str) -> tuple[float, str]:
    share, _, target = text.partition(":")
    if target and target not in PRUNED:
        raise ValueError(" or ".join(PRUNED))
    return _share(share), target or PRUNED[0]


def _with_epochs(reads: Callable[[str], Any]) -> Callable[[str], tuple[Any, float]]:
    """Return what reads `VALUE[:EPOCHS]`."""

    def read(text: str) -> tuple[Any, float]:
        value, _, epochs = text.partition(":")
        return reads(value), _epochs(epochs or EPOCHS)

    return read


def _places(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("1 or more")
    return value


_OWN, _PRUNING = "fovea.compression.adapters", "fovea.compression.pruning.steps"

KINDS = (
    Kind(
        "fold",
        "",
        "fold batch norms into the layers before or after them; the outputs do not change",
        _nothing,
        f"{_OWN}:folded",
    ),
    Kind(
        *("prune", "SHARE[:macs|params|bytes|latency|energy]", "remove whole channels and blocks", _pruned),
        at=f"{_PRUNING}:prune_step",
    ),
    Kind(
        *("finetune", "EPOCHS", "fine-tune on the labels", _epochs, f"{_OWN}:finetune"),
        repairs=True,
        trains=True,
    ),
    Kind(
        *("distil", "EPOCHS", "fine-tune on the outputs of `--teacher`, or of the original network", _epochs),
        at=f"{_OWN}:distil",
        repairs=True,
        trains=True,
        taught=True,
    ),
    Kind(
        *(
            "soup",
            "greedy|uniform",
            "average the weights with the networks of `--members`",
            _one_of("greedy", "uniform"),
        ),
        at=f"{_OWN}:soup",
        default="greedy",
    ),
    Kind(
        *("sparsify", "SHARE[:EPOCHS]", "train while the smallest weights are set to zero", _with_epochs(_share)),
        at=f"{_PRUNING}:sparsify_step",
        trains=True,
        taught=True,
    ),
    Kind(
        *(
            "predefined",
            "PLACES[:EPOCHS]",
            ("train with a fixed number of non-zero positions in each kernel, in fixed patterns"),
        ),
        reads=_with_epochs(_places),
        at=f"{_OWN}:with_predefined_zeros",
        trains=True,
        taught=True,
    ),
    Kind(
        *(
            "lowrank",
            "SHARE[:EPOCHS]",
            ("factorise layers into two of low rank, keeping a fraction of the MACs, and distil"),
        ),
        reads=_with_epochs(_share),
        at=f"{_OWN}:low_rank",
        trains=True,
        taught=True,
    ),
    Kind(
        *("separable", "EPOCHS", "replace convolutions by depthwise and 1x1 convolutions, and distil", _epochs),
        at=f"{_OWN}:depthwise_separable",
        default=EPOCHS,
        trains=True,
        taught=True,
    ),
    Kind(
        *("share", "5bit[:EPOCHS]", "reduce the weights of a layer to 2^BITS shared values, which are trained"),
        reads=_with_epochs(_bits),
        at=f"{_OWN}:share",
        settles=True,
        trains=True,
        taught=True,
    ),
    Kind(
        *(
            "quantise",
            "EPOCHS",
            "train with weights and activations quantised to 256 levels",
            _epochs,
            f"{_OWN}:quantised",
        ),
        settles=True,
        trains=True,
        taught=True,
    ),
    Kind(
        *("inq", "5bit[:EPOCHS]", "round weights to powers of two, step by step", _with_epochs(_bits)),
        at=f"{_OWN}:powers_of_two",
        settles=True,
        trains=True,
        taught=True,
    ),
    Kind(
        *("binarise", "EPOCHS", "train with two values for the weights of each channel", _epochs, f"{_OWN}:binary"),
        settles=True,
        trains=True,
        taught=True,
    ),
    Kind(
        *("xnor", "EPOCHS", "train with two values for weights and for inputs", _epochs, f"{_OWN}:xnor"),
        settles=True,
        trains=True,
        taught=True,
    ),
    Kind("int8", "", "also write an int8 .onnx file, calibrated on the train split", _nothing, "", closes=True),
)
"""In the order of the documentation."""


def kind_named(name: str) -> Kind:
    """Return the step with a name. Raises: UsageError if there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise unknown("step", name, [kind.name for kind in KINDS])


def parsed(text: str | Sequence[str]) -> tuple[Asked, ...]:
    """Return the steps of `fold,finetune=3`, in their order.

    Raises: UsageError for a step that is not known, a value that it does not take, or an order that makes no sense.
    """
    words = [word.strip() for word in (text.split(",") if isinstance(text, str) else text)]
    if not words or not all(words):
        raise UsageError(f"`--steps` (={text}) must name steps separated by commas, for example `fold,finetune=3`.")
    if len(words) > MOST_STEPS:
        raise UsageError(f"`--steps` names {len(words)} steps; the limit is {MOST_STEPS}.")
    asked = tuple(_asked(word) for word in words)
    _check_order(asked)
    return asked


def _asked(word: str) -> Asked:
    name, equals, value = word.partition("=")
    kind = kind_named(name.strip())
    value = value.strip()
    form = f"`{kind.name}={kind.form}`" if kind.form else f"`{kind.name}` alone"
    if equals and not value:
        raise UsageError(f"`{word}` has no value after `=`; write {form}.")
    if not value and kind.form and not kind.default:
        raise UsageError(f"`{kind.name}` needs a value; write {form}.")
    try:
        read = kind.reads(value or kind.default)
    except ValueError as error:
        why = "" if str(error).startswith(("could not", "invalid literal")) else f" ({error})"
        raise UsageError(f"`{word}` cannot be read; write {form}{why}.") from None
    return Asked(f"{kind.name}={value}" if value else kind.name, kind, read)


def _check_order(asked: Sequence[Asked]) -> None:
    settled: Asked | None = None
    for index, step in enumerate(asked):
        if step.kind.closes and index + 1 < len(asked):
            raise UsageError(
                f"`{step.text}` must be the last step: it writes another file and does not change the network."
            )
        if settled is not None and step.kind.trains:
            raise UsageError(
                f"`{step.text}` after `{settled.text}` would change weights that have few distinct values; put it "
                "before."
            )
        if step.kind.settles:
            settled = step
