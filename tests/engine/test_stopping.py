"""What stops a program or a task from outside, and what is nested too deep."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from tenacity import wait_none

from swarmlet import (
    DeadlineExceeded,
    Node,
    Retry,
    StepFailed,
    StepsFailed,
    Swarm,
    SwarmletError,
    current,
    each,
    graph,
    node,
    race,
    run,
)
from swarmlet.engine.context import Current
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio


@node
async def careful(count: int) -> int:
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.001 * count)
    return count


async def test_what_ends_a_program_goes_before_an_error_beside_it(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":
        pytest.skip("asyncio takes SystemExit out of any task at once")

    @node
    async def both(count: int) -> int:
        async def leave() -> None:
            raise SystemExit(3)

        async def fail() -> None:
            raise ValueError("beside")

        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            group.start_soon(fail)
        return count

    with pytest.raises(SystemExit):
        await quickly(each(both), [1])


@pytest.mark.parametrize("seed", range(20))
async def test_a_native_cancel_is_a_cancel_whenever_it_comes(seed: int, anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio has cancellation without scopes")
    bounded: Node[[int], int] = race(careful.with_options(timeout=0.004), careful.with_options(timeout=0.005))
    task = asyncio.ensure_future(run(bounded, seed % 4))
    await asyncio.sleep(0.003 + 0.0002 * seed)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, StepFailed)):
        await task


async def test_children_of_the_only_step_that_fail_together_are_one_group_with_the_run() -> None:
    @node
    async def failing(name: str) -> str:
        raise ValueError(name)

    @node
    async def parent(name: str) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(child, "a")
            group.start_soon(child, "b")
        return name

    async def child(name: str) -> None:
        try:
            await current().run(failing.with_options(name=name), name)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)

    with pytest.raises((StepsFailed, StepFailed)) as caught:
        await quickly(parent, "x")
    assert caught.value.path.startswith("parent")
    assert caught.value.run is not None


async def test_a_run_that_begins_while_its_swarm_closes_is_stopped_too() -> None:
    begun: list[str] = []
    started = anyio.Event()

    @node
    async def forever(name: str) -> str:
        begun.append(name)
        started.set()
        await anyio.sleep_forever()
        return name

    ends: list[str] = []
    async with anyio.create_task_group() as group:
        swarm = Swarm()
        async with swarm:

            async def twice() -> None:
                for name in ("first", "second"):
                    try:
                        await swarm.run(forever, name)
                    except Exception as error:  # noqa: BLE001  # looked at below
                        ends.append(str(error))

            group.start_soon(twice)
            await started.wait()
    assert begun == ["first"]
    assert len(ends) == 2
    assert all("its swarm was closed" in end for end in ends)


async def test_nodes_that_are_nested_too_deep_are_a_failure_and_not_a_crash() -> None:
    @node
    async def leaf(count: int) -> int:
        return count

    nested: Any = leaf
    for _ in range(90):
        nested = race(nested)
    assert (await quickly(nested, 1)).output == 1
    for _ in range(90):
        nested = race(nested)
    with pytest.raises(StepFailed) as caught:
        await quickly(nested, 1)
    assert len(str(caught.value)) < 2000
    deepest: BaseException = caught.value
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    assert "nested more than 100 deep" in str(deepest)


async def test_graphs_nest_as_deep_as_they_are_written() -> None:
    @node
    async def leaf(count: int) -> int:
        return count

    inner: Any = leaf
    for _ in range(300):
        inner = wrapped(inner)
    assert (await quickly(inner, 1)).output == 1


def wrapped(inner: Any) -> Any:  # Any: any node of one number
    @graph
    def whole(count: int) -> int:
        result: int = inner(count)
        return result

    return whole


async def flush(count: int) -> int:
    try:
        await asyncio.sleep(3)
    except asyncio.CancelledError:
        raise ConnectionError("the cleanup failed") from None
    return count


async def linger(count: int) -> int:
    await anyio.sleep(3)
    return count


@pytest.mark.parametrize(
    "survivor",
    [
        race(node(flush), node(linger)),
        node(flush).with_options(fallback=node(linger)),
        node(flush).with_options(retry=Retry(attempts=3, on=ConnectionError)),
    ],
    ids=["race", "fallback", "retry"],
)
async def test_a_native_cancel_reaches_everything_though_a_step_fails_over_it(survivor: Any, anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio has cancellation without scopes")
    began = asyncio.get_running_loop().time()
    task = asyncio.ensure_future(run(survivor, 1))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, StepFailed)):
        await task
    assert asyncio.get_running_loop().time() - began < 2


async def test_a_thread_that_was_left_behind_cannot_start_steps() -> None:
    go_on, refused = threading.Event(), threading.Event()

    @node
    async def child(count: int) -> int:
        raise AssertionError("started")

    async def start(step: Current, count: int) -> None:
        await step.run(child, count)

    @node(thread=True)
    def left(count: int) -> int:
        step = current()
        go_on.wait(5)
        try:
            anyio.from_thread.run(start, step, count)
        except SwarmletError:
            refused.set()
        return count

    @node
    async def quick(count: int) -> int:
        await anyio.sleep(0.05)
        return count

    result = await quickly(race(left, quick), 1)
    go_on.set()
    await anyio.to_thread.run_sync(refused.wait, 5)
    assert refused.is_set()
    assert "race/left/child" not in {step.path for step in result.trace.steps()}


async def test_a_step_that_only_runs_sync_nodes_can_be_stopped() -> None:
    @node
    def one(count: int) -> int:
        return count

    @node
    async def endless(count: int) -> int:
        while True:
            await current().run(one, count)

    with pytest.raises(DeadlineExceeded):
        await quickly(endless.with_options(timeout=0.05), 1)


async def test_children_have_the_same_path_in_each_attempt_and_all_are_in_the_trace() -> None:
    @node
    async def child(count: int) -> int:
        return count

    @node
    async def parent(count: int) -> int:
        attempt = current().attempt
        await current().run(child, attempt)
        if attempt < 3:
            raise ValueError("again")
        return count

    patient = parent.with_options(retry=Retry(attempts=3, on=ValueError, wait=wait_none()))
    step = (await quickly(patient, 1)).trace.step("parent/child")
    assert len(step.earlier) == 2
