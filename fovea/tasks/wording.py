"""How labels are written, where data leaves that open: several in a text, one per column, grades in an order."""

from collections.abc import Iterable
from dataclasses import dataclass

from fovea.errors import DataError, shortened

Written = str | tuple[str, ...]
"""What stands for the label of one image: a text, or the texts of a list or of several columns."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How the texts of a data set are to be taken."""

    separator: str = ";"
    """What stands between several labels in one text."""
    columns: tuple[str, ...] = ()
    """The labels that have a column of 0 and 1 each; then the texts of an image are its cells in this order."""
    order: tuple[str, ...] = ()
    """The grades, the lowest first."""
    known: tuple[str, ...] = ()
    """Names that count even where no image has them, as those that a network knows: of grades also their order."""


PLAIN = Wording()


def single(texts: Iterable[Written]) -> list[str]:
    """Return the texts of images that have one label each.

    Raises:
        DataError: one of them has a list of labels.
    """
    found = list(texts)
    several = next((text for text in found if not isinstance(text, str)), None)
    if several is not None:
        raise DataError(
            f"An image has the labels {shortened(', '.join(several)) or 'of an empty list'}, but one is needed; use "
            "`--task labels` for several labels."
        )
    return [text for text in found if isinstance(text, str)]
