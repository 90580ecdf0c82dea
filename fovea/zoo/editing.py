"""Changes of a pattern, letter by letter: what is inserted, left out, moved, doubled or given another number."""

from dataclasses import replace
from typing import Any

from fovea.errors import UsageError
from fovea.zoo.letters import CLOSED, OPENED, Word, read, words

NUMBERS = ("count", "kernel", "stride", "padding", "groups")


def listed(text: str) -> list[Word]:
    """Return the letters of a pattern.

    Raises:
        UsageError: something else stands among them.
    """
    found = words(text)
    if found is None:
        raise UsageError(f"`{text[:80]}` contains something other than letters and their numbers.")
    return found


def inserted(text: str, place: int, letters: str) -> str:
    """Return the pattern with further letters behind the one at `place`; -1 is before all.

    Convolutions among them have as many channels as the one before, where that says how many.
    """
    found = listed(text)
    place = min(max(place, -1), len(found) - 1) + 1
    channels = next((word.count for word in reversed(found[:place]) if word.letter == "C"), None)
    more = [replace(word, count=word.count or channels) if word.letter == "C" else word for word in listed(letters)]
    return spaced([*found[:place], *more, *found[place:]])


def removed(text: str, place: int) -> str:
    """Return the pattern without the letter at `place`; without a path as a whole, where it begins or ends there."""
    found = listed(text)
    first, stop = extent(found, place)
    return spaced(found[:first] + found[stop:])


def doubled(text: str, place: int) -> str:
    """Return the pattern with the letter at `place`, or the path that begins or ends there, twice; no stride twice."""
    found = listed(text)
    first, stop = extent(found, place)
    again = [replace(word, stride=None) if word.letter in "CW" else word for word in found[first:stop]]
    return spaced([*found[:stop], *again, *found[stop:]])


def moved(text: str, place: int, *, by: int) -> str:
    """Return the pattern with the letter or path at `place` so many places further, as far as there are some."""
    found = listed(text)
    first, stop = extent(found, place)
    rest, to = found[:first] + found[stop:], min(max(first + by, 0), len(found) - (stop - first))
    return spaced([*rest[:to], *found[first:stop], *rest[to:]])


def changed(text: str, place: int, name: str, value: int | None) -> str:
    """Return the pattern with another number of the letter at `place`: one of `NUMBERS`, None for the usual one.

    Raises:
        UsageError: the letter has no such number, or not this one.
    """
    found = listed(text)
    if name not in NUMBERS or not 0 <= place < len(found):
        raise UsageError(f"Letter {place} has no number `{name}`; the numbers are {', '.join(NUMBERS)}.")
    numbers: dict[str, Any] = {name: value}
    word = replace(found[place], **numbers)
    if words(word.text) != [word]:
        raise UsageError(f"`{word.letter}` has no {name} {value}.")
    found[place] = word
    return spaced(found)


def extent(found: list[Word], place: int) -> tuple[int, int]:
    """Return from where to where the letter at `place` reaches: the brackets of a path with all between.

    Raises:
        UsageError: there is no such letter.
    """
    if not 0 <= place < len(found):
        raise UsageError(f"There is no letter {place}; the pattern has {len(found)} letters.")
    if found[place].letter == OPENED:
        ends = [i for i in range(place, len(found)) if found[i].letter == CLOSED]
        return place, (ends[0] if ends else place) + 1
    if found[place].letter == CLOSED:
        begins = [i for i in range(place) if found[i].letter == OPENED]
        return (begins[-1] if begins else place), place + 1
    return place, place + 1


def spaced(found: list[Word]) -> str:
    """Return the letters as text, its stages apart.

    >>> spaced(words("CRCRPCRPFRF"))
    'CRCRP CRP FR F'
    """
    text = "".join(word.text for word in found)
    pattern = read(text)
    if pattern is None:
        return text
    parts = [*pattern.stages, pattern.pooled, *pattern.hidden]
    rest = text.removeprefix("".join(parts))
    return " ".join(part for part in (*parts, rest) if part)
