"""What each kind of layer costs and needs, from shapes alone: multiply-adds, windows, the rule a wrong shape breaks.

Operations bear PyTorch's ATen names. A rule gets their arguments by name, each tensor as its shape, and the shape of
the output.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from math import prod
from typing import Any, NamedTuple

from fovea.errors import ShapeError
from fovea.shapes import convolved

Shape = tuple[int, ...]
Given = Mapping[str, Any]


class Sliding(NamedTuple):
    """A window along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int
    partial: bool
    """A last window that is not full counts too (`ceil_mode`)."""

    @property
    def extent(self) -> int:
        """Positions from its first to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def add(self) -> int:
        """On an axis of n there are (n + add) // stride windows."""
        return 2 * self.padding - self.extent + self.stride + (self.stride - 1 if self.partial else 0)

    def rest(self, size: int) -> int:
        """Return how many positions at the end of a padded axis no window reaches."""
        return 0 if self.partial else (size + self.add) % self.stride

    def quotient(self, size: int) -> str:
        """Return the number of windows as the lectures write it: `(7 - 3) / 3 + 1 = 2.33`."""
        padded = f"{size} + {2 * self.padding}" if self.padding else f"{size}"
        count = (size + 2 * self.padding - self.extent) / self.stride + 1
        return f"({padded} - {self.extent}) / {self.stride} + 1 = {round(count, 2):g}"


def convolution_macs(given: Given, out: Shape) -> int:
    """Each output takes c_in / groups x kernel products; transposed, each input spreads c_out / groups x kernel."""
    # (N, c_out, *sizes) times (c_in / groups, *kernel); transposed (N, c_in, *sizes) times (c_out / groups, *kernel)
    positions = given["input"] if given["transposed"] else out
    return prod((*positions, *given["weight"][1:]))


def product_macs(given: Given, out: Shape, *, left: str) -> int:
    """A matrix product: each output takes as many products as a row of the `left` matrix is long."""
    return prod(out) * int(given[left][-1])


def attention_macs(given: Given, out: Shape) -> int:
    """Scaled dot products of queries and keys, then the sums of values by them."""
    # query (..., L, E), key (..., S, E), value (..., S, V): L S E, then L S V
    return prod((*given["query"][:-1], given["key"][-2], given["query"][-1] + given["value"][-1]))


def summed_product_macs(given: Given, out: Shape) -> int:
    """Matrix products whose sum over the batch is kept."""
    rows, columns = prod(given["batch1"]), out[-1]
    return rows * columns


def trilinear_macs(given: Given, out: Shape) -> int:
    """A bilinear layer: per row, each weight of (c_out, c_1, c_2) by one product of inputs, which is not counted."""
    factors: list[list[int]] = []
    for number in (1, 2, 3):
        shape = list(given[f"i{number}"])
        for dim in sorted(given[f"expand{number}"]):
            shape.insert(dim, 1)
        factors.append(shape)
    return prod(max(lengths) for lengths in zip(*factors, strict=True))


def along_time_macs(given: Given, out: Shape) -> int:
    """A convolution along time: (T, N, c_in) times (kernel, c_in, c_out)."""
    kernel, c_in, _ = given["weight"]
    return prod(out) * int(kernel * c_in)


FACTORS = {
    "mm": ("self", "mat2"),
    "_int_mm": ("self", "mat2"),
    "_scaled_mm": ("self", "mat2"),
    "_addmm_activation": ("mat1", "mat2"),
    "addmv": ("mat", "vec"),
    "bmm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "mv": ("self", "vec"),
}
"""The matrix products, and what their two factors are called."""

ATTENTION = tuple(
    f"_scaled_dot_product_{kind}"
    for kind in (
        *("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention"),
        "fused_attention_overrideable",
    )
)

MACS: dict[str, Callable[[Given, Shape], int]] = {
    "convolution": convolution_macs,
    **{name: partial(product_macs, left=left) for name, (left, _) in FACTORS.items()},
    **dict.fromkeys(ATTENTION, attention_macs),
    "addbmm": summed_product_macs,
    "addr": lambda given, out: prod(out),
    **dict.fromkeys(("dot", "vdot"), lambda given, out: prod(given["self"])),
    "_trilinear": trilinear_macs,
    "conv_tbc": along_time_macs,
}

PRODUCTS = re.compile(
    r"(\w*mm|matmul|mv|conv\d?d?|convolution|rnn|lstm|gru|attention|transformer|linear|v?dot|vecdot|[cp]dist|fft|solve)_?"
)
"""A word in the name of an operation that multiplies matrices, or as much."""
ELSEWHERE = ("quantized::", "torchvision::")
"""Namespaces of which the names say whether something is multiplied, as in PyTorch's own."""
WITHOUT = {"linalg_vector_norm", "_linalg_check_errors"}


def base(name: str) -> str:
    """Return the name of an operation without the mark that it works in place.

    >>> base("addmm_")
    'addmm'
    """
    return name.rstrip("_")


@cache
def may_multiply(name: str) -> bool:
    """Say whether an operation for which no rule counts may cost multiply-adds all the same.

    >>> [may_multiply(name) for name in ("_cdist_forward", "upsample_bilinear2d", "mine::op", "quantized::add")]
    [True, False, True, False]
    """
    space, _, word = name.rpartition("::")
    if space and f"{space}::" not in ELSEWHERE:
        return True
    words = [part for part in word.split("_") if part]
    return name not in WITHOUT and (words[:1] == ["linalg"] or any(PRODUCTS.fullmatch(part) for part in words))


POOLINGS = ("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d")


def windows(name: str, given: Given) -> list[Sliding] | None:
    """Return the windows that the operation slides over the last axes of its input; None if it has none."""
    # a transposed convolution slides over its output
    if name == "convolution" and not given["transposed"]:
        kernel = given["weight"][2:]
        columns = (kernel, *(_each(given[key], len(kernel)) for key in ("stride", "padding", "dilation")))
        return [Sliding(k, s, p, d, partial=False) for k, s, p, d in zip(*columns, strict=True)]
    if name in POOLINGS:
        axes = 3 if "3d" in name else 2
        kernel = _each(given["kernel_size"], axes)
        stride = _each(given.get("stride") or kernel, axes)  # not given, or an empty list
        rest = (_each(given.get(key) or default, axes) for key, default in (("padding", 0), ("dilation", 1)))
        partial = bool(given.get("ceil_mode"))
        return [Sliding(k, s, p, d, partial) for k, s, p, d in zip(kernel, stride, *rest, strict=True)]
    return None


def broken(name: str, given: Given) -> str | None:
    """Return the rule that these shapes break, in one sentence; None if there is no rule for it here."""
    return next(_rules(name, given), None)


def _rules(name: str, given: Given) -> Iterator[str]:
    """Yield each rule that is broken."""
    if name == "convolution":
        channels, c_in = given["input"][1], given["weight"][1] * given["groups"]
        if given["transposed"]:
            c_in = given["weight"][0]
        if channels != c_in:
            yield f"`in_channels` (={c_in}) must equal the channels of its input (={channels})."
    if base(name) in FACTORS:
        a, b = (given[factor] for factor in FACTORS[base(name)])
        if a[-1] != b[-2:][0]:  # the rows of a matrix, or the length of a vector
            yield f"`in_features` (={b[-2:][0]}) must equal the last length of its input (={a[-1]})."
    yield from _windows_that_do_not_fit(name, given)


def _windows_that_do_not_fit(name: str, given: Given) -> Iterator[str]:
    slidings = windows(name, given) or []
    x = given.get("input", given.get("self"))
    for sliding, size in zip(slidings, x[-len(slidings) :] if slidings else (), strict=True):
        if sliding.partial:  # such a window may hang over the end
            continue
        try:
            convolved(size, sliding.kernel, stride=1, padding=sliding.padding, dilation=sliding.dilation)
        except ShapeError as error:
            yield str(error)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """Return one number per axis from a number or a list."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * axes if len(values) == 1 else values
