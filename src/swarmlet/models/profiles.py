"""Models as data: what a model can take, what it costs, and until when it is served.

Prices are USD per million tokens. They change: each profile says on which day its figures were read, and from where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from swarmlet.policy.amount import EXACT, Price

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """USD per million tokens, for one service tier."""

    input: Decimal
    cached: Decimal
    output: Decimal
    cache_write: Decimal | None = None
    """Of tokens that the provider puts into its cache, where it takes more for them."""

    def usd(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> Decimal:
        """The exact price of a call. `input_tokens` includes the cached ones."""
        fresh = EXACT.multiply(input_tokens - cached_tokens, self.input)
        prompt = EXACT.add(fresh, EXACT.multiply(cached_tokens, self.cached))
        return EXACT.divide(EXACT.add(prompt, EXACT.multiply(output_tokens, self.output)), MILLION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model. Unknown figures are `None`; a model without prices is counted as unpriced, never as free."""

    name: str
    context_window: int | None = None
    """Tokens of prompt and reply together."""
    max_output: int | None = None
    """Most tokens of a reply."""
    prices: Mapping[str, Prices] | None = None
    """By the `service_tier` that the response names."""
    tokenizer: str | None = None
    """The vocabulary it counts tokens with, such as `o200k_base`, where its name does not tell."""
    sampling: bool = True
    """Whether it takes `temperature`."""
    reasoning_effort: str | None = None
    """What to send as `reasoning_effort`, for models that take tools or sampling only with a certain one."""
    prompt_cache_key: bool = False
    """Whether it is sent `prompt_cache_key`: a server that does not know that parameter may refuse it."""
    shutdown: date | None = None
    """The day from which it is no longer served."""
    successor: str | None = None
    as_of: date | None = None
    """The day on which these figures were read."""
    _worst: Price | None = field(default=None, init=False, repr=False, compare=False)

    def usd(self, tier: str | None, input_tokens: int, cached_tokens: int, output_tokens: int) -> Decimal | None:
        """The price of a call; `None` where the tier's price is not known."""
        prices = (self.prices or {}).get(tier or "default")
        return None if prices is None else prices.usd(input_tokens, cached_tokens, output_tokens)

    def worst_price(self) -> Price | None:
        """The most that a token can cost: of the dearest tier, nothing cached. `None` where no price is known."""
        if not self.prices:
            return None
        if self._worst is None:  # reckoned once: each call asks
            tiers = self.prices.values()
            given = max(max(tier.input, tier.cached, tier.cache_write or 0) for tier in tiers)
            worst = Price(EXACT.divide(given, MILLION), EXACT.divide(max(tier.output for tier in tiers), MILLION))
            object.__setattr__(self, "_worst", worst)
        return self._worst

    def shutdown_warning(self, today: date) -> str | None:
        """A sentence for users of a model that is gone, or will be within 60 days."""
        if self.shutdown is None or (self.shutdown - today).days > 60:
            return None
        instead = f"; {self.successor} takes its place" if self.successor else ""
        return f"{self.name} shuts down on {self.shutdown.isoformat()}{instead}"


def _prices(fresh: str, cached: str, output: str, write: str | None = None) -> Prices:
    return Prices(
        input=Decimal(fresh), cached=Decimal(cached), output=Decimal(output), cache_write=Decimal(write) if write else None
    )


_READ = date(2026, 11, 1)

# From OpenAI's pricing and model pages and, for the shutdown date, the docstring of `model` in the SDK's
# chat/completion_create_params.py (openai 3.54).
_KNOWN = {
    "gpt-4o-mini": Profile(
        name="gpt-4o-mini",
        context_window=128_000,
        max_output=16_384,
        prices={
            "default": _prices("0.15", "0.075", "0.60"),
            "batch": _prices("0.075", "0.075", "0.30"),
            "priority": _prices("0.25", "0.125", "1.00"),
        },
        prompt_cache_key=True,
        shutdown=date(2027, 1, 14),
        successor="gpt-6-luna",
        as_of=_READ,
    ),
    "gpt-6-luna": Profile(
        name="gpt-6-luna",
        context_window=1_050_000,
        max_output=128_000,
        prices={
            "default": _prices("0.10", "0.01", "0.50", "0.125"),
            "flex": _prices("0.05", "0.005", "0.25"),
            "batch": _prices("0.05", "0.005", "0.25"),
        },
        reasoning_effort="none",
        prompt_cache_key=True,
        as_of=_READ,
    ),
}


def profile_of(model: str) -> Profile:
    """The profile of a model by name; dated names (`gpt-4o-mini-2024-07-18`) find their family's. Others have no figures."""
    for name, profile in _KNOWN.items():
        if model == name or (model.startswith(f"{name}-") and model[len(name) + 1 :][:4].isdigit()):
            return replace(profile, name=model)
    return Profile(name=model)
