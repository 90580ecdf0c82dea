"""How a network that knows something learns something new: what of it stays, what learns first, what more slowly."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fovea.errors import UsageError, unknown
from fovea.training.recipe import Transfer


def body(model: nn.Module) -> dict[str, nn.Module]:
    """Return the children before the head, in order; the head is the child `head`, or else the last."""
    children = dict(model.named_children())
    names = list(children)
    head = names.index("head") if "head" in names else max(0, len(names) - 1)
    return {name: children[name] for name in names[:head]}


def rate_factors(model: nn.Module, recipe: Transfer) -> dict[nn.Parameter, float]:
    """Return, for every parameter, the share of the rate at which it learns.

    1 in the head, `stage_decay` in the part before it, its square in the one before that: lower layers see what all
    images have in common (Howard and Ruder 2018, arXiv:1801.06146, section 3.2).
    """
    factors = dict.fromkeys(model.parameters(), 1.0)
    for distance, part in enumerate(reversed(body(model).values()), start=1):
        factors |= dict.fromkeys(part.parameters(), recipe.stage_decay**distance)
    return factors


class Learners:
    """Which parts of a network learn: by `freeze`, `frozen_statistics` and `head_first` of its recipe.

    Parameters that never learn are frozen at once.

    Raises:
        UsageError: the network has no part called as `freeze`, or nothing in it is left to learn.
    """

    def __init__(self, model: nn.Module, recipe: Transfer) -> None:
        parts = body(model)
        frozen = frozen_parts(recipe.freeze, list(parts))
        self.model = model
        self.head_only: bool | None = None
        self.frozen = [parts[name].requires_grad_(False) for name in frozen]
        self.norms = [m for part in parts.values() for m in part.modules() if isinstance(m, _BatchNorm)]
        self.norms = self.norms if recipe.frozen_statistics else []
        self.waiting = [part for name, part in parts.items() if name not in frozen] if recipe.head_first else []
        self.late = [p for part in self.waiting for p in part.parameters() if p.requires_grad]
        if sum(p.requires_grad for p in model.parameters()) == len(self.late):
            raise UsageError(
                f"`freeze` (={recipe.freeze}) and `head_first` (={recipe.head_first:g}) leave nothing to learn: "
                "the head of this network has no weights. Freeze less, or choose another network."
            )

    def settle(self, *, head_only: bool) -> None:
        """Put the network in training mode, but what does not learn now in that of evaluation.

        With `head_only` that is the whole body. Nothing happens where all is as it should be.
        """
        if self.model.training and head_only == self.head_only:
            return
        self.head_only = head_only
        self.model.train()
        for module in (*self.frozen, *self.norms, *(self.waiting if head_only else ())):
            module.eval()
        for parameter in self.late:
            parameter.requires_grad_(not head_only)


def frozen_parts(freeze: str, parts: list[str]) -> list[str]:
    """Return the names of the parts that `freeze` holds: none, all, or those up to the one it names."""
    if freeze in parts:
        return parts[: parts.index(freeze) + 1]
    if freeze not in ("none", "all"):
        raise unknown("part to freeze to", freeze, ("none", "all", *parts))
    return parts if freeze == "all" else []
