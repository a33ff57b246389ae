"""A swarm opens what runs share, starts runs, and closes everything again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import BaseModel

from swarmlet import (
    GraphError,
    PartialRun,
    Retry,
    Run,
    StepFailed,
    Swarm,
    SwarmletError,
    current,
    each,
    graph,
    node,
    run,
    run_sync,
)
from swarmlet.errors import RunStopped
from swarmlet.trace import StepStarted
from swarmlet.trace.journal import Journal

pytestmark = pytest.mark.anyio


class Report(BaseModel):
    text: str


@node
async def inc(count: int) -> int:
    await checkpoint()
    return count + 1


@node
async def fail(secret: str) -> str:
    await checkpoint()
    raise ValueError(f"cannot read {secret}")


class Resource:
    """Tells when it is opened and closed."""

    log: list[str]

    def __init__(self, log: list[str]) -> None:
        self.log = log


class First(Resource): ...


class Second(Resource): ...


class Third(Resource): ...


def opener(made: Resource, *, fails: bool = False) -> Any:  # Any: a function that gives a context manager
    name = type(made).__name__

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Resource, None]:
        if fails:
            raise ConnectionError(f"{name} is down")
        made.log.append(f"open {name}")
        try:
            await checkpoint()
            yield made
        finally:
            await checkpoint()
            made.log.append(f"close {name}")

    return opened


# Opening and closing


async def test_a_swarm_that_is_not_open_starts_no_run() -> None:
    swarm = Swarm()
    with pytest.raises(SwarmletError, match="this swarm is not open: use `async with"):
        await swarm.run(inc, 1)
    with pytest.raises(SwarmletError, match="this swarm is not open"):
        await swarm.stream(inc, 1).__aenter__()
    async with swarm:
        await swarm.run(inc, 1)
    with pytest.raises(SwarmletError, match="this swarm is not open"):
        await swarm.run(inc, 1)


async def test_a_swarm_is_not_opened_twice_but_can_be_opened_again() -> None:
    async with Swarm() as swarm:
        with pytest.raises(SwarmletError, match="open already"):
            await swarm.__aenter__()
        assert (await swarm.run(inc, 1)).output == 2
    async with swarm:
        assert (await swarm.run(inc, 2)).output == 3


async def test_resources_are_values_or_opened_in_order_and_closed_in_reverse() -> None:
    log: list[str] = []
    second = Second(log)

    @node
    def uses() -> bool:
        log.append("use")
        return current().get(Second) is second

    async with Swarm(resources={First: opener(First(log)), Second: second, Third: opener(Third(log))}) as swarm:
        assert (await swarm.run(uses)).output
    assert log == ["open First", "open Third", "use", "close Third", "close First"]


async def test_a_resource_that_cannot_be_opened_closes_those_that_were() -> None:
    log: list[str] = []
    swarm = Swarm(resources={First: opener(First(log)), Second: opener(Second(log), fails=True), Third: opener(Third(log))})
    with pytest.raises(ConnectionError, match="Second is down"):
        await swarm.__aenter__()
    assert log == ["open First", "close First"]
    with pytest.raises(SwarmletError, match="not open"):
        await swarm.run(inc, 1)


async def test_what_is_no_resource_is_named() -> None:
    def gives_nothing() -> None:
        return None

    with pytest.raises(GraphError, match=r"resources\[First\] is neither a First nor a function that opens one"):
        await Swarm(resources={First: 3}).__aenter__()
    with pytest.raises(GraphError, match=r"resources\[First\]\(\) gave None, which is not an async context manager"):
        await Swarm(resources={First: gives_nothing}).__aenter__()


async def test_resources_are_closed_when_a_run_fails_or_the_body_does() -> None:
    log: list[str] = []

    async def failing(error: Exception | None) -> None:
        async with Swarm(resources={First: opener(First(log))}) as swarm:
            if error is not None:
                raise error
            await swarm.run(fail, "it")

    with pytest.raises(StepFailed):
        await failing(None)
    with pytest.raises(LookupError):
        await failing(LookupError())
    assert log == ["open First", "close First"] * 2


# Runs


async def test_runs_of_one_swarm_go_side_by_side() -> None:
    met = [anyio.Event(), anyio.Event()]

    @node
    async def meets(index: int) -> int:
        met[index].set()
        await met[1 - index].wait()
        return index

    ids: set[str] = set()

    async def one(index: int) -> None:
        result = await swarm.run(meets, index)
        assert result.output == index
        ids.add(result.id)

    with anyio.fail_after(5):
        async with Swarm() as swarm, anyio.create_task_group() as group:
            group.start_soon(one, 0)
            group.start_soon(one, 1)
    assert len(ids) == 2


async def test_a_run_has_its_output_id_usage_and_trace() -> None:
    result = await run(each(inc), [1, 2])
    assert isinstance(result, Run)
    assert result.output == [2, 3]
    assert result.id == result.trace.run_id
    assert result.usage.total_tokens == 0
    assert result.trace.state == "finished"
    assert result.trace.ended is not None
    assert result.trace.value(result.trace.ended.output) == [2, 3]
    assert result.trace.value(result.trace.started.inputs["count"]) == [1, 2]


async def test_a_failed_run_has_what_was_done() -> None:
    @graph
    def whole(count: int) -> list[Any]:  # Any: never given
        return [inc(count), fail("it")]

    with pytest.raises(StepFailed) as caught:
        await run(whole, 1)
    partial = caught.value.run
    assert isinstance(partial, PartialRun)
    assert not isinstance(partial, Run)
    assert partial.trace.state == "failed"
    assert partial.usage.requests == 0
    assert partial.trace.started.name == "whole"


async def test_values_come_back_from_the_trace_by_their_type() -> None:
    @node
    def write(text: str) -> Report:
        return Report(text=text)

    result = await run(each(write), ["a"])
    assert result.trace.output("write[0]") == {"text": "a"}


def test_run_sync_is_run_for_code_that_is_not_async() -> None:
    assert run_sync(inc, count=3).output == 4
    with pytest.raises(StepFailed, match="cannot read it"):
        run_sync(fail, "it")


# Capture


async def test_without_capture_no_value_and_no_error_text_is_recorded() -> None:
    @node
    async def flaky(secret: str) -> str:
        if current().attempt == 1:
            raise ValueError(f"cannot read {secret}")
        return secret

    @graph
    def whole(secret: str) -> list[Any]:  # Any: the second never comes
        return [flaky.with_options(retry=Retry(on=ValueError))(secret), each(fail, on_error="keep")([secret]), fail(secret)]

    seen: list[Any] = []

    async def watch() -> None:
        async with Swarm(capture=False) as swarm, swarm.stream(whole, "xyzzy") as stream:
            async for event in stream:
                seen.append(event)

    with pytest.raises(StepFailed, match="xyzzy") as caught:
        await watch()
    assert caught.value.run is not None
    assert "xyzzy" not in repr(seen)
    assert "xyzzy" not in repr(caught.value.run.trace.events)
    assert caught.value.run.trace.value(caught.value.run.trace.started.inputs["secret"]) is None
    faults = [event.error for event in seen if getattr(event, "error", None)]
    assert {fault.message for fault in faults} == {""}
    assert {fault.type for fault in faults} >= {"ValueError", "StepFailed"}


# The journal


async def test_the_journal_tells_how_each_run_ended(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    running = anyio.Event()

    @node
    async def forever() -> int:
        running.set()
        await anyio.sleep_forever()
        return 1

    with anyio.fail_after(5):
        async with Swarm(journal=path) as swarm:
            finished = await swarm.run(inc, 1)
            with pytest.raises(StepFailed) as caught:
                await swarm.run(fail, "it")
            async with anyio.create_task_group() as group:
                group.start_soon(swarm.run, forever)
                await running.wait()
                group.cancel_scope.cancel()
    journal = Journal(path)
    states = {entry.id: journal.trace(entry.id).state for entry in journal.runs()}
    assert caught.value.run is not None
    assert states.pop(finished.id) == "finished"
    assert states.pop(caught.value.run.id) == "failed"
    assert list(states.values()) == ["cancelled"]


async def test_closing_the_swarm_stops_runs_of_other_tasks_and_waits_for_them() -> None:
    ended: list[str] = []
    started = anyio.Event()

    @node
    async def wait(seconds: int) -> int:
        started.set()
        try:
            await anyio.sleep(seconds)
        finally:
            ended.append("step")
        return seconds

    async def elsewhere(swarm: Swarm) -> None:
        with pytest.raises(RunStopped, match="was stopped, because its swarm was closed") as caught:
            await swarm.run(wait, 600)
        assert caught.value.run is not None
        assert caught.value.run.trace.state == "cancelled"
        ended.append("run")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with Swarm() as swarm:
                group.start_soon(elsewhere, swarm)
                await started.wait()
            assert ended[0] == "step"


async def test_a_stream_tells_its_trace_and_usage_also_after_it_was_left_early() -> None:
    @node
    def one(number: int) -> int:
        return number

    @node
    async def never(number: int) -> int:
        await anyio.sleep_forever()
        return number

    @graph
    def both(number: int) -> int:
        return never(one(number))

    async with Swarm() as swarm, swarm.stream(both, 1) as stream:
        async for event in stream:
            if isinstance(event, StepStarted) and event.path == "both/never":
                break
    assert stream.trace.state == "cancelled"
    assert stream.trace.output("both/one") == 1
    assert stream.usage.requests == 0


async def test_run_sync_inside_an_event_loop_says_what_to_write_instead() -> None:
    with pytest.raises(SwarmletError, match=r"use `await run\(\.\.\.\)`"):
        run_sync(inc, 1)


async def test_a_step_cannot_close_the_swarm_that_it_runs_in() -> None:
    swarm = Swarm()

    @node
    async def close(number: int) -> int:
        await swarm.__aexit__(None, None, None)
        return number

    with anyio.fail_after(5):
        async with swarm:
            with pytest.raises(StepFailed, match="cannot close the swarm that it runs in"):
                await swarm.run(close, 1)
            assert (await swarm.run(inc, 1)).output == 2
