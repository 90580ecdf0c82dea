"""Live pictures that are small grids: a digit's pixels, masks, what shares statistics, a kernel made coarser."""

from collections.abc import Callable, Sequence

import numpy as np

from fovea.reference.dense import dropout_mask
from fovea.reference.padding import Array
from fovea.report.lessons.drawn import Cell, Drawn, Settings, kind

KERNEL = np.array([[0.9, -0.1, 0.4], [0.05, -0.6, 0.2], [-0.35, 0.8, -0.02]])
KEPT = np.array([[1, 0, 1], [0, 1, 0], [0, 1, 0]])
"""The places of a kernel that are there from the beginning."""
PRUNED = {"third pruned": 3, "half pruned": 4, "two thirds pruned": 6}
IMAGES = CHANNELS = 4
WHAT = {
    "batch": "one channel over all images",
    "layer": "one image over all channels",
    "instance": "one image and one channel",
    "group": "one image and two channels",
}


def shaded(values: Array, *, largest: float | None = None, digits: int = 2) -> list[list[Cell]]:
    """Return numbers (H, W) float64 as cells, the largest in full colour."""
    bound = largest or float(np.abs(values).max()) or 1.0
    return [[Cell(f"{round(float(v), digits):g}", float(v) / bound) for v in row] for row in values]


@kind("digit")
def pixels(settings: Settings) -> Drawn:
    """Return the numbers of a handwritten digit."""
    from sklearn.datasets import load_digits

    digits, wanted = load_digits(), int(settings["digit"])
    image = digits.images[list(digits.target).index(wanted)]
    mirrored = settings.get("mirrored", "no") == "yes"
    if mirrored:
        image = image[:, ::-1]
    words = f"A {wanted}{', mirrored' if mirrored else ''}: 64 numbers from 0 to {image.max():g}."
    return Drawn(words=words, grids=[("8 x 8 pixels", shaded(image, largest=16))])


@kind("dropout")
def masked(settings: Settings) -> Drawn:
    """Return one mask of dropout over 64 units."""
    p = float(settings["p"])
    mask = dropout_mask((8, 8), p, np.random.default_rng(0))
    out = int((mask == 0).sum())
    words = f"{out} of 64 units are left out, the others times {1 / (1 - p):.3g}; mean {mask.mean():.2f}."
    return Drawn(words=words, grids=[("a mask", shaded(mask, largest=5))])


@kind("shared")
def statistics(settings: Settings) -> Drawn:
    """Return which of four images' four channels share a mean and a variance."""
    norm = settings["norm"]
    rules: dict[str, Callable[[int, int], int]] = {
        "batch": lambda image, channel: channel,
        "layer": lambda image, channel: image,
        "instance": lambda image, channel: image * CHANNELS + channel,
        "group": lambda image, channel: image * 2 + channel // 2,
    }
    rule = rules[norm]
    rows = [
        [Cell(str(rule(image, channel) + 1), group=rule(image, channel) + 1) for channel in range(CHANNELS)]
        for image in range(IMAGES)
    ]
    count = len({cell.text for row in rows for cell in row})
    words = f"{norm} normalisation: {WHAT[norm]} share mean and variance, {count} pairs of them here."
    return Drawn(words=words, grids=[("rows: images; columns: channels", rows)])


@kind("weights")
def coarser_kernel(settings: Settings) -> Drawn:
    """Return a kernel, and it with fewer or coarser values."""
    way = settings["way"]
    made = coarser(KERNEL, way)
    error = float(np.linalg.norm(made - KERNEL) / np.linalg.norm(KERNEL))
    words = f"{way}: {len(np.unique(made.round(9)))} different values, {int((made == 0).sum())} zeros, {error:.0%} off."
    grids: Sequence[tuple[str, list[list[Cell]]]] = [
        ("as it was", shaded(KERNEL)),
        (way, shaded(made, largest=float(np.abs(KERNEL).max()))),
    ]
    return Drawn(words=words, grids=grids)


def coarser(kernel: Array, way: str) -> Array:
    """Return a kernel (H, W) float64 with its smallest weights at zero, on levels, as powers of two, or signs.

    Raises:
        ValueError: there is no such way.
    """
    size = np.abs(kernel)
    if way in PRUNED:
        return np.asarray(np.where(size > np.sort(size, axis=None)[PRUNED[way] - 1], kernel, 0.0))
    if way == "four places":
        return np.asarray(kernel * KEPT)
    if way == "powers of two":
        return np.asarray(np.sign(kernel) * 2.0 ** np.round(np.log2(size)))
    if way == "binary":  # Rastegari et al. 2016: the mean size is the best factor
        return np.asarray(np.sign(kernel) * size.mean())
    count, _, unit = way.partition(" ")
    if unit != "levels" or not count.isdecimal() or int(count) < 2:
        raise ValueError(f"`way` (={way}) is unknown.")
    step = 2 * size.max() / (int(count) - 1)
    return np.asarray(np.round((kernel + size.max()) / step) * step - size.max())
