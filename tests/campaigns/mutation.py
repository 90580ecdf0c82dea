"""Damage to bytes, text and nested values, drawn from a seeded `random.Random`."""

import copy
import struct
from random import Random

EDGES = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
"""Numbers at which readers of headers go wrong."""
VALUES = (None, True, -1, 0, 7, 2**40, -0.5, 1e300, "", "x", "\x1b]0;", [], ["x"], [3], {}, {"x": 1})
NOT_JSON = (float("nan"), float("inf"), 10**400)


def damaged(content: bytes, chance: Random, *, others=(), near=1024) -> bytes:
    """Return bytes after one to four changes; half of them in the first and last `near` bytes, where structure is."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if not result:
            break
        at, length = place_in(result, chance, near), chance.choice((1, 2, 4, chance.randint(1, 64)))
        act = chance.randrange(12)
        if act < 3:
            result[at] ^= 1 << chance.randrange(8)
        elif act == 3:
            result[at] = chance.randrange(256)
        elif act < 6:
            result[at : at + length] = edge(chance)
        elif act == 6:
            result[at : at + length] = chance.choice((b"\0", b"\xff")) * length
        elif act == 7:
            result[at:at] = result[at : at + length]
        elif act == 8:
            del result[at : at + length]
        elif act == 9:
            to = place_in(result, chance, near)
            result[at : at + length], result[to : to + length] = result[to : to + length], result[at : at + length]
        elif act == 10 and chance.random() < 0.4:
            del result[at + 1 :]
        elif act == 11 and others:
            other = chance.choice(others)
            cut = chance.randrange(len(other))
            result[at:] = other[cut:] if chance.random() < 0.5 else other[cut : cut + length] + result[at + length :]
    return bytes(result)


def place_in(content, chance: Random, near: int) -> int:
    """Return an index into `content`."""
    close = min(len(content), near)
    return chance.choice(
        (chance.randrange(len(content)), chance.randrange(close), len(content) - 1 - chance.randrange(close))
    )


def edge(chance: Random) -> bytes:
    """Return a number of `EDGES` in 1, 2, 4 or 8 bytes of either order."""
    size = chance.choice((1, 2, 2, 4, 4, 8))
    return (chance.choice(EDGES) % 256**size).to_bytes(size, chance.choice(("little", "big")))


def places(value, path=()):
    """Yield the way to every value in nested tables and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def altered(values, chance: Random, *, others=VALUES, spared=()):
    """Return a copy of nested values with one removed, renamed or replaced; no large number where that is `spared`."""
    values = copy.deepcopy(values)
    *way, last = chance.choice(list(places(values)))
    parent = values
    for key in way:
        parent = parent[key]
    act = chance.random()
    if act < 0.2:
        del parent[last]
    elif act < 0.3 and isinstance(parent, dict):
        parent[f"{last}_"] = parent.pop(last)
    else:
        parent[last] = chance.choice([other for other in others if not (last in spared and is_large(other))])
    return values


def is_large(other) -> bool:
    return isinstance(other, int | float) and abs(other) > 100


def safetensors_parts(content: bytes) -> tuple[bytes, bytes]:
    """Return the JSON of the header of a safetensors file, and its tensors."""
    length = struct.unpack("<Q", content[:8])[0]
    return content[8 : 8 + length], content[8 + length :]


def safetensors_of(header: bytes, tensors: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + tensors
