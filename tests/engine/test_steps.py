"""One step at a time: its attempts, its thread, its context, and what `current()` gives inside it."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import trio.testing
from anyio.lowlevel import checkpoint
from tenacity import wait_fixed, wait_none

from swarmlet import GraphError, Retry, Run, StepFailed, Swarm, SwarmletError, current, each, graph, node, run
from swarmlet.errors import DeadlineExceeded
from swarmlet.trace.events import Noted, StepRetried
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio


def retries(result: Run[Any]) -> list[tuple[str, int, str, float]]:
    found = (event for event in result.trace.events if isinstance(event, StepRetried))
    return [(event.path, event.attempt, event.error.message, event.wait) for event in found]


def notes(result: Run[Any]) -> list[str]:
    return [event.message for event in result.trace.events if isinstance(event, Noted)]


# Retries


async def test_a_step_is_tried_again_as_its_policy_says() -> None:
    seen: list[int] = []

    @node
    async def flaky(count: int) -> int:
        await checkpoint()
        seen.append(current().attempt)
        if current().attempt < 3:
            raise ValueError(f"attempt {current().attempt}")
        return count

    again = Retry(attempts=3, on=ValueError, wait=wait_none())
    result = await quickly(each(flaky.with_options(retry=again)), [7])
    assert result.output == [7]
    assert seen == [1, 2, 3]
    assert retries(result) == [("flaky[0]", 1, "attempt 1", 0), ("flaky[0]", 2, "attempt 2", 0)]
    assert result.trace.step("flaky[0]").attempts == 3


async def test_the_last_attempts_error_is_the_cause() -> None:
    @node
    def failing() -> int:
        raise ValueError(f"attempt {current().attempt}")

    with pytest.raises(StepFailed) as caught:
        await quickly(failing.with_options(retry=Retry(attempts=2, on=ValueError, wait=wait_none())))
    assert str(caught.value.__cause__) == "attempt 2"


async def test_other_errors_are_not_tried_again() -> None:
    attempts = 0

    @node
    def failing() -> int:
        nonlocal attempts
        attempts += 1
        raise LookupError("no")

    for retry in (Retry(on=ValueError), Retry(on=(ValueError, KeyError)), Retry(on=lambda _: False)):
        with pytest.raises(StepFailed):
            await quickly(failing.with_options(retry=retry))
    assert attempts == 3


async def test_a_policy_reaches_the_steps_below_and_the_nearest_wins() -> None:
    attempts: dict[str, int] = {}

    @node
    def failing(name: str) -> str:
        attempts[name] = current().attempt
        raise ValueError(name)

    once = Retry(attempts=1, on=ValueError)

    @graph
    def whole() -> list[Any]:  # Any: failures
        kept = each(failing, on_error="keep")
        near = each(failing.with_options(retry=once), on_error="keep")
        return [kept(["far"]), near(["near"])]

    await quickly(whole.with_options(retry=Retry(attempts=3, on=ValueError, wait=wait_none())))
    assert attempts == {"far": 3, "near": 1}


async def test_a_wait_that_does_not_fit_is_not_begun() -> None:
    @node
    def failing() -> int:
        raise ValueError("no")

    slow = Retry(attempts=3, on=ValueError, wait=wait_fixed(30))
    for option in (failing.with_options(retry=slow, timeout=10), failing.with_options(retry=slow)):
        with anyio.move_on_after(20), pytest.raises(StepFailed) as caught:
            await run(option)
        assert caught.value.run is not None
        assert not [event for event in caught.value.run.trace.events if isinstance(event, StepRetried)]
    impatient = Retry(attempts=3, on=ValueError, wait=wait_fixed(30), longest_wait=29)
    with pytest.raises(StepFailed):
        await quickly(failing.with_options(retry=impatient))


def test_waits_between_attempts_pass_on_a_virtual_clock_and_are_told() -> None:
    @node
    def flaky(count: int) -> int:
        if current().attempt < 4:
            raise ValueError("not yet")
        return count

    async def main() -> Run[int]:
        again = Retry(attempts=4, on=ValueError, wait=wait_fixed(40), longest_wait=40)
        return await run(flaky.with_options(retry=again, timeout=121), 1)

    result = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [wait for *_, wait in retries(result)] == [40, 40, 40]


async def test_the_timeout_of_a_step_holds_for_all_its_attempts() -> None:
    @node
    async def slow() -> int:
        if current().attempt == 1:
            raise ValueError("again")
        await anyio.sleep_forever()
        return 1

    with pytest.raises(DeadlineExceeded):
        await quickly(slow.with_options(timeout=0.05, retry=Retry(on=ValueError, wait=wait_none())))


def test_a_policy_that_cannot_work_is_refused_when_it_is_made() -> None:
    with pytest.raises(GraphError, match="attempts="):
        Retry(attempts=0)
    with pytest.raises(GraphError, match=r"wait=\) is one of tenacity's wait objects"):
        Retry(wait=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(GraphError, match=r"on=\) is an exception type"):
        Retry(on=["ValueError"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Threads


async def test_a_threaded_node_runs_elsewhere_and_knows_its_step() -> None:
    @node(thread=True)
    def blocking(count: int) -> tuple[bool, str, int]:
        return threading.current_thread() is main, current().path, anyio.from_thread.run(lambda: current().run(inc, count))

    main = threading.current_thread()
    result = await quickly(each(blocking), [1])
    assert result.output == [(False, "blocking[0]", 2)]
    assert result.trace.output("blocking[0]/inc") == 2


async def test_threaded_nodes_run_side_by_side_and_fail_like_others() -> None:
    barrier = threading.Barrier(3, timeout=5)

    @node(thread=True)
    def meets(count: int) -> int:
        barrier.wait()
        if count == 2:
            raise ValueError("two")
        return count

    with pytest.raises(StepFailed) as caught:
        await quickly(each(meets), [0, 1, 2])
    assert caught.value.path == "meets[2]"


async def test_a_thread_that_is_left_behind_is_noted() -> None:
    began, release = threading.Event(), threading.Event()

    @node(thread=True)
    def blocking() -> int:
        began.set()
        release.wait(5)
        return 1

    @node
    async def failing() -> int:
        while not began.is_set():
            await checkpoint()
        raise ValueError("stop")

    @graph
    def whole() -> tuple[int, int]:
        return blocking(), failing()

    try:
        with pytest.raises(StepFailed) as caught:
            await quickly(whole)
    finally:
        release.set()
    assert caught.value.run is not None
    step = caught.value.run.trace.step("whole/blocking")
    assert step.state == "cancelled"
    assert [note.message.split(":")[0] for note in step.notes] == ["cancelled while its function ran in a thread"]


async def test_a_thread_that_never_began_is_not_noted() -> None:
    started: list[int] = []

    @node(thread=True)
    def waits_for_a_thread(count: int) -> int:
        started.append(count)
        return 1

    @node
    async def failing() -> int:
        await checkpoint()
        raise ValueError("stop")

    @graph
    def whole() -> tuple[int, int]:
        return waits_for_a_thread(1), failing()

    limiter = anyio.to_thread.current_default_thread_limiter()
    tokens, limiter.total_tokens = limiter.total_tokens, 1
    try:
        async with limiter:
            with pytest.raises(StepFailed) as caught:
                await quickly(whole)
    finally:
        limiter.total_tokens = tokens
    assert started == []
    assert caught.value.run is not None
    assert notes(Run(caught.value.run.trace, None)) == []


async def test_a_node_that_holds_the_event_loop_is_reported_once_with_the_fix() -> None:
    @node
    def holding(count: int) -> int:
        time.sleep(0.06)  # holding the loop is what is tested
        if count == 3:
            raise ValueError("three")
        return count

    @node
    def quick(count: int) -> int:
        return count

    @graph
    def whole(count: int) -> int:
        return quick(holding(holding(count)))

    (note,) = notes(await quickly(whole, 1))
    assert note.startswith("'holding' held the event loop for ")
    assert note.endswith("ms, and all other steps with it; decorate it with @node(thread=True), or make it async")
    with pytest.raises(StepFailed) as caught:
        await quickly(holding, 3)
    assert caught.value.run is not None
    assert len(notes(Run(caught.value.run.trace, None))) == 1


# Contexts

place: ContextVar[str] = ContextVar("place", default="outside")


@node
async def inc(count: int) -> int:
    await checkpoint()
    return count + 1


@pytest.mark.parametrize("kind", ["sync", "async", "thread"])
async def test_context_variables_set_in_a_step_do_not_reach_the_next(kind: str) -> None:
    def sets(count: int) -> str:
        before = place.get()
        place.set("inside")
        return before

    async def sets_async(count: int) -> str:
        before = place.get()
        place.set("inside")
        await checkpoint()
        assert place.get() == "inside"
        return before

    made = {"sync": node(sets), "async": node(sets_async), "thread": node(name="sets", thread=True)(sets)}[kind]
    place.set("caller")

    @graph
    def chain(count: int) -> list[str]:
        return [made(count), made(count), made(count)]

    assert (await quickly(chain, 1)).output == ["caller"] * 3
    assert (await quickly(each(made, concurrency=1), [1, 2])).output == ["caller"] * 2
    assert place.get() == "caller"


async def test_tasks_that_a_step_starts_see_its_context_and_its_step() -> None:
    seen: list[tuple[str, str]] = []

    @node
    async def spawns(count: int) -> int:
        async def child() -> None:
            await checkpoint()
            seen.append((place.get(), current().path))

        place.set(f"step {count}")
        async with anyio.create_task_group() as group:
            group.start_soon(child)
        seen.append(await anyio.to_thread.run_sync(lambda: (place.get(), current().path)))
        return count

    await quickly(each(spawns), [1, 2])
    assert sorted(seen) == [("step 1", "spawns[0]")] * 2 + [("step 2", "spawns[1]")] * 2


async def test_scopes_of_a_step_work_though_steps_share_a_task() -> None:
    @node
    async def limited(count: int) -> bool:
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught

    @graph
    def chain(count: int) -> list[bool]:
        return [limited(count), limited(count)]

    assert (await quickly(chain, 1)).output == [True, True]


# current()


async def test_current_is_for_code_inside_a_step() -> None:
    with pytest.raises(SwarmletError, match="no step is running here"):
        current()

    @node
    async def inside(count: int) -> list[str]:
        step = current()
        return [step.path, step.run_id, step.idempotency_key, repr(step)]

    result = await quickly(each(inside), [1])
    run_id = result.id
    expected = ["inside[0]", run_id, f"{run_id}:inside[0]", f"<step inside[0] of run {run_id}, attempt 1>"]
    assert result.output == [expected]
    with pytest.raises(SwarmletError):
        current()


async def test_children_have_paths_below_their_step_and_are_numbered() -> None:
    @graph
    def part(count: int) -> int:
        return inc(inc(count))

    @node
    async def parent(count: int) -> int:
        step = current()
        first = await step.run(inc, count)
        second = await step.run(part, first)
        third = await step.run(inc, count=second)
        assert current() is step
        return third + sum(await step.run(each(inc), [0, 0]))

    result = await quickly(parent, 0)
    assert result.output == 6
    assert [step.path for step in result.trace.steps()] == [
        "parent",
        "parent/inc",
        "parent/part/inc",
        "parent/part/inc~2",
        "parent/inc~2",
        "parent/inc~3[0]",
        "parent/inc~3[1]",
    ]


async def test_a_failing_child_leaves_with_its_own_path_or_can_be_caught() -> None:
    @node
    def fail(count: int) -> int:
        raise ValueError(count)

    @node
    async def passes_on(count: int) -> int:
        return await current().run(fail, count)

    @node
    async def catches(count: int) -> str:
        try:
            return str(await current().run(fail, count))
        except StepFailed as error:
            return f"{error.path}: {error.__cause__!r}"

    with pytest.raises(StepFailed) as caught:
        await quickly(each(passes_on), [1])
    assert caught.value.path == "passes_on[0]/fail"
    assert caught.value.run is not None
    assert caught.value.run.trace.step("passes_on[0]").state == "failed"
    result = await quickly(catches, 2)
    assert result.output == "catches/fail: ValueError(2)"
    assert result.trace.state == "finished"


async def test_children_run_side_by_side_in_a_task_group_and_leave_one_error() -> None:
    met = [anyio.Event(), anyio.Event()]

    @node
    async def meets(index: int) -> int:
        met[index].set()
        await met[1 - index].wait()
        return index

    @node
    async def parent() -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: current().run(meets, 0))
            group.start_soon(lambda: current().run(meets, 1))
        return 1

    @node
    def fail(count: int) -> int:
        raise ValueError(count)

    @node
    async def failing_parent() -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: current().run(fail, 0))
        return 1

    result = await quickly(parent)
    assert [step.path for step in result.trace.steps()] == ["parent", "parent/meets", "parent/meets~2"]
    with pytest.raises(StepFailed) as caught:
        await quickly(failing_parent)
    assert caught.value.path == "failing_parent/fail"


async def test_children_are_stopped_with_their_step() -> None:
    cleaned: list[str] = []

    @node
    async def child() -> int:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(current().path)
        return 1

    @node
    async def parent() -> int:
        return await current().run(child)

    with pytest.raises(DeadlineExceeded) as caught:
        await quickly(parent.with_options(timeout=0.01))
    assert caught.value.path == "parent"
    assert cleaned == ["parent/child"]


async def test_a_child_is_called_rightly_or_told_how() -> None:
    @node
    async def parent(child: Any, arguments: int) -> Any:  # Any: wrong on purpose
        return await current().run(child, *range(arguments))

    with pytest.raises(StepFailed, match=r"current\(\)\.run\(inc\): too many positional") as caught:
        await quickly(parent, inc, 2)
    assert isinstance(caught.value.__cause__, GraphError)
    with pytest.raises(StepFailed, match=r"current\(\)\.run\(\) takes a node, not <built-in function len>"):
        await quickly(parent, len, 1)


async def test_a_step_gets_the_swarms_resources_by_type() -> None:
    @node
    def uses() -> str:
        return current().get(str) + str(current().get(int))

    @node
    def misses() -> float:
        return current().get(float)

    async with Swarm(resources={str: "shared", int: 3}) as swarm:
        assert (await swarm.run(uses)).output == "shared3"
        with pytest.raises(StepFailed, match=r"asks for a float.*they have: .*int.*str.*Swarm\(resources=\{float: \.\.\.\}\)"):
            await swarm.run(misses)
