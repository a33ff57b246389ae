"""What the provider's cache of prompts saved: in USD, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.models.profiles import MILLION
from swarmlet.policy.amount import EXACT

if TYPE_CHECKING:
    from decimal import Decimal

    from swarmlet.models.profiles import Profile


def saved_by_cache(profile: Profile, tier: str | None, cached_tokens: int) -> Decimal | None:
    """What a call saved because so many of its prompt's tokens came from the provider's cache; `None` without a price."""
    prices = (profile.prices or {}).get(tier or "default")
    if prices is None:
        return None
    return EXACT.divide(EXACT.multiply(cached_tokens, EXACT.subtract(prices.input, prices.cached)), MILLION)
