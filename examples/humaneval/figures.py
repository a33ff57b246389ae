"""Shares with their uncertainty: Wilson's interval for one share, a bootstrap over problems for the difference of two."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959964
"""The standard normal's 97.5 % quantile."""
RESAMPLES = 5_000


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval, as shares of 1."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"

    @property
    def points(self) -> str:
        """As a difference, in percentage points."""
        return f"{self.value * 100:+.1f} ({self.low * 100:+.1f} to {self.high * 100:+.1f})"


def wilson(passed: int, total: int) -> Interval:
    """The share that passed (Wilson, 1927): unlike the plain normal interval it is right for small samples and near 0 and 1."""
    if total == 0:
        return Interval(0.0, 0.0, 1.0)
    share, spread = passed / total, Z * Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def paired(before: Sequence[bool], after: Sequence[bool]) -> Interval:
    """By how much more of the same problems passed: the percentiles of resampled problems."""
    gains = [int(new) - int(old) for old, new in zip(before, after, strict=True)]
    if not gains:
        return Interval(0.0, -1.0, 1.0)
    rng = random.Random(0)
    means = sorted(sum(rng.choices(gains, k=len(gains))) / len(gains) for _ in range(RESAMPLES))
    return Interval(sum(gains) / len(gains), means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1])
