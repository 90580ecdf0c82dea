"""`fovea errata`: errors on the slides of the lectures."""

from fovea.course.errata import ERRATA, Erratum
from fovea.errors import UsageError

DECKS = ("000", "001", "002", "003", "004")


def errata(deck: str | None = None) -> tuple[Erratum, ...]:
    """Return the errors on the slides of `deck` (`000` to `004`), or of all decks if None, each with the correct value.

    Raises:
        UsageError: there is no such deck.
    """
    if deck is not None and deck not in DECKS:
        raise UsageError(f"There is no deck `{deck}`; the decks are {', '.join(DECKS)}.")
    return tuple(entry for entry in ERRATA if deck is None or deck in entry.deck.split(", "))
