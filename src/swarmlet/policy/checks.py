"""What settings are checked for, in one place: `True` is no number here, though Python takes it for 1."""

from __future__ import annotations

import math


def is_count(value: object) -> bool:
    """Whether `value` is a whole number of at least 1, which `True` and `2.0` are not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: object) -> bool:
    """Whether `value` is an `int` or a `float`, which `True` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_duration(value: object) -> bool:
    """Whether `value` is a finite number of seconds above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
