"""Which numbers of channels are worth having: those that are faster than all larger ones, as measured.

Processors compute channels in blocks, of 16 where vectors hold 16 floats: with 12 channels a layer may take as long as
with 16, or longer.
"""

from collections.abc import Callable, Sequence

GAIN = 0.03
"""What is faster by less is noise."""
MOST = 8
"""Widths of a group that are timed."""


def candidates(channels: int, *, multiple: int = 1, least: int = 1, most: int = MOST) -> tuple[int, ...]:
    """Return widths from all `channels` down to `least`, `most` at most, multiples of `multiple` but for the first.

    >>> candidates(64, most=8)
    (64, 56, 48, 40, 32, 24, 16, 8)
    >>> candidates(10, multiple=4, least=3)
    (10, 8, 4)
    """
    step = multiple * max(1, -(-channels // (most * multiple)))
    below = range((channels - 1) // step * step, max(least, 1) - 1, -step)
    return (channels, *below)


def worthwhile(widths: Sequence[int], seconds: Callable[[int], float], *, gain: float = GAIN) -> tuple[int, ...]:
    """Return those of the falling `widths` that take less time than all before them, by the share `gain` at least.

    >>> worthwhile((16, 12, 8, 4), {16: 1.0, 12: 1.1, 8: 0.7, 4: 0.69}.__getitem__)
    (16, 8)
    """
    kept, best = [widths[0]], seconds(widths[0])
    for width in widths[1:]:
        taken = seconds(width)
        if taken < (1 - gain) * best:
            kept.append(width)
            best = taken
    return tuple(kept)
