"""Plain functions of text that several floors share."""

import re


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts `10` after `9`.

    >>> sorted(["10", "9", "b", "a2", "a10"], key=natural_key)
    ['9', '10', 'a2', 'a10', 'b']
    """
    pieces = re.split(r"(\d+)", text)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], text
