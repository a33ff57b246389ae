"""What the provider's cache saves, in USD."""

from __future__ import annotations

from decimal import Decimal

from swarmlet.models.profiles import profile_of
from swarmlet.models.savings import saved_by_cache


def test_cached_tokens_save_the_difference_by_the_tier_that_answered() -> None:
    mini, luna = profile_of("gpt-4o-mini"), profile_of("gpt-6-luna")
    assert saved_by_cache(mini, None, 1_000_000) == Decimal("0.075")
    assert saved_by_cache(mini, "priority", 1024) == Decimal("0.000128")
    assert saved_by_cache(luna, "default", 1_000_000) == Decimal("0.09")
    assert saved_by_cache(mini, "batch", 1_000_000) == 0
    assert saved_by_cache(mini, "default", 0) == 0


def test_without_a_price_nobody_knows() -> None:
    assert saved_by_cache(profile_of("unknown"), None, 100) is None
    assert saved_by_cache(profile_of("gpt-4o-mini"), "flex", 100) is None
