"""Coding the weights of a network without loss: bytes and seconds beside general compressors, on the same tensors.

The SqueezeNet whose weights were pruned and shared by Han, Mao and Dally 2015 (arXiv:1510.00149), whose own file takes
675,763 bytes; one after the other, several times.
"""

import lzma
import zlib
from collections.abc import Callable, Mapping
from statistics import median
from time import process_time
from typing import NamedTuple

import torch
from machine import arguments, begun
from torch import Tensor

from fovea.compression.coding.tensors import decode, encode
from fovea.model.reading import read_weights


class Way(NamedTuple):
    """A way to store tensors: what it makes of them, how long that is, and how it gives them back."""

    store: Callable[[Mapping[str, Tensor]], object]
    size: Callable[[object], int]
    read: Callable[[object], object]


def general(compress: Callable[[bytes], bytes], expand: Callable[[bytes], bytes]) -> Way:
    """Return a way that compresses all values as bytes."""

    def store(tensors: Mapping[str, Tensor]) -> object:
        return compress(b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors.values()))

    return Way(store, len, expand)  # type: ignore[arg-type]


def coded_bytes(stored: object) -> int:
    """Return the bytes of all tensors that are stored."""
    return sum(tensor.nbytes for tensor in stored[0].values())  # type: ignore[index]


WAYS = {
    "fovea": Way(encode, coded_bytes, lambda stored: decode(*stored)),  # type: ignore[misc]
    "zlib, level 9": general(lambda raw: zlib.compress(raw, 9), zlib.decompress),
    "lzma, level 9": general(lambda raw: lzma.compress(raw, preset=9), lzma.decompress),
}


def timed(way: Way, tensors: Mapping[str, Tensor]) -> tuple[int, float, float]:
    """Return the bytes, and the seconds of processor time for storing and for reading."""
    begin = process_time()
    stored = way.store(tensors)
    middle = process_time()
    way.read(stored)
    return way.size(stored), middle - begin, process_time() - middle


def main() -> None:
    parser = arguments(__doc__, quick="one round")
    parser.add_argument("weights", help="squeezenet1_0-imagenet-deepcompressed.pth")
    given = begun(parser)
    torch.set_num_threads(1)
    tensors = read_weights(given.weights).tensors
    whole = sum(tensor.nbytes for tensor in tensors.values())
    print(f"{whole:,} bytes\n| way | bytes | times fewer | s to store | s to read |\n|---|---|---|---|---|")
    found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in WAYS}
    for _ in range(1 if given.quick else 5):
        for name, way in WAYS.items():
            found[name].append(timed(way, tensors))
    for name, rounds in found.items():
        size, store, read = (median(values) for values in zip(*rounds, strict=True))
        print(f"| {name} | {size:,.0f} | {whole / size:.1f} | {store:.2f} | {read:.3f} |", flush=True)


if __name__ == "__main__":
    main()
