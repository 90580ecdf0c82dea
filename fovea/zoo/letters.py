"""The letters that patterns are written in: what each means, and how they make stages and dense layers.

Lecture 000, "Putting it all together", has C, R, P and F. The rest, and the numbers behind the letters, are this
project's. A letter may be followed by a number (channels of C, units of F, percent of D, 6 for ReLU6), then by `k` and
a kernel, `s` and a stride, `p` and a padding, C also by `g` and how many groups: `C64k5s2p0`, `C128g32`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MOST_LETTERS = 2500
"""Characters of a pattern without its spaces, at most."""
LETTERS = {
    "C": "convolution",
    "W": "depthwise convolution, a kernel for each channel",
    "B": "batch norm",
    "R": "ReLU; R6 is cut off at 6",
    "P": "max pooling",
    "A": "mean pooling",
    "D": "dropout",
    "(": "begins a path whose input is added to its output",
    ")": "ends that path",
    "G": "global mean pooling, before the dense layers",
    "F": "dense layer",
}
"""What each letter stands for."""
OPENED, CLOSED = "(", ")"
CONVOLUTIONS, POOLINGS, WINDOWS = "CW", "PA", "CWPA"
_WORD = re.compile(
    r"(?P<letter>[CWBRPADGF])(?P<count>\d{1,4})?(?:k(?P<kernel>\d{1,3}))?(?:s(?P<stride>\d{1,2}))?"
    r"(?:p(?P<padding>\d{1,2}))?(?:g(?P<groups>\d{1,4}))?|[()]"
)
_NUMBERED = {"C": range(1, 10_000), "F": range(1, 10_000), "D": range(100), "R": range(6, 7)}
"""The letters that may have a number, and which."""
_STAGES, _HEAD = re.compile(r"[CW(][CWBRPAD()]*"), re.compile(r"(GD?)?(F[RBD]*)*")


@dataclass(frozen=True)
class Word:
    """A letter with its numbers; those that are not written are None, and have the value of the layer."""

    letter: str
    count: int | None = None
    kernel: int | None = None
    stride: int | None = None
    padding: int | None = None
    groups: int | None = None

    @property
    def text(self) -> str:
        """How it is written."""
        windows = (("k", self.kernel), ("s", self.stride), ("p", self.padding))
        numbers = (("", self.count), *windows, ("g", self.groups))
        return self.letter + "".join(f"{key}{value}" for key, value in numbers if value is not None)


class Pattern(NamedTuple):
    """A network in letters."""

    stages: tuple[str, ...]
    """As `CRCRP`: each ends before the convolution or path that follows a pooling, or that has a stride itself."""
    hidden: tuple[str, ...]
    """As `FR`: the dense layers before the logits."""
    pooled: str = ""
    """`G` or `GD`, where the mean of each map goes to the dense layers; empty if all its values do."""


def words(text: str) -> list[Word] | None:
    """Return the letters one by one, None if something else stands among them.

    >>> [word.text for word in words("C64k5 (CBR)")]
    ['C64k5', '(', 'C', 'B', 'R', ')']
    """
    found, place, letters = [], 0, "".join(text.split())
    while place < len(letters):
        match = _WORD.match(letters, place)
        word = _word(match) if match else None
        if match is None or word is None:
            return None
        found.append(word)
        place = match.end()
    return found if len(letters) <= MOST_LETTERS else None


def read(text: str) -> Pattern | None:
    """Return what the letters mean, None if they are no pattern.

    >>> read("CRCRP CRP FRF")
    Pattern(stages=('CRCRP', 'CRP'), hidden=('FR',), pooled='')
    """
    found = words(text)
    if found is None:
        return None
    letters = "".join(word.letter for word in found)
    body = _STAGES.match(letters)
    if body is None or not _HEAD.fullmatch(letters, body.end()) or not _closed(body[0]):
        return None
    return _pattern(found[: body.end()], found[body.end() :])


def resembles(text: str) -> bool:
    """Say whether a text is meant as a pattern, rather than as the name of a network."""
    letters = "".join(text.split())
    return (letters.isupper() and letters.isalpha()) or re.fullmatch(r"[CW(][CWBRPADGFkspg0-9()]*", letters) is not None


def _pattern(body: Sequence[Word], head: Sequence[Word]) -> Pattern | None:
    hidden: list[list[Word]] = []
    pooled = ""
    for word in head:
        if word.letter == "F":
            hidden.append([word])
        elif hidden:
            hidden[-1].append(word)
        else:
            pooled += word.text
    if hidden and hidden[-1] == [Word("F")]:
        hidden.pop()  # the logits
    if any(len({word.letter for word in layer}) < len(layer) for layer in hidden):
        return None
    return Pattern(tuple(map(_written, _stages(body))), tuple(map(_written, hidden)), pooled)


def _word(match: re.Match[str]) -> Word | None:
    """Return a letter with its numbers, None if it has some that it may not have."""
    if match[0] in (OPENED, CLOSED):
        return Word(match[0])
    numbers = {key: int(value) for key, value in match.groupdict().items() if key != "letter" and value is not None}
    word = Word(match["letter"], **numbers)
    if word.count is not None and word.count not in _NUMBERED.get(word.letter, ()):
        return None
    window = [value for value in (word.kernel, word.stride, word.padding) if value is not None]
    if window and word.letter not in WINDOWS or 0 in (word.kernel, word.stride, word.groups):
        return None
    if word.groups is not None and word.letter != "C":
        return None
    return word


def _closed(letters: str) -> bool:
    """Say whether each path that begins ends, with convolutions and without poolings or paths inside."""
    paths = re.sub(r"\((?=[^()]*[CW])[CWBRD]+\)", "", letters)
    return OPENED not in paths and CLOSED not in paths


def _stages(body: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the letters of each stage."""
    stage: list[Word] = []
    pooled = False
    for block in blocks(body):
        strided = any((word.stride or 1) > 1 for word in block if word.letter in CONVOLUTIONS)
        if stage and block[0].letter in (*CONVOLUTIONS, OPENED) and (pooled or strided):
            yield stage
            stage, pooled = [], False
        stage = [*stage, *block]
        pooled = pooled or block[0].letter in POOLINGS
    yield stage


def blocks(body: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield each letter by itself, but paths with all that they hold."""
    path: list[Word] = []
    for word in body:
        if path or word.letter == OPENED:
            path.append(word)
            if word.letter == CLOSED:
                yield path
                path = []
        else:
            yield [word]


def _written(found: Sequence[Word]) -> str:
    return "".join(word.text for word in found)
