"""What of a call's end counts for its endpoint's circuit, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
import pytest

from swarmlet import StepFailed, Swarm, node
from swarmlet.errors import (
    CircuitOpen,
    ContextTooLong,
    ModelUnavailable,
    NoApiKey,
    QuotaExhausted,
    RateLimited,
    ReplyMalformed,
    RequestRejected,
)
from swarmlet.models.breaker import Breakers
from swarmlet.policy.breaker import Breaker

KEY = "https://models.example/v1"
SETTINGS = Breaker(failures=2, seconds=30)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def call(breakers: Breakers, error: BaseException | None = None, key: str = KEY) -> None:
    """One call that ends so; `CircuitOpen` is raised."""
    with suppress(*([type(error)] if error is not None else [])), breakers.guard(key):
        if error is not None:
            raise error


def opened(clock: Clock) -> Breakers:
    breakers = Breakers(SETTINGS, clock)
    for _ in range(2):
        call(breakers, ModelUnavailable("503 overloaded"))
    return breakers


@pytest.mark.parametrize("error", [ModelUnavailable("503"), ModelUnavailable("lost"), ReplyMalformed("<html>")], ids=str)
def test_what_fails_opens_it(error: Exception) -> None:
    breakers = Breakers(SETTINGS, Clock())
    call(breakers, error)
    assert breakers.state(KEY) == "closed"
    call(breakers, error)
    assert breakers.state(KEY) == "open"


@pytest.mark.parametrize(
    "error", [RequestRejected("400"), QuotaExhausted("429"), ContextTooLong("400"), RateLimited("429"), None], ids=str
)
def test_an_answer_closes_it_if_it_is_the_trial(error: Exception | None) -> None:
    clock = Clock()
    breakers = opened(clock)
    clock.now = 30
    assert breakers.state(KEY) == "half-open"
    call(breakers, error)
    assert breakers.state(KEY) == "closed"


@pytest.mark.parametrize("error", [RateLimited("429"), NoApiKey("none"), OSError("a bug"), KeyboardInterrupt()], ids=repr)
def test_what_tells_nothing_of_the_endpoint_neither_counts_nor_ends_a_row(error: BaseException) -> None:
    breakers = Breakers(SETTINGS, Clock())
    for one in (ModelUnavailable("503"), error, error, error):
        call(breakers, one)
        assert breakers.state(KEY) == "closed"
    call(breakers, ModelUnavailable("503"))
    assert breakers.state(KEY) == "open"


def test_an_open_circuit_refuses_at_once_and_says_how_long_and_why() -> None:
    clock = Clock()
    breakers = opened(clock)
    clock.now = 10
    refusals: list[Callable[[], None]] = [lambda: breakers.check(KEY), lambda: call(breakers)]
    for refused in refusals:
        with pytest.raises(CircuitOpen, match=r"models\.example/v1 .* in 20 s; the last failure: Model") as caught:
            refused()
        assert caught.value.retry_after == 20
        assert isinstance(caught.value, ModelUnavailable)
    clock.now = 30
    breakers.check(KEY)
    with breakers.guard(KEY):
        assert breakers.state(KEY) == "half-open"
        with pytest.raises(CircuitOpen, match="one call is trying it"):
            breakers.check(KEY)
    breakers.check(KEY)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("https://me:hunter2@models.example/v1?code=hunter2#small", "https://models.example/v1#small"),
        ("https://[hunter2/v1", "the endpoint"),
        ("scripted", "scripted"),
    ],
)
def test_no_secret_of_a_url_is_told(key: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    breakers = Breakers(Breaker(failures=1), Clock())
    with caplog.at_level("INFO", logger="swarmlet"):
        call(breakers, ModelUnavailable("503"), key)
    with pytest.raises(CircuitOpen) as caught:
        breakers.check(key)
    assert f"not sent: {shown} has failed" in str(caught.value)
    assert "hunter2" not in f"{caught.value}{[vars(record) for record in caplog.records]}"


def test_endpoints_are_apart() -> None:
    clock = Clock()
    breakers = opened(clock)
    call(breakers, key="other")
    breakers.check("a third")
    assert breakers.states() == {KEY: "open", "other": "closed"}
    assert breakers.state("a third") == "closed"


def test_its_opening_and_closing_are_logged_without_what_the_server_said(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level("INFO", logger="swarmlet"):
        breakers = opened(clock)
        clock.now = 31
        call(breakers)
    assert [record.message for record in caplog.records] == ["circuit opened", "circuit closed"]
    assert "overloaded" not in caplog.text + str([vars(record) for record in caplog.records])


@pytest.mark.anyio
async def test_of_many_that_wait_one_tries_it_and_a_cancelled_trial_makes_room() -> None:
    clock = Clock()
    breakers = opened(clock)
    clock.now = 30
    sent = refused = 0

    async def one(seconds: float) -> None:
        nonlocal sent, refused
        try:
            with breakers.guard(KEY):
                sent += 1
                await anyio.sleep(seconds)
        except CircuitOpen:
            refused += 1

    with anyio.move_on_after(0.01):
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one, 60)
    assert (sent, refused, breakers.state(KEY)) == (1, 99, "half-open")
    await one(0)
    assert (sent, breakers.state(KEY)) == (2, "closed")


@pytest.mark.anyio
async def test_in_a_run_the_fallback_comes_at_once() -> None:
    breakers = opened(Clock())

    @node
    async def ask(text: str) -> str:
        with breakers.guard(KEY):
            return text

    @node
    async def other(text: str) -> str:
        return f"{text}, from elsewhere"

    with anyio.fail_after(5):
        async with Swarm() as swarm:
            assert (await swarm.run(ask.with_options(fallback=other), "hi")).output == "hi, from elsewhere"
            with pytest.raises(StepFailed) as caught:
                await swarm.run(ask, "hi")
    assert isinstance(caught.value.__cause__, CircuitOpen)
