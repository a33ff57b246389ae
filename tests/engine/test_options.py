"""Options that bound and mend: deadlines, reserves, concurrency, fallbacks, and how they inherit."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import anyio
import pytest
import trio
import trio.testing
from anyio.lowlevel import checkpoint
from tenacity import wait_fixed

from swarmlet import (
    DeadlineExceeded,
    GraphError,
    Node,
    NoQuorum,
    Retry,
    Run,
    StepFailed,
    StepsFailed,
    SwarmletError,
    agent,
    current,
    each,
    graph,
    loop,
    node,
    race,
    run,
    vote,
)
from swarmlet.graph.loop import Again, Done
from swarmlet.trace.events import Decided, StepRetried, StepStarted
from tests.engine.quickly import failed_paths, quickly

pytestmark = pytest.mark.anyio


def in_virtual_time(main: Callable[[], Awaitable[Any]]) -> Any:  # Any: as the caller knows
    return cast("Any", trio.run)(main, clock=trio.testing.MockClock(autojump_threshold=0))


@node
async def wait(seconds: float) -> float:
    await anyio.sleep(seconds)
    return seconds


@node
def total(counts: list[float]) -> float:
    return sum(counts)


# Deadlines


async def test_a_deadline_holds_for_everything_under_the_node() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.1)
    with pytest.raises(DeadlineExceeded, match=r"its deadline was 0\.\d+ s away when it began") as caught:
        await quickly(each(wait).with_options(deadline=soon), [60.0, 0.0])
    assert (caught.value.path, caught.value.limit) == ("wait", "deadline")


async def test_nothing_starts_after_a_deadline() -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(DeadlineExceeded, match="had passed before it began") as caught:
        await quickly(wait.with_options(deadline=past), 0)
    assert caught.value.run is not None


async def test_the_limit_that_runs_out_first_is_named() -> None:
    late = datetime.now(UTC) + timedelta(seconds=60)
    with pytest.raises(DeadlineExceeded, match=r"its timeout of 0\.01 s"):
        await quickly(wait.with_options(deadline=late, timeout=0.01), 60)
    with pytest.raises(DeadlineExceeded) as caught:
        await quickly(each(wait.with_options(timeout=60)).with_options(timeout=0.01), [60.0])
    assert caught.value.path == "wait"


@pytest.mark.parametrize("deadline", [datetime(2027, 1, 1), 60, "tomorrow"])  # noqa: DTZ001  # wrong on purpose
def test_a_deadline_is_a_moment_with_a_time_zone(deadline: Any) -> None:  # Any: wrong on purpose
    with pytest.raises(GraphError, match="deadline= is a datetime with a time zone"):
        wait.with_options(deadline=deadline)


def test_a_reserve_keeps_a_slice_of_the_enclosing_deadline_for_the_join() -> None:
    @node
    async def join(found: list[float]) -> float:
        await anyio.sleep(4)
        return sum(found)

    @graph
    def bounded(seconds: list[float]) -> float:
        return join(each(wait.with_options(reserve=5), on_error="skip")(seconds))

    async def main() -> tuple[Run[float], float]:
        began = trio.current_time()
        return await run(bounded.with_options(timeout=20), [1.0, 2.0, 60.0]), trio.current_time() - began

    result, took = in_virtual_time(main)
    assert (result.output, took) == (3.0, pytest.approx(19, abs=0.1))
    ended = result.trace.step("bounded/wait[2]").ended
    assert ended is not None
    assert ended.error is not None
    assert ended.error.type == "DeadlineExceeded"
    assert "less its reserve, was 15 s away" in ended.error.message


async def test_a_reserve_without_a_deadline_around_it_changes_nothing() -> None:
    assert (await run(wait.with_options(reserve=5), 0)).output == 0


def test_a_retry_that_does_not_fit_the_deadline_is_not_begun() -> None:
    @node
    async def failing(count: int) -> int:
        await anyio.sleep(1)
        raise ValueError("no")

    patient = failing.with_options(retry=Retry(attempts=9, on=ValueError, wait=wait_fixed(10)), timeout=25)

    async def main() -> Any:
        with pytest.raises(StepFailed) as caught:
            await run(patient, 1)
        return caught.value.run

    events = in_virtual_time(main).trace.events
    assert len([event for event in events if isinstance(event, StepRetried)]) == 2


# Concurrency


class Gauge:
    """Counts how many run at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def work(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await checkpoint()
        self.now -= 1


@pytest.mark.parametrize("bound", [1, 3])
async def test_concurrency_bounds_the_steps_under_a_node_however_they_are_nested(bound: int) -> None:
    gauge = Gauge()

    @node
    async def leaf(count: int) -> int:
        await gauge.work()
        return count

    @node
    async def add(left: int, right: int) -> int:
        await gauge.work()
        return left + right

    @graph
    def pair(count: int) -> int:
        return add(leaf(count), leaf(count))

    wide = each(pair).with_options(concurrency=bound)
    assert (await quickly(wide, list(range(10)))).output == [2 * count for count in range(10)]
    assert gauge.most == bound


async def test_bounds_on_concurrency_add_up() -> None:
    inner, outer = Gauge(), Gauge()

    @node
    async def leaf(count: int) -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(inner.work)
            group.start_soon(outer.work)
        return count

    narrow = each(leaf).with_options(concurrency=2)
    wide = each(narrow).with_options(concurrency=3)
    assert (await quickly(wide, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])).output == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert outer.most == 3


async def test_a_step_that_waits_for_its_own_children_lends_them_its_place() -> None:
    gauge = Gauge()

    @node
    async def leaf(count: int) -> int:
        await gauge.work()
        return count

    @node
    async def parent(count: int) -> int:
        await gauge.work()
        found: list[int] = []

        async def child(number: int) -> None:
            found.append(await current().run(leaf, number))

        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(child, number)
        await gauge.work()
        return sum(found)

    result = await quickly(each(parent).with_options(concurrency=1), [3, 3, 3])
    assert result.output == [3, 3, 3]
    assert gauge.most == 1


async def test_places_are_given_back_when_steps_fail_or_are_cancelled() -> None:
    @node
    async def failing(count: int) -> int:
        await checkpoint()
        raise ValueError(str(count))

    result = await quickly(each(failing, on_error="skip").with_options(concurrency=2), list(range(9)))
    assert result.output == []
    timed = each(wait.with_options(timeout=0.001), on_error="skip").with_options(concurrency=1)
    assert (await quickly(timed, [60.0, 60.0, 60.0])).output == []


# Fallbacks


@node
async def broken(count: int) -> int:
    await checkpoint()
    raise ValueError("broken")


@node
async def spare(count: int) -> int:
    return -count


async def test_a_fallback_takes_the_place_of_a_node_that_failed() -> None:
    result = await quickly(each(broken.with_options(fallback=spare)), [1, 2])
    assert result.output == [-1, -2]
    (first, _) = [event for event in result.trace.events if isinstance(event, Decided)]
    assert (first.path, first.by, first.chosen) == ("broken[0]", "fallback", "broken[0]/~spare")
    assert "broken" in first.reason
    assert result.trace.step("broken[0]/~spare").state == "finished"


async def test_a_fallback_comes_after_all_retries_and_out_of_the_node_s_own_time() -> None:
    attempts = 0

    @node
    async def slow(count: int) -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ValueError("again")
        await anyio.sleep_forever()
        return count

    @node
    async def late(count: int) -> int:
        await anyio.sleep(0.05)
        return count

    retry = Retry(attempts=3, on=ValueError, wait=wait_fixed(0))
    assert (await quickly(slow.with_options(retry=retry, timeout=0.03, fallback=late), 5)).output == 5
    assert attempts == 3


async def test_a_fallback_that_fails_too_keeps_both_causes() -> None:
    with pytest.raises(StepFailed, match="it failed, and so did its fallback") as caught:
        await quickly(broken.with_options(fallback=node(broken_too)), 1)
    assert failed_paths(caught.value) == ["broken", "broken/~broken_too"]


async def broken_too(count: int) -> int:
    raise LookupError("too")


async def test_fallbacks_chain_and_graphs_have_them_too() -> None:
    @graph
    def whole(count: int) -> int:
        return broken(count)

    second = broken.with_options(name="second", fallback=spare)
    result = await quickly(whole.with_options(fallback=second), 3)
    assert result.output == -3
    assert result.trace.step("whole/~second/~spare").state == "finished"


@pytest.mark.parametrize("kinds", [ValueError, (KeyError, ValueError), Exception, StepFailed])
async def test_a_fallback_may_be_for_some_failures_only(kinds: type[Exception] | tuple[type[Exception], ...]) -> None:
    wired = graph(broken_inside).with_options(fallback=spare, fallback_on=kinds)
    assert (await quickly(wired, 3)).output == -3


def broken_inside(count: int) -> int:
    return broken(count)


async def test_other_failures_pass_a_fallback_by() -> None:
    inner = broken.with_options(fallback=spare, fallback_on=(KeyError, TimeoutError))
    with pytest.raises(StepFailed, match="ValueError: broken") as caught:
        await quickly(inner, 3)
    assert caught.value.path == "broken"
    assert caught.value.run is not None
    assert not [event for event in caught.value.run.trace.events if isinstance(event, Decided)]
    outer = each(inner).with_options(name="outer", fallback=node(no_items), fallback_on=ValueError)
    assert (await quickly(outer, [1])).output == []


async def no_items(items: Sequence[int] | AsyncIterable[int]) -> list[int]:
    return []


@pytest.mark.parametrize(
    "combine", [lambda: race(broken, node(broken_too)), lambda: vote(race(broken, node(broken_too)), of=2)]
)
async def test_a_fallback_for_some_failures_looks_at_all_that_failed(combine: Callable[[], Node[[int], int]]) -> None:
    """All ways of a race and all samples of a vote have failed: with a ValueError and a LookupError each."""
    both = combine().with_options(fallback=spare, fallback_on=(ValueError, LookupError))
    assert (await quickly(both, 3)).output == -3
    with pytest.raises((StepFailed, NoQuorum)):
        await quickly(combine().with_options(fallback=spare, fallback_on=ValueError), 3)


@pytest.mark.parametrize("kinds", [(), "ValueError", ValueError("x"), (ValueError, 3), KeyboardInterrupt, int])
def test_what_a_fallback_is_for_are_types_of_exceptions(kinds: Any) -> None:
    with pytest.raises(GraphError, match=r"fallback_on= is a type of exception, or a tuple of them, not "):
        broken.with_options(fallback=spare, fallback_on=kinds)


def test_without_a_fallback_there_is_nothing_that_it_is_for() -> None:
    with pytest.raises(GraphError, match=r"fallback_on= says when a fallback is run, and there is none: set fallback= too"):
        broken.with_options(fallback_on=ValueError)
    later = broken.with_options(fallback=spare).with_options(fallback_on=ValueError)
    assert later.options.fallback_on is ValueError


async def test_a_fallback_of_a_step_behind_a_bound_has_its_place() -> None:
    bounded = each(broken.with_options(fallback=spare)).with_options(concurrency=1)
    assert (await quickly(bounded, [1, 2])).output == [-1, -2]


async def test_a_cancelled_node_does_not_fall_back() -> None:
    @node
    async def never(count: int) -> int:
        raise AssertionError("not reached")

    held = wait.with_options(fallback=node(never_after))
    with anyio.move_on_after(0.02):
        await run(held, 60)
    assert not reached


reached: list[str] = []


async def never_after(seconds: float) -> float:
    reached.append("fallback")
    return seconds


def test_fallbacks_must_fit() -> None:
    @node
    def words(count: int) -> str:
        return str(count)

    @node
    def two(count: int, more: int) -> int:
        return count + more

    with pytest.raises(GraphError, match="'words' gives str, but 'broken' gives int"):
        broken.with_options(fallback=cast("Any", words))
    with pytest.raises(GraphError, match="'two' takes 2 arguments, 'broken' takes 1"):
        broken.with_options(fallback=cast("Any", two))
    with pytest.raises(GraphError, match="is a node of the same arguments"):
        broken.with_options(fallback=cast("Any", 3))


# What cannot apply


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timeout": 1}, "no time limit can stop a sync function"),
        ({"reserve": 1}, "no time limit can stop a sync function"),
        ({"model": "gpt-4o-mini"}, "model= cannot apply"),
        ({"concurrency": 2}, "concurrency= cannot apply"),
        ({"retry": Retry()}, "retry= never applies"),
    ],
)
def test_options_that_can_never_apply_to_a_sync_function_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(GraphError, match=problem):
        total.with_options(**options)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"concurrency": True}, {"reserve": 0}, {"timeout": float("inf")}])
def test_options_of_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=f"{next(iter(options))}="):
        wait.with_options(**options)


def test_an_agent_under_which_no_step_runs_takes_no_bound_on_them() -> None:
    @agent(str)
    def ask(text: str) -> str:
        return text

    with pytest.raises(GraphError, match="no step runs under this agent"):
        ask.with_options(concurrency=2)


# History


@node
async def step_on(count: int) -> Again[int] | Done[list[int]]:
    history = current().history(int)
    if count >= 3:
        return Done(list(history))
    return Again(count + 1)


async def test_the_states_of_earlier_rounds_can_be_reached() -> None:
    assert (await quickly(loop(step_on, rounds=9), 0)).output == [0, 1, 2, 3]
    assert (await quickly(each(loop(step_on, rounds=9)), [2, 0])).output == [[2, 3], [0, 1, 2, 3]]

    @node
    async def give_up(count: int) -> list[int]:
        return [*current().history(int), count]

    assert (await quickly(loop(step_on, rounds=2, otherwise=give_up), 0)).output == [0, 1, 2]


async def test_a_history_of_another_type_is_refused_and_outside_of_a_loop_it_is_empty() -> None:
    @node
    async def wrong(count: int) -> Again[int] | Done[int]:
        return Done(len(current().history(str)))

    with pytest.raises(StepFailed, match="asks for a history of str, but the loop's states are int") as caught:
        await quickly(loop(wrong, rounds=2), 0)
    assert isinstance(caught.value.__cause__, SwarmletError)

    @node
    async def outside() -> int:
        return len(current().history(int))

    assert (await quickly(outside)).output == 0


# Several failures


async def test_several_failures_are_one_group_that_has_the_run() -> None:
    both_in = anyio.Event()

    @node
    async def first(count: int) -> int:
        await both_in.wait()
        raise ValueError("first")

    @node
    async def second(count: int) -> int:
        both_in.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("second")

    @graph
    def whole(count: int) -> float:
        return total([first(count), second(count)])

    groups: list[BaseException] = []
    try:
        await quickly(whole, 1)
    except* StepFailed as caught:
        groups.append(caught)
    (group,) = groups
    assert isinstance(group, StepsFailed)
    assert group.run is not None
    assert group.path == "whole"
    assert sorted(error.path for error in group.exceptions if isinstance(error, StepFailed)) == ["whole/first", "whole/second"]


def test_a_group_of_failures_is_an_error_of_swarmlet_s_and_its_parts_stay_so() -> None:
    group = StepsFailed("whole", [StepFailed("whole/a", "x"), DeadlineExceeded("whole/b", 1)])
    assert isinstance(group, SwarmletError)
    assert str(group) == "2 steps of 'whole' failed (2 sub-exceptions)"
    late, rest = group.split(DeadlineExceeded)
    assert isinstance(late, StepsFailed)
    assert isinstance(rest, StepsFailed)
    assert (late.path, len(rest.exceptions)) == ("whole", 1)


async def test_every_step_has_started_once() -> None:
    result = await quickly(each(each(wait)).with_options(concurrency=2), [[0.0, 0.0], [0.0]])
    started = [event.path for event in result.trace.events if isinstance(event, StepStarted)]
    assert len(started) == len(set(started))


def test_options_that_can_never_apply_to_anything_in_a_node_are_refused() -> None:
    with pytest.raises(GraphError, match="model= cannot apply: all that is in it are sync functions"):
        each(total).with_options(model="gpt-4o-mini")
    with pytest.raises(GraphError, match="retry= never applies"):
        each(each(total)).with_options(retry=Retry())
    assert each(total).with_options(timeout=1).options.timeout == 1
    assert each(wait).with_options(model="gpt-4o-mini").options.model == "gpt-4o-mini"
