"""The scenarios of LangGraph's tests of cancellation, timeouts and failures, as graphs."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_none

from swarmlet import (
    DeadlineExceeded,
    Retry,
    RunStopped,
    StepFailed,
    Swarm,
    SwarmletError,
    best,
    current,
    each,
    graph,
    hedge,
    node,
    race,
    vote,
)
from swarmlet.trace import Journal
from swarmlet.trace.events import StepEnded
from tests.engine.quickly import quickly
from tests.scenarios.reading import chosen, ended, ran
from tests.scenarios.steps import add, total
from tests.scenarios.watching import Watch

pytestmark = pytest.mark.anyio


# Cancellation


async def test_a_step_is_stopped_when_the_caller_stops_waiting() -> None:
    watch = Watch()

    @node
    async def awhile(text: str) -> str:
        return await watch.forever(text)

    with anyio.move_on_after(0.05) as waiting:
        await quickly(awhile, "world")

    assert waiting.cancelled_caught
    assert (watch.begun, watch.stopped, watch.alive) == (["world"], ["world"], set())


async def test_a_failing_step_stops_the_other_and_its_error_is_the_one_that_leaves() -> None:
    watch = Watch()

    @node
    async def awhile() -> int:
        return await watch.forever("awhile")

    @node
    async def bad() -> int:
        await watch.until_begun("awhile")
        raise ValueError("I am bad")

    @graph
    def both() -> tuple[int, int]:
        return awhile(), bad()

    with pytest.raises(StepFailed, match="I am bad") as caught:
        await quickly(both)

    assert caught.value.path == "both/bad"
    assert watch.stopped == ["awhile"]
    assert caught.value.run is not None
    assert (ended(caught.value.run, "failed"), ended(caught.value.run, "cancelled")) == (["both/bad"], ["both/awhile"])


async def test_cleanup_that_waits_is_done_before_the_cancelled_run_returns() -> None:
    log: list[str] = []

    @node
    async def careful() -> None:
        try:
            log.append("in")
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.02)
                log.append("cleaned up")

    with anyio.move_on_after(0.02):
        await quickly(careful)

    log.append("returned")
    assert log == ["in", "cleaned up", "returned"]


async def test_what_a_cancelled_run_had_finished_is_in_the_journal(tmp_path: Path) -> None:
    watch = Watch()

    @node
    async def awhile(value: int) -> int:
        return await watch.forever(f"awhile {value}")

    @graph
    def whole(value: int) -> tuple[int, int]:
        return add(value), awhile(value)

    async with Swarm(journal=tmp_path / "journal") as swarm:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:

                async def run_it() -> None:
                    await swarm.run(whole, 1)

                group.start_soon(run_it)
                await watch.until_begun("awhile 1")
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
    journal = Journal(tmp_path / "journal")
    (summary,) = journal.runs()
    trace = journal.trace(summary.id)
    assert trace.state == "cancelled"
    assert trace.output("whole/add") == 2
    assert trace.step("whole/awhile").state == "cancelled"


async def test_leaving_a_stream_stops_what_runs_and_starts_nothing_more() -> None:
    watch = Watch()

    @node
    async def quick(value: int) -> int:
        await watch.until_begun("beside")
        return value + 2

    @node
    async def beside() -> int:
        return await watch.forever("beside")

    @node
    async def following(value: int) -> int:
        return await watch.forever("following")

    @graph
    def whole(value: int) -> tuple[int, int]:
        return following(quick(value)), beside()

    async with Swarm() as swarm:
        with anyio.fail_after(5):
            async with swarm.stream(whole, 1) as events:
                async for event in events:
                    if isinstance(event, StepEnded):
                        assert event.path == "whole/quick"
                        break
            assert watch.alive == set()
            assert "beside" in watch.stopped
            assert watch.begun in (["beside"], ["beside", "following"])
            assert events.trace.output("whole/quick") == 3
            assert events.trace.state == "cancelled"


async def test_a_timeout_runs_while_the_reader_of_the_stream_sleeps() -> None:
    watch = Watch()

    @node
    async def awhile() -> int:
        return await watch.forever("awhile")

    @graph
    def both() -> tuple[int, int]:
        return awhile(), add(1)

    seen: list[str] = []

    async def read(swarm: Swarm) -> None:
        async with swarm.stream(both.with_options(timeout=0.05)) as events:
            async for event in events:
                if isinstance(event, StepEnded):
                    seen.append(event.path)
                    await anyio.sleep(0.1)

    async with Swarm() as swarm:
        with pytest.raises(DeadlineExceeded) as caught:
            await read(swarm)
    assert caught.value.path == "both"
    assert seen == ["both/add", "both/awhile", "both"]
    assert watch.stopped == ["awhile"]


@pytest.mark.parametrize("how", ["scope", "close", "drain"])
async def test_no_task_is_left_of_a_stream_whose_run_was_stopped(how: str) -> None:
    before = len(anyio.get_running_tasks())
    watch = Watch()

    @node
    async def slow(name: str) -> str:
        return await watch.forever(name)

    swarm = Swarm()
    await swarm.__aenter__()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:

            async def read() -> None:
                with pytest.raises(RunStopped) if how != "scope" else anyio.CancelScope():
                    async with swarm.stream(each(slow), ["a", "b"]) as events:
                        async for _ in events:
                            await checkpoint()

            group.start_soon(read)
            await watch.until_begun("a", "b")
            if how == "scope":
                group.cancel_scope.cancel()
            elif how == "drain":
                await swarm.drain(timeout=0.01)
            else:
                await swarm.__aexit__(None, None, None)
        await swarm.__aexit__(None, None, None)
    assert (sorted(watch.stopped), watch.alive) == (["a", "b"], set())
    assert len(anyio.get_running_tasks()) == before


async def test_a_drained_swarm_lets_a_running_step_start_its_own_children() -> None:
    draining = anyio.Event()

    @node
    async def parent(value: int) -> int:
        await draining.wait()
        return await current().run(add, value)

    async with Swarm() as swarm:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:

                async def drain() -> None:
                    await anyio.wait_all_tasks_blocked()
                    group.start_soon(swarm.drain)
                    await anyio.wait_all_tasks_blocked()
                    draining.set()

                group.start_soon(drain)
                assert (await swarm.run(parent, 1)).output == 2
        with pytest.raises(SwarmletError, match="drained"):
            await swarm.run(parent, 1)


async def test_one_of_the_children_that_a_step_started_is_cancelled_by_it_and_the_other_is_kept() -> None:
    watch = Watch()

    @node
    async def mapper(value: int) -> str:
        with watch.over(str(value)):
            if value:
                await anyio.sleep_forever()
            return str(value) * 2

    @node
    async def parent(values: list[int]) -> list[str]:
        found: list[str] = []

        async def one(value: int, scope: anyio.CancelScope) -> None:
            with scope:
                found.append(await current().run(mapper, value))

        scopes = [anyio.CancelScope() for _ in values]
        async with anyio.create_task_group() as group:
            for value, scope in zip(values, scopes, strict=True):
                group.start_soon(one, value, scope)
            await watch.until_begun("1")
            scopes[1].cancel()
        return found

    run = await quickly(parent, [0, 1])
    assert run.output == ["00"]
    assert sorted(watch.begun) == ["0", "1"]
    assert watch.stopped == ["1"]
    assert Counter(step.state for step in run.trace.step("parent").children) == {"finished": 1, "cancelled": 1}


@pytest.mark.parametrize(("kind", "winners"), [("race", 1), ("vote", 2), ("best", 1), ("enough", 1)])
async def test_nothing_of_the_losers_is_alive_when_the_winner_is_given_out(kind: str, winners: int) -> None:
    watch = Watch()

    @node
    async def contest(value: int) -> int:
        number = len(watch.begun) + 1
        if number > winners:
            return await watch.forever(str(number))
        with watch.over(str(number)):
            await watch.until_begun(*map(str, range(winners + 1, 4)))
            return value

    def score(value: int) -> float:
        return value

    @node
    async def after(values: list[int]) -> int:
        await checkpoint()
        assert watch.alive == set()
        return values[0]

    @graph
    def whole(value: int) -> int:
        if kind == "enough":
            return after(each(contest, enough=1)([value] * 3))
        contests = {
            "race": race(contest, contest, contest),
            "vote": vote(contest, of=3),
            "best": best(contest, of=3, score=score, enough=0),
        }
        return after([contests[kind](value)])

    run = await quickly(whole, 7)
    assert run.output == 7
    assert watch.begun == ["1", "2", "3"]
    assert sorted(watch.stopped) == [str(number) for number in range(winners + 1, 4)]
    assert len(ended(run, "cancelled")) == 3 - winners


async def test_the_slow_try_of_a_hedge_is_dead_when_the_second_has_won() -> None:
    watch = Watch()

    @node
    async def search(value: int) -> int:
        if not watch.begun:
            return await watch.forever("first")
        with watch.over("second"):
            return value

    run = await quickly(hedge(search, after=0.01), 7)
    assert run.output == 7
    assert (watch.begun, watch.stopped, watch.alive) == (["first", "second"], ["first"], set())
    assert chosen(run) == {"search": "search[1]"}


# What fails is handled


async def test_a_graph_that_fails_inside_is_replaced_by_its_fallback() -> None:
    @node
    async def fails(text: str) -> str:
        raise ValueError("boom")

    @graph
    def inner(text: str) -> str:
        return fails(text)

    @node
    def handled(text: str) -> str:
        return f"handled {text}"

    @graph
    def outer(text: str) -> str:
        return inner.with_options(fallback=handled)(text)

    run = await quickly(outer, "x")
    assert run.output == "handled x"
    assert ended(run, "failed") == ["outer/inner/fails"]
    assert chosen(run) == {"outer/inner": "outer/inner/~handled"}


async def test_a_fallback_does_not_stand_in_for_a_cancelled_step() -> None:
    watch = Watch()
    asked: list[str] = []

    @node
    def instead(text: str) -> str:
        asked.append(text)
        return "instead"

    @node
    async def slow(text: str) -> str:
        return await watch.forever(text)

    @node
    async def bad(text: str) -> str:
        await watch.until_begun("x")
        raise LookupError(text)

    @graph
    def both(text: str) -> tuple[str, str]:
        return slow.with_options(fallback=instead)(text), bad(text)

    with pytest.raises(StepFailed, match="bad"):
        await quickly(both, "x")
    assert (watch.stopped, asked) == (["x"], [])


async def test_a_step_that_is_tried_again_is_told_as_one_step_with_its_attempts() -> None:
    @node
    async def flaky(value: int) -> int:
        if current().attempt < 3:
            raise ConnectionError("again")
        return value

    @graph
    def both(value: int) -> list[int]:
        return [add(value), flaky.with_options(retry=Retry(attempts=3, on=ConnectionError, wait=wait_none()))(value)]

    run = await quickly(both, 1)
    assert run.output == [2, 1]
    assert run.trace.step("both/flaky").attempts == 3
    assert sorted(ended(run)) == sorted(ran(run)) == ["both/add", "both/flaky"]


async def test_a_run_that_is_over_holds_nothing_of_what_it_was_given() -> None:
    class Big:
        """Something that can be watched."""

    @node
    async def use(big: Any) -> int:  # Any: the record cannot write it down
        await checkpoint()
        return 1

    @graph
    def whole(big: Any) -> int:  # Any: as above
        return total([use(big), use(big)])

    async with Swarm() as swarm:
        big = Big()
        gone = weakref.ref(big)
        run = await swarm.run(whole, big)
        assert run.output == 2
        del big
        gc.collect()
        assert gone() is None
