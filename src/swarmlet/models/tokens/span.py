"""An amount of tokens that is known within limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens, known within limits: `least <= estimate <= worst`. Where the three are one number, it is exact.

    A refusal is decided with `least` (what may fit is sent), a reservation in a budget with `worst`, and all that is shown
    or planned with `estimate`.
    """

    least: int
    estimate: int
    worst: int

    @staticmethod
    def of(tokens: int) -> Span:
        """An exact number."""
        return Span(tokens, tokens, tokens)

    @property
    def exact(self) -> bool:
        """Whether the amount is known to the token."""
        return self.least == self.worst

    def __add__(self, other: Span) -> Span:
        return Span(self.least + other.least, self.estimate + other.estimate, self.worst + other.worst)


NOTHING = Span(0, 0, 0)


def total(spans: Iterable[Span]) -> Span:
    """Their sum."""
    least = estimate = worst = 0
    for span in spans:
        least += span.least
        estimate += span.estimate
        worst += span.worst
    return Span(least, estimate, worst)
