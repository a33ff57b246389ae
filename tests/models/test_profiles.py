"""Models as data: exact prices, and the day from which a model is gone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import OpenAIModel, Profile, Swarm, agent
from swarmlet.models.base import ChatRequest, Message
from swarmlet.models.openai_wire import request_body
from swarmlet.models.profiles import Prices, profile_of
from swarmlet.testing import Say, ScriptedServer, Tokens
from swarmlet.trace.events import CallEnded

MINI = profile_of("gpt-4o-mini")


@agent(str)
def say(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("tier", "tokens", "usd"),
    [
        ("default", (1_000_000, 0, 0), "0.15"),
        ("default", (1_000_000, 1_000_000, 0), "0.075"),
        ("default", (0, 0, 1_000_000), "0.60"),
        (None, (1, 0, 0), "0.00000015"),
        ("default", (2000, 1024, 7), "0.0002274"),
        ("batch", (1_000_000, 0, 1_000_000), "0.375"),
        ("priority", (1_000_000, 500_000, 1_000_000), "1.1875"),
    ],
)
def test_a_price_is_exact_and_follows_the_tier(tier: str | None, tokens: tuple[int, int, int], usd: str) -> None:
    assert MINI.usd(tier, *tokens) == Decimal(usd)


@pytest.mark.parametrize("tier", ["flex", "scale", "unheard-of"])
def test_a_tier_without_a_known_price_is_not_free(tier: str) -> None:
    assert MINI.usd(tier, 1, 0, 1) is None


def test_a_model_without_figures_has_no_price() -> None:
    assert profile_of("something-else").usd(None, 1, 0, 1) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_prices_add_up_whatever_way_tokens_are_split(fresh: int, cached: int, output: int) -> None:
    prices = Prices(input=Decimal("0.15"), cached=Decimal("0.075"), output=Decimal("0.60"))
    parts = [prices.usd(fresh, 0, 0), prices.usd(cached, cached, 0), prices.usd(0, 0, output)]
    assert prices.usd(fresh + cached, cached, output) == sum(parts)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-6-luna-2026-09-01", "gpt-6-luna"),
        ("gpt-4o-mini-audio-preview", None),
        ("gpt-4o-mini2", None),
        ("gpt-4o", None),
        ("", None),
    ],
)
def test_dated_names_find_their_family(name: str, family: str | None) -> None:
    profile = profile_of(name)
    assert profile.name == name
    assert profile.prices == (profile_of(family).prices if family else None)


@pytest.mark.parametrize(
    ("today", "warned"),
    [
        (date(2026, 11, 14), False),
        (date(2026, 11, 15), True),
        (date(2027, 1, 14), True),
        (date(2030, 1, 1), True),
    ],
)
def test_a_model_is_warned_of_sixty_days_before_it_goes(today: date, warned: bool) -> None:
    warning = MINI.shutdown_warning(today)
    assert (warning == "gpt-4o-mini shuts down on 2027-01-14; gpt-6-luna takes its place") is warned
    assert (warning is None) is not warned


def test_a_model_that_stays_is_not_warned_of() -> None:
    assert profile_of("gpt-6-luna").shutdown_warning(date(2030, 1, 1)) is None
    assert Profile(name="x", shutdown=date(2030, 1, 1)).shutdown_warning(date(2030, 1, 1)) == "x shuts down on 2030-01-01"


# What a request says about the model


def body(profile: Profile, **settings: object) -> dict[str, object]:
    request = ChatRequest(model=profile.name, messages=(Message.user("hi"),), **settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return request_body(request, profile)


def test_more_tokens_than_the_model_can_give_are_not_asked_for() -> None:
    assert body(MINI, max_tokens=10**6)["max_completion_tokens"] == 16_384
    assert body(Profile(name="x"), max_tokens=10**6)["max_completion_tokens"] == 10**6


def test_what_a_model_does_not_take_is_not_sent() -> None:
    assert "temperature" not in body(Profile(name="x", sampling=False), temperature=1.0)
    assert body(profile_of("gpt-6-luna"))["reasoning_effort"] == "none"
    assert "reasoning_effort" not in body(MINI)


# In a run


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tier", "usd"), [("default", "0.000300"), ("priority", "0.000500"), ("flex", None)], ids=["default", "priority", "flex"]
)
async def test_the_tier_of_the_response_sets_the_price(scripted_server: ScriptedServer, tier: str, usd: str | None) -> None:
    scripted_server.script(Say("ok", usage=Tokens(input=1600, cached=800, output=200), service_tier=tier))

    async with Swarm() as swarm:
        run = await swarm.run(say, "hi")

    (call,) = [event for event in run.trace.events if isinstance(event, CallEnded)]
    assert (call.usd is None) == (usd is None)
    assert run.usage.usd == Decimal(usd or 0)
    assert run.usage.unpriced_requests == (usd is None)


@pytest.mark.anyio
async def test_small_prices_are_written_as_plain_decimal_numbers(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("ok", usage=Tokens(input=1, output=0)))

    async with Swarm() as swarm:
        run = await swarm.run(say, "hi")

    assert [event.usd for event in run.trace.events if isinstance(event, CallEnded)] == ["0.00000015"]


@pytest.mark.anyio
async def test_a_profile_of_the_callers_gives_the_prices(scripted_server: ScriptedServer) -> None:
    prices = {"default": Prices(input=Decimal(1), cached=Decimal(1), output=Decimal(2))}
    scripted_server.script(Say("ok", usage=Tokens(input=500_000, output=250_000)))

    async with Swarm(model=OpenAIModel("azure", profile=Profile(name="azure", prices=prices))) as swarm:
        assert (await swarm.run(say, "hi")).usage.usd == 1
