"""Amounts of what model calls cost, as values and as running sums. Exact: no float, and no rounding of money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal, TypeAlias, final, get_args

Kind: TypeAlias = Literal["tokens", "input_tokens", "output_tokens", "requests", "usd"]
"""What a ledger counts. `tokens` are input and output together."""

KINDS: tuple[Kind, ...] = get_args(Kind)

EXACT = Context(prec=100)
"""In which money is reckoned, so that the precision an application sets for itself cannot round it."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, tokens and USD of some calls. Never negative."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.requests < 0 or self.input_tokens < 0 or self.output_tokens < 0 or self.usd < 0:
            raise ValueError(f"an amount is never negative: {self!r}")

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens

    def of(self, kind: Kind) -> int | Decimal:
        """The figure of one kind."""
        figure: int | Decimal = getattr(self, kind)
        return figure

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            EXACT.add(self.usd, other.usd),
        )

    def above(self, other: Amount) -> Amount:
        """By how much this exceeds `other`, figure by figure; 0 where it does not."""
        if (
            self.requests <= other.requests
            and self.input_tokens <= other.input_tokens
            and self.output_tokens <= other.output_tokens
            and self.usd <= other.usd
        ):
            return NOTHING
        return Amount(
            max(self.requests - other.requests, 0),
            max(self.input_tokens - other.input_tokens, 0),
            max(self.output_tokens - other.output_tokens, 0),
            max(EXACT.subtract(self.usd, other.usd), Decimal(0)),
        )


@dataclass(frozen=True, slots=True)
class Slice(Amount):
    """What is to be left for who comes later. Tokens of which the side is not known count against the limit of each."""

    total: int = 0

    @property
    def tokens(self) -> int:
        """Input and output together, which may be less than the two figures: it is not known which side they will be of."""
        return self.total

    def __add__(self, other: Amount) -> Slice:
        return Slice(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            EXACT.add(self.usd, other.usd),
            self.total + other.tokens,
        )


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Price:
    """USD of one token in and of one token out: the most that the call can be billed (dearest tier, nothing cached)."""

    input: Decimal
    output: Decimal

    def __post_init__(self) -> None:
        for price in (self.input, self.output):
            if not price.is_finite() or not 0 <= price < 10**6 or int(price.as_tuple().exponent) < -60:
                raise ValueError(f"the price of a token is from 0 to 10**6 USD, with at most 60 decimal places: {self!r}")

    def usd(self, input_tokens: int, output_tokens: int) -> Decimal:
        """What so many tokens cost."""
        return EXACT.add(EXACT.multiply(input_tokens, self.input), EXACT.multiply(output_tokens, self.output))


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account has spent, as plain data: it goes through JSON, and a resumed run opens its accounts with it.

    `uncertain` and `overrun` are parts of `used`: calls that may have been billed though nobody knows, and what servers
    billed above what had been reserved.
    """

    used: Amount = NOTHING
    uncertain: Amount = NOTHING
    overrun: Amount = NOTHING


@final
class Sum:
    """A running sum of amounts."""

    __slots__ = ("input_tokens", "output_tokens", "requests", "usd")

    def __init__(self, start: Amount = NOTHING) -> None:
        self.requests: int = start.requests
        self.input_tokens: int = start.input_tokens
        self.output_tokens: int = start.output_tokens
        self.usd: Decimal = start.usd

    def add(self, amount: Amount) -> None:
        """Count `amount`."""
        self.requests += amount.requests
        self.input_tokens += amount.input_tokens
        self.output_tokens += amount.output_tokens
        if amount.usd:
            self.usd = EXACT.add(self.usd, amount.usd)

    def subtract(self, amount: Amount) -> None:
        """Count `amount` no more."""
        self.requests -= amount.requests
        self.input_tokens -= amount.input_tokens
        self.output_tokens -= amount.output_tokens
        if amount.usd:
            self.usd = EXACT.subtract(self.usd, amount.usd)

    def amount(self) -> Amount:
        """The sum as it is now."""
        return Amount(self.requests, self.input_tokens, self.output_tokens, self.usd)
