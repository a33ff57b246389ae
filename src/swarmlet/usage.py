"""What model calls cost: requests, tokens and USD."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of some model calls. Usages add up with `+`.

    `input_tokens` counts the whole prompt, `cached_tokens` included. `usd` is exact decimal arithmetic over the calls
    whose price is known; `unpriced_requests` says how many calls it leaves out.
    """

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)
    unpriced_requests: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
            self.unpriced_requests + other.unpriced_requests,
        )

    @staticmethod
    def total(usages: Iterable[Usage]) -> Usage:
        """The sum of many usages; of none, nothing."""
        return sum(usages, start=Usage())
