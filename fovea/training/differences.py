"""By how much one training is better than another, and how sure that is."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from fovea.errors import UsageError
from fovea.training.metrics import wilson_interval


def paired_interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return where the mean difference between two trainings lies, after one difference per seed that both had.

    Student's t, which takes the differences for normally distributed.

    >>> [round(end, 2) for end in paired_interval([1.0, 2.0, 3.0])]
    [-0.48, 4.48]
    """
    from scipy.stats import t

    if len(differences) < 2:
        raise UsageError(f"`differences` (={list(differences)}) must be two at least.")
    half = float(t.ppf((1 + confidence) / 2, len(differences) - 1)) * stdev(differences) / math.sqrt(len(differences))
    middle = fmean(differences)
    return middle - half, middle + half


def unpaired_interval(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> tuple[float, float]:
    """Return where the difference of two accuracies lies (second minus first), each after (right, total) images.

    Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10: the images are taken
    for independent. Where both saw the same images the interval is wider than it need be.

    >>> [round(end, 4) for end in unpaired_interval((48, 80), (56, 70))]
    [0.0524, 0.3339]
    """
    (p, low, high), (q, lower, upper) = (
        (right / total, *wilson_interval(right, total, confidence)) for right, total in (first, second)
    )
    return q - p - math.hypot(high - p, q - lower), q - p + math.hypot(p - low, upper - q)
