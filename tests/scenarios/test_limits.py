"""The scenarios of Inspect's tests of time limits: one inside another, which one fired, what is waiting and what is working."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import anyio
import openai as _openai  # noqa: F401  # pyright: ignore[reportUnusedImport]  # paid here, not within a test's time
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_fixed, wait_none

from swarmlet import (
    Again,
    DeadlineExceeded,
    Done,
    Failed,
    GraphError,
    Limits,
    Node,
    Retry,
    StepFailed,
    Swarm,
    agent,
    best,
    cascade,
    current,
    each,
    graph,
    hedge,
    loop,
    node,
    race,
    run,
    vote,
)
from swarmlet.errors import ModelUnavailable, TurnsExhausted
from swarmlet.testing import Fail, Gate, Hang, Held, ScriptedServer, call
from tests.engine.quickly import quickly
from tests.scenarios.reading import chosen, ended, ran
from tests.scenarios.watching import Watch

pytestmark = pytest.mark.anyio


@node
async def pause(seconds: float) -> float:
    await anyio.sleep(seconds)
    return seconds


@node
async def forever() -> None:
    await anyio.sleep_forever()


async def exceeded(of: Node[..., object], /, *args: object) -> DeadlineExceeded:
    """The deadline that a run runs into."""
    with pytest.raises(DeadlineExceeded) as caught:
        await quickly(of, *args)
    return caught.value


def exceptions(group: BaseException | None) -> list[BaseException]:
    """The errors of a group."""
    assert isinstance(group, BaseExceptionGroup)
    return list(cast("BaseExceptionGroup[BaseException]", group).exceptions)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


# One limit


@pytest.mark.parametrize("timeout", [0, -0.1, float("inf"), float("nan"), True])
def test_a_limit_that_cannot_be_kept_is_refused_when_it_is_set(timeout: float) -> None:
    with pytest.raises(GraphError, match="timeout="):
        pause.with_options(timeout=timeout)


async def test_without_a_limit_and_within_it_nothing_is_stopped() -> None:
    assert (await quickly(pause, 0.01)).output == 0.01
    assert (await quickly(pause.with_options(timeout=5, deadline=soon(5)), 0.01)).output == 0.01


async def test_a_limit_that_is_exceeded_is_named_with_what_was_done_until_then() -> None:
    @graph
    def whole() -> tuple[float, None]:
        return pause(0.0), forever()

    error = await exceeded(whole.with_options(timeout=0.05))
    assert (error.path, error.timeout, error.limit) == ("whole", 0.05, "timeout")
    assert error.run is not None
    assert 0.04 < error.run.trace.seconds < 3
    assert error.run.trace.state == "failed"
    assert ended(error.run) == ["whole/pause"]
    assert ended(error.run, "cancelled") == ["whole/forever"]


async def test_a_limit_holds_for_its_node_and_not_for_what_comes_after() -> None:
    @node
    def late(seconds: float) -> float:
        return seconds + 0.1

    @graph
    def whole() -> float:
        return pause(late(pause.with_options(timeout=0.05)(0.0)))

    assert (await quickly(whole)).output == 0.1


@pytest.mark.parametrize("limit", ["its own", "the graph's"])
async def test_an_error_of_the_cleanup_after_a_limit_is_not_lost(limit: str) -> None:
    """After the step's own limit it is the error that leaves; after that of the graph around it, the record has it."""

    @node
    async def crashes() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("cleanup crashed")

    @graph
    def within() -> None:
        crashes()

    limited, kind = (crashes, StepFailed) if limit == "its own" else (within, DeadlineExceeded)
    with pytest.raises((StepFailed, DeadlineExceeded)) as caught:
        await quickly(limited.with_options(timeout=0.02))
    assert type(caught.value) is kind
    assert caught.value.run is not None
    failed = caught.value.run.trace.step("crashes" if limit == "its own" else "within/crashes")
    assert failed.state == "failed"
    assert failed.ended is not None
    assert failed.ended.error is not None
    assert failed.ended.error.message == "cleanup crashed"


async def test_a_node_with_a_limit_may_be_used_often_and_each_use_has_the_whole_time() -> None:
    limited = pause.with_options(timeout=0.25)

    @graph
    def thrice() -> float:
        return limited(limited(limited(0.1)))

    assert (await quickly(thrice)).output == 0.1


# Limits inside one another


@pytest.mark.parametrize(("outer", "inner", "path"), [(0.05, 10, "whole"), (10, 0.05, "whole/inner"), (0.05, None, "whole")])
async def test_of_two_limits_the_one_that_runs_out_is_the_one_that_is_named(
    outer: float, inner: float | None, path: str
) -> None:
    limited = forever.with_options(name="inner") if inner is None else forever.with_options(name="inner", timeout=inner)

    @graph
    def whole() -> None:
        limited()

    error = await exceeded(whole.with_options(timeout=outer))
    assert (error.path, error.timeout) == (path, 0.05)


async def test_limits_hold_through_maps_loops_graphs_and_children() -> None:
    @node
    async def child(seconds: float) -> float:
        return await current().run(pause, seconds)

    @node
    def again(seconds: float) -> Again[float] | Done[float]:
        return Again(seconds)

    @graph
    def body(seconds: float) -> Again[float] | Done[float]:
        return again(child(seconds))

    @graph
    def whole(items: list[float]) -> list[float]:
        return each(loop(body, rounds=1000))(items)

    error = await exceeded(whole.with_options(timeout=0.05), [0.01, 0.02])
    assert error.path == "whole"


@pytest.mark.parametrize("kept", ["outer", "inner"])
async def test_whose_limit_it_was_decides_what_is_kept(kept: str) -> None:
    """A limit inside a kept item costs that item; one around the map costs the map."""
    item = pause.with_options(timeout=0.05 if kept == "inner" else 10)
    mapped = each(item, on_error="keep")
    if kept == "inner":
        first, second = (await quickly(mapped, [0.0, 10.0])).output
        assert first == 0.0
        assert isinstance(second, Failed)
        assert (second.path, second.type) == ("pause[1]", "DeadlineExceeded")
    else:
        assert (await exceeded(mapped.with_options(timeout=0.05), [0.0, 10.0])).path == "pause"


async def test_who_starts_workers_anew_at_each_of_their_limits_is_still_stopped_by_its_own() -> None:
    started = 0

    @node
    async def worker() -> None:
        nonlocal started
        started += 1
        await anyio.sleep_forever()

    @node
    async def boss() -> None:
        while True:
            with suppress(DeadlineExceeded):
                await current().run(worker.with_options(timeout=0.02))

    error = await exceeded(boss.with_options(timeout=0.2))
    assert error.path == "boss"
    assert 2 <= started <= 10


@pytest.mark.parametrize("held", [False, True])
async def test_of_two_limits_that_have_run_out_the_outer_is_named_and_the_inner_starts_nothing_anew(held: bool) -> None:
    """Else who starts a worker anew at each of its limits would never hear of its own."""
    watch = Watch()
    instead: list[str] = []

    @node
    async def slow() -> str:
        if held:
            await anyio.sleep(0.01)
            time.sleep(0.1)  # noqa: ASYNC251  # holds the event loop until both have run out
        return await watch.forever("slow")

    @node
    def fallback() -> str:
        instead.append("fallback")
        return "fallback"

    @graph
    def whole() -> str:
        return slow.with_options(timeout=0.05, fallback=fallback)()

    error = await exceeded(whole.with_options(timeout=0.05))
    assert error.path == "whole"
    assert (instead, watch.alive) == ([], set())


async def test_a_limit_of_the_callers_own_is_a_timeout_of_the_callers() -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await run(forever.with_options(timeout=10))


# Moments, and what is kept for later


async def test_a_moment_that_has_passed_stops_a_node_before_anything_of_it_runs() -> None:
    error = await exceeded(forever.with_options(deadline=soon(-1)))
    assert (error.path, error.limit) == ("forever", "deadline")
    assert error.timeout <= 0
    assert "had passed" in str(error)


@pytest.mark.parametrize(
    ("seconds", "moment", "limit"), [(0.05, 10, "timeout"), (10, 0.05, "deadline"), (None, 0.05, "deadline")]
)
async def test_of_a_time_and_a_moment_the_nearer_holds(seconds: float | None, moment: float, limit: str) -> None:
    limited = forever.with_options(timeout=seconds, deadline=soon(moment))
    assert (await exceeded(limited)).limit == limit


async def test_a_slice_of_the_time_around_is_kept_for_the_steps_that_follow() -> None:
    @node
    async def ending(found: list[float | str]) -> str:
        await anyio.sleep(0.05)
        return f"ended with {len(found)}"

    @node
    def too_late(seconds: float) -> str:
        return "too late"

    # the type of `pause` is widened, so that the fallback may give text
    @node(name="search")
    async def search(seconds: float) -> float | str:
        return await current().run(pause, seconds)

    @graph
    def whole() -> str:
        return ending([search.with_options(reserve=0.6, fallback=too_late)(10.0)])

    found = await quickly(whole.with_options(timeout=0.8))
    assert found.output == "ended with 1"
    assert chosen(found) == {"whole/search": "whole/search/~too_late"}
    assert 0.2 < found.trace.seconds < 0.8


async def test_a_slice_means_nothing_where_there_is_no_time_around() -> None:
    assert (await quickly(each(pause).with_options(reserve=0.01), [0.0])).output == [0.0]
    with pytest.raises(DeadlineExceeded) as caught, anyio.fail_after(0.2):
        await run(forever.with_options(reserve=0.15))
    assert caught.value.limit == "reserve"


# Waiting and working


async def test_waiting_for_a_place_does_not_count_for_the_step_that_waits() -> None:
    limited = pause.with_options(timeout=0.25)
    mapped = each(limited).with_options(concurrency=1)
    assert (await quickly(mapped, [0.1] * 3)).output == [0.1] * 3


async def test_waiting_for_a_place_counts_for_the_node_around() -> None:
    mapped = each(pause).with_options(concurrency=1, timeout=0.15)
    error = await exceeded(mapped, [0.08] * 4)
    assert error.path == "pause"
    assert error.run is not None
    assert ended(error.run) == ["pause[0]"]
    assert "pause[3]" not in ran(error.run)


async def test_waits_between_attempts_count_and_a_wait_that_does_not_fit_is_not_begun() -> None:
    attempts = 0

    @node
    async def flaky() -> None:
        nonlocal attempts
        attempts += 1
        raise ConnectionError(attempts)

    patient = flaky.with_options(retry=Retry(attempts=100, on=ConnectionError, wait=wait_fixed(0.05)), timeout=0.12)
    with pytest.raises(StepFailed) as caught:
        await quickly(patient)
    assert 1 <= attempts <= 3
    assert caught.value.run is not None
    assert caught.value.run.trace.seconds < 1


async def test_a_limit_is_not_an_error_that_the_step_itself_tries_again() -> None:
    begun = 0

    @node
    async def slow() -> None:
        nonlocal begun
        begun += 1
        await anyio.sleep_forever()

    limited = slow.with_options(retry=Retry(attempts=5, on=Exception, wait=wait_none()), timeout=0.05)
    assert (await exceeded(limited)).path == "slow"
    assert begun == 1


# Limits and combinators


@pytest.mark.parametrize("kind", ["race", "hedge", "vote", "best", "cascade"])
async def test_a_limit_stops_all_of_a_contest(kind: str) -> None:
    watch = Watch()

    @node
    async def one(text: str) -> str:
        await checkpoint()
        return await watch.forever(text)

    def score(text: str) -> float:
        return len(text)

    def accept(text: str) -> bool:
        return True

    contest = {
        "race": race(one, one),
        "hedge": hedge(one, after=0),
        "vote": vote(one, of=3),
        "best": best(one, of=3, score=score),
        "cascade": cascade(one, one, accept=accept),
    }[kind]
    error = await exceeded(contest.with_options(timeout=0.05), "x")
    assert error.path == contest.name
    assert watch.alive == set()
    assert len(watch.stopped) == len(watch.begun) >= 1


async def test_a_runner_out_of_time_loses_its_race_and_a_rung_out_of_time_is_followed_by_the_next() -> None:
    @node
    async def quick(text: str) -> str:
        await anyio.sleep(0.1)
        return text

    @node
    async def slow(text: str) -> str:
        await anyio.sleep_forever()
        return text

    def accept(text: str) -> bool:
        return True

    limited = slow.with_options(timeout=0.02)
    assert (await quickly(race(limited, quick), "x")).output == "x"
    assert (await quickly(cascade(limited, quick, accept=accept), "x")).output == "x"
    assert (await quickly(hedge(quick.with_options(timeout=5), after=0.01), "x")).output == "x"
    with pytest.raises(StepFailed) as caught:
        await quickly(race(limited, limited), "x")
    assert [type(error) for error in exceptions(caught.value.__cause__)] == [DeadlineExceeded] * 2


# Limits and models


@agent(str)
def say(text: str) -> str:
    return text


async def test_a_call_that_hangs_is_hung_up_on_at_the_limit(scripted_server: ScriptedServer) -> None:
    scripted_server.script("the first call opens the client", Hang())
    async with Swarm() as swarm:
        await swarm.run(say, "hi")
        with pytest.raises(DeadlineExceeded) as caught:
            await swarm.run(say.with_options(timeout=0.5), "hi")
    assert caught.value.path == "say"
    assert caught.value.run is not None
    (attempt,) = caught.value.run.trace.step("say").calls
    assert attempt.state == "cancelled"
    await scripted_server.wait_for_async(disconnects=1)


async def test_waiting_for_the_swarms_limits_counts_for_an_agent(scripted_server: ScriptedServer) -> None:
    gate = Gate()
    scripted_server.script(Held("first", gate))
    outputs: list[str] = []
    errors: list[DeadlineExceeded] = []
    async with Swarm(limits=Limits(concurrency=1)) as swarm, anyio.create_task_group() as group:

        async def first() -> None:
            outputs.append((await swarm.run(say, "one")).output)

        group.start_soon(first)
        await scripted_server.wait_for_async(in_flight=1)
        with pytest.raises(DeadlineExceeded) as caught:
            await swarm.run(say.with_options(timeout=0.1), "two")
        errors.append(caught.value)
        gate.open()
    assert outputs == ["first"]
    assert errors[0].run is not None
    assert errors[0].run.trace.step("say").calls == []
    assert len(scripted_server.requests) == 1


async def test_a_retry_that_would_come_too_late_is_not_sent(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(503, headers={"retry-after": "30"}))
    with pytest.raises(StepFailed) as caught:
        await quickly(say.with_options(timeout=3), "hi")
    assert isinstance(caught.value.__cause__, ModelUnavailable)


@pytest.mark.parametrize("turns", [1, 3])
async def test_an_agent_makes_exactly_as_many_turns_as_it_may(scripted_server: ScriptedServer, turns: int) -> None:
    used: list[int] = []

    async def look(at: int) -> str:
        used.append(at)
        return "nothing"

    @agent(str, tools=[look], max_turns=turns)
    def searcher(text: str) -> str:
        return text

    scripted_server.script(*(call("look", at=number) for number in range(turns)))
    with pytest.raises(StepFailed) as caught:
        await quickly(searcher, "hi")
    assert isinstance(caught.value.__cause__, TurnsExhausted)
    assert used == list(range(turns - 1))
    assert caught.value.run is not None
    assert caught.value.run.usage.requests == turns


async def test_a_tool_out_of_time_is_told_to_the_model_and_a_tools_agent_is_counted_in_the_whole(
    scripted_server: ScriptedServer,
) -> None:
    @agent(str)
    def helper(text: str) -> str:
        """You help."""
        return f"help with {text}"

    @agent(str, tools=[helper.with_options(timeout=0.6)])
    def asks(text: str) -> str:
        """You ask."""
        return text

    scripted_server.script(call("helper", text="a"), Hang(), call("helper", text="b"), "helped", "done")
    found = await quickly(asks, "hi")
    assert found.output == "done"
    first, second = (list(scripted_server.requests[number].tool_results.values()) for number in (2, 4))
    assert "took longer than its timeout of 0.6 s" in first[0]
    assert second[-1] == "helped"
    assert found.usage.requests == 5
    assert [tool.state for tool in found.trace.step("asks").tools] == ["failed", "finished"]
