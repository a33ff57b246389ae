"""What settings are checked for, in one place: `True` is no number here, though Python takes it for 1."""

from __future__ import annotations

import math
from typing import cast


def is_count(value: object) -> bool:
    """Whether `value` is a whole number of at least 1, which `True` and `2.0` are not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: object) -> bool:
    """Whether `value` is an `int` or a `float`, which `True` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_duration(value: object) -> bool:
    """Whether `value` is a finite number of seconds above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def no_kinds(value: object) -> str:
    """What is wrong with `value` as the kinds of failures that something is for; empty if nothing is.

    Exceptions and not BaseExceptions: a cancellation is no failure.
    """
    kinds = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    fit = bool(kinds) and all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds)
    return "" if fit else "is a type of exception, or a tuple of them"
