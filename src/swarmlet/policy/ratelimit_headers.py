"""What a server's `x-ratelimit-*` headers say.

Above it, `meter` and `pace` act on that. It knows no HTTP, only names and texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_PREFIX = "x-ratelimit-"
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|µs|ns|d|h|m|s)", re.ASCII)
_WINDOWS = (300.0, 600.0, 3600.0, 86400.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One limit as the server tells it: the allowance, what remains of it, and the seconds until all is back."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None

    @property
    def seconds(self) -> float:
        """The length of the window, which no header names: a minute, unless a longer reset proves that it is not.

        A bucket that refills continuously needs `used / limit` of its window to be full again (10,000 a day, 20 used:
        172.8 s). What fits no usual length is taken for the shortest usual one that the reset fits into.
        """
        if self.reset is None or self.reset <= 75:
            return 60.0
        if self.limit and self.remaining is not None and self.remaining < self.limit:
            whole = self.reset * self.limit / (self.limit - self.remaining)
            for usual in _WINDOWS:
                if abs(whole - usual) <= 0.25 * usual:
                    return usual
        return next((usual for usual in _WINDOWS if usual >= self.reset), _WINDOWS[-1])


@dataclass(frozen=True, slots=True)
class Reading:
    """What one response tells of the limits on requests and on tokens."""

    requests: Figure = Figure()
    tokens: Figure = Figure()


def read_headers(headers: Mapping[str, str]) -> Reading:
    """The limits in the headers of a response. What is missing, -1 or no number is `None`."""
    found = {name.lower(): text for name, text in headers.items() if name[:12].lower() == _PREFIX}
    return Reading(_figure(found, "requests"), _figure(found, "tokens")) if found else Reading()


def _figure(found: Mapping[str, str], kind: str) -> Figure:
    return Figure(
        limit=_number(found.get(f"{_PREFIX}limit-{kind}")) or None,  # an allowance of nothing is no allowance
        remaining=_number(found.get(f"{_PREFIX}remaining-{kind}")),
        reset=parse_seconds(found.get(f"{_PREFIX}reset-{kind}")),
    )


@lru_cache(maxsize=256)  # servers say `1ms` again and again
def parse_seconds(text: str | None) -> float | None:
    """Seconds in `6ms`, `1s`, `6m0s`, `1h2m3.5s` or `12`; `None` for -1, nothing or anything else."""
    text = (text or "").strip().lower()
    plain = _number(text)
    if plain is not None or not text:
        return plain
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return seconds if math.isfinite(seconds) else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < math.inf else None
