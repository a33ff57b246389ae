"""A stream gives the events of a run as they happen, and ends with the run."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Node, Run, StepFailed, Swarm, SwarmletError, each, graph, node
from swarmlet.swarm.stream import Stream

pytestmark = pytest.mark.anyio


@node
async def inc(count: int) -> int:
    await checkpoint()
    return count + 1


@node
async def fail(count: int) -> int:
    await checkpoint()
    raise ValueError(f"no {count}")


async def listen(stream: Stream[Any], kinds: list[str]) -> None:  # Any: streams of every type
    async for event in stream:
        kinds.append(event.kind)


async def drain(of: Node[..., Any], *args: object) -> None:  # Any: nodes of every type
    """Iterate over a run to its end."""
    with anyio.fail_after(5):
        async with Swarm() as swarm, swarm.stream(of, *args) as stream:
            await listen(stream, [])


async def leave_at(kind: str, of: Node[..., Any], *args: object, error: BaseException | None = None) -> None:  # Any: as above
    """Leave the block of a run at an event of this kind, when all is quiet."""
    with anyio.fail_after(5):
        async with Swarm() as swarm, swarm.stream(of, *args) as stream:
            async for event in stream:
                if event.kind == kind:
                    await anyio.wait_all_tasks_blocked()
                    if error is not None:
                        raise error
                    break


async def test_events_come_in_order_and_complete_and_then_the_output() -> None:
    async with Swarm() as swarm, swarm.stream(each(inc), [1, 2]) as stream:
        seen = [event async for event in stream]
        assert stream.output == [2, 3]
        assert isinstance(stream.result, Run)
        assert tuple(seen) == stream.result.trace.events
        assert stream.id == stream.result.id
        assert [event async for event in stream] == []
    assert stream.output == [2, 3]
    assert (seen[0].kind, seen[-1].kind) == ("run_started", "run_ended")


async def test_events_come_while_the_run_goes_on() -> None:
    heard = anyio.Event()

    @node
    async def waits_to_be_heard(count: int) -> int:
        await heard.wait()
        return count

    with anyio.fail_after(5):
        async with Swarm() as swarm, swarm.stream(waits_to_be_heard, 1) as stream:
            async for event in stream:
                if event.kind == "step_started":
                    with pytest.raises(SwarmletError, match="has no output: iterate over the stream to its end first"):
                        _ = stream.output
                    heard.set()
    assert stream.output == 1


async def test_a_failure_is_raised_to_who_iterates_after_the_last_event() -> None:
    kinds: list[str] = []
    async with Swarm() as swarm, swarm.stream(fail, 1) as stream:
        with pytest.raises(StepFailed) as caught:
            await listen(stream, kinds)
        with pytest.raises(SwarmletError, match="has no output: it failed"):
            _ = stream.output
    assert kinds == ["run_started", "step_started", "step_ended", "run_ended"]
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.run is not None
    assert caught.value.run.trace.state == "failed"


async def test_a_failure_that_nobody_caught_leaves_as_itself() -> None:
    with pytest.raises(StepFailed) as caught:
        await drain(fail, 1)
    assert isinstance(caught.value.__cause__, ValueError)


async def test_several_failures_leave_as_a_group() -> None:
    @node
    async def stubborn(count: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError

    @node
    async def failing(count: int) -> int:
        await anyio.wait_all_tasks_blocked()
        raise ValueError

    @graph
    def whole(count: int) -> list[int]:
        return [stubborn(count), failing(count)]

    with pytest.raises(ExceptionGroup) as caught:
        await drain(whole, 1)
    assert {type(error.__cause__) for error in caught.value.exceptions} == {ValueError, LookupError}


async def test_a_failure_is_not_lost_when_nobody_iterates_to_the_end() -> None:
    ended = anyio.Event()

    @node
    async def stubborn() -> int:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
            raise LookupError

    with pytest.raises(StepFailed):
        await leave_at("step_started", stubborn)
    assert ended.is_set()


async def test_leaving_early_stops_the_run_before_the_block_is_left() -> None:
    cleaned: list[int] = []

    @node
    async def forever(count: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            cleaned.append(count)
        return count

    with anyio.fail_after(5):
        async with Swarm() as swarm:
            async with swarm.stream(each(forever), [1, 2]) as stream:
                started = 0
                async for event in stream:
                    started += event.kind == "step_started"
                    if started == 2:
                        await anyio.wait_all_tasks_blocked()
                        break
            assert sorted(cleaned) == [1, 2]
            with pytest.raises(SwarmletError, match="has no output"):
                _ = stream.output


@pytest.mark.parametrize(
    "error", [LookupError("mine"), KeyboardInterrupt(), SystemExit(2)], ids=lambda error: type(error).__name__
)
async def test_an_exception_of_the_block_leaves_as_itself(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        await leave_at("run_started", inc, 1, error=error)
    assert caught.value is error


async def test_cancelling_around_a_stream_is_cancellation() -> None:
    @node
    async def forever() -> int:
        await anyio.sleep_forever()
        return 1

    with anyio.move_on_after(5) as scope:
        async with Swarm() as swarm, swarm.stream(forever) as stream:
            async for event in stream:
                if event.kind == "step_started":
                    scope.cancel()
    assert scope.cancelled_caught


async def test_two_streams_of_one_swarm_do_not_mix() -> None:
    seen: dict[int, list[str]] = {0: [], 1: []}

    async def watch(index: int) -> None:
        async with swarm.stream(inc, index) as stream:
            async for event in stream:
                seen[index].append(getattr(event, "path", stream.id))
        assert seen[index] == [stream.id, "inc", "inc", stream.id]

    with anyio.fail_after(5):
        async with Swarm() as swarm, anyio.create_task_group() as group:
            group.start_soon(watch, 0)
            group.start_soon(watch, 1)


async def test_a_stream_that_is_left_at_once_leaves_nothing_behind() -> None:
    async with Swarm() as swarm:
        with pytest.raises(LookupError):
            async with swarm.stream(inc, 1):
                raise LookupError
        async with swarm.stream(inc, 1):
            pass
