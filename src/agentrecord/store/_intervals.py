"""Intervals of differences: how sure two samples make one of what lies between them.

Shares: Newcombe (1998), Statistics in Medicine 17, 873–890, method 10, on Wilson's score intervals. Means: Welch's
interval with the degrees of freedom of Satterthwaite; the quantile of Student's distribution by the expansion of
Abramowitz & Stegun, 26.7.5.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance

Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile: 95 % lie within it on both sides."""


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `hits` in `n`, which must not be 0."""
    share, square = hits / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def share_difference(hits_a: int, n_a: int, hits_b: int, n_b: int) -> tuple[float, float] | None:
    """Return the 95 % interval of the share of b less that of a; None where a side has nothing."""
    if not n_a or not n_b:
        return None
    a, b = hits_a / n_a, hits_b / n_b
    (low_a, high_a), (low_b, high_b) = wilson(hits_a, n_a), wilson(hits_b, n_b)
    return (
        b - a - math.sqrt((b - low_b) ** 2 + (high_a - a) ** 2),
        b - a + math.sqrt((high_b - b) ** 2 + (a - low_a) ** 2),
    )


def mean_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of b less that of a; None where a side has fewer than two."""
    if len(a) < 2 or len(b) < 2:
        return None
    part_a, part_b = variance(a) / len(a), variance(b) / len(b)
    middle, both = fmean(b) - fmean(a), part_a + part_b
    if both == 0:
        return middle, middle
    freedom = both**2 / (part_a**2 / (len(a) - 1) + part_b**2 / (len(b) - 1))
    half = student(freedom) * math.sqrt(both)
    return middle - half, middle + half


def student(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's distribution; within 1 % from 3 degrees of freedom up."""
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
