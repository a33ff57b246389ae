"""Calls that are not made: replies from the swarm's cache, and of other steps that were just asking the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmlet import (
    Budget,
    GraphError,
    MemoryCache,
    Run,
    SqliteCache,
    StepFailed,
    Swarm,
    agent,
    best,
    each,
    hedge,
    vote,
)
from swarmlet.testing import Fail, Hang, Say, ScriptedServer, Tokens
from swarmlet.trace.events import CallEnded, CallSaved

from .helpers import FAST

pytestmark = pytest.mark.anyio


@agent(str, max_tokens=100)
def ask(text: str) -> str:
    return text


shared = ask.with_options(cache=True)


def saved(run: Run[Any]) -> list[tuple[str, int, str | None]]:
    return [(event.source, event.input_tokens, event.usd) for event in run.trace.events if isinstance(event, CallSaved)]


async def test_the_same_call_at_the_same_time_is_made_once(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("yes", usage=Tokens(input=1000, output=1)))
    async with Swarm() as swarm:
        run = await swarm.run(each(shared), ["q"] * 5)
    assert run.output == ["yes"] * 5
    assert len(scripted_server.requests) == 1
    assert saved(run) == [("flight", 1000, "0.0001506")] * 4
    assert (run.usage.requests, run.usage.input_tokens) == (1, 1000)


async def test_without_the_option_every_call_is_made(scripted_server: ScriptedServer) -> None:
    scripted_server.when("", "yes")
    async with Swarm(cache=MemoryCache()) as swarm:
        await swarm.run(each(ask), ["q"] * 3)
    assert len(scripted_server.requests) == 3


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_kept_reply_is_not_paid_for_again(scripted_server: ScriptedServer, kind: str, tmp_path: Path) -> None:
    scripted_server.script("yes", "no")
    cache = MemoryCache() if kind == "memory" else SqliteCache(tmp_path / "replies.db")
    async with Swarm(cache=cache) as swarm:
        first = await swarm.run(shared, "q")
        again = await swarm.run(shared.with_options(budget=Budget(requests=1)), "q")
        other = await swarm.run(shared, "another q")
    assert (first.output, again.output, other.output) == ("yes", "yes", "no")
    assert again.usage.requests == 0
    assert [source for source, *_ in saved(again)] == ["cache"]
    assert again.trace.step("ask").saved[0].reply is not None
    if kind == "sqlite":
        async with Swarm(cache=SqliteCache(tmp_path / "replies.db")) as swarm:
            assert (await swarm.run(shared, "q")).output == "yes"
    assert len(scripted_server.requests) == 2


@pytest.mark.parametrize("sampling", ["vote", "best"])
async def test_independent_samples_are_never_merged(scripted_server: ScriptedServer, sampling: str) -> None:
    scripted_server.script("a", "a")
    node = vote(shared, of=2, quorum=2) if sampling == "vote" else best(shared, of=2, score=len)
    async with Swarm(cache=MemoryCache()) as swarm:
        run = await swarm.run(node.with_options(cache=True), "q")
    assert len(scripted_server.requests) == 2
    assert not saved(run)


async def test_the_second_try_of_a_hedge_is_a_call_of_its_own(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang(), "yes")
    async with Swarm(cache=MemoryCache()) as swarm:
        assert (await swarm.run(hedge(shared, after=0.05), "q")).output == "yes"
    assert len(scripted_server.requests) == 2


async def test_a_failed_call_is_tried_again_by_each_who_asked(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(500), "fine")
    async with Swarm() as swarm:
        run = await swarm.run(each(shared.with_options(retry=FAST)), ["q", "q", "q"])
    assert run.output == ["fine"] * 3
    assert [event.state for event in run.trace.events if isinstance(event, CallEnded)] == ["failed", "finished"]


async def test_a_reply_that_led_to_nothing_is_forgotten(scripted_server: ScriptedServer) -> None:
    @agent(int, repairs=0)
    def number(text: str) -> str:
        return text

    scripted_server.script("not a number", {"value": 3})
    async with Swarm(cache=MemoryCache()) as swarm:
        with pytest.raises(StepFailed):
            await swarm.run(number.with_options(cache=True), "q")
        assert (await swarm.run(number.with_options(cache=True), "q")).output == 3


async def test_what_is_streamed_is_asked_for(scripted_server: ScriptedServer) -> None:
    scripted_server.when("", "yes")
    async with Swarm(cache=MemoryCache()) as swarm:
        for _ in range(2):
            async with swarm.stream(shared, "q") as stream:
                async for _event in stream:
                    pass
    assert len(scripted_server.requests) == 2


async def test_what_the_provider_s_cache_saved_is_in_the_trace(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("yes", usage=Tokens(input=2000, output=1, cached=1000)))
    async with Swarm() as swarm:
        run = await swarm.run(ask, "q")
    (ended,) = [event for event in run.trace.events if isinstance(event, CallEnded)]
    assert ended.saved_usd == "0.000075"


def test_the_option_is_yes_or_no() -> None:
    with pytest.raises(GraphError, match="cache= is True or False"):
        ask.with_options(cache=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(GraphError, match="priority= is a whole number"):
        ask.with_options(priority=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
