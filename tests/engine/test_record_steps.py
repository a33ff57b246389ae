"""Where failures come from, what a switch takes as equal, when steps were ready: as the record tells it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_none

from swarmlet import Again, Done, Failed, Retry, Run, StepFailed, current, each, graph, loop, node, switch
from swarmlet.engine.scheduler import Scheduler
from swarmlet.errors import RoundsExhausted
from swarmlet.graph.switch import SwitchShape
from swarmlet.policy.options import Scope
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio


class Broken:
    """A value whose own methods raise."""

    def __hash__(self) -> int:
        raise ValueError("no hash")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no equality")

    def __repr__(self) -> str:
        raise ValueError("no repr")


class Slippery(str):
    """A text that cannot be compared."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise ValueError("no equality")


@node
def key(what: Any) -> Any:
    return what


@node
def arm(what: Any) -> str:
    return "arm"


@node
def other(what: Any) -> str:
    return "other"


async def test_a_switch_is_not_troubled_by_what_its_key_gives() -> None:
    assert (await quickly(switch(key, {"a": arm}, default=other), Broken())).output == "other"


async def test_a_switch_that_fails_over_its_key_says_where() -> None:
    route = switch(key, {"a": arm, "b": arm}, default=other)

    @graph
    def flow(what: Any) -> list[str]:
        return each(route)([what])

    with pytest.raises(StepFailed, match="no equality") as caught:
        await quickly(flow, Slippery("a"))
    assert caught.value.path == "flow/switch[0]"
    assert caught.value.run is not None


async def test_a_key_without_repr_and_without_arm_is_a_failure_of_the_switch() -> None:
    route = switch(key, {"a": arm}, default=other)
    vars(route)["shape"] = SwitchShape(cast("Any", key), {"a": cast("Any", arm)}, None)  # what a build refuses
    with pytest.raises(StepFailed, match="the key gave a Broken without a repr, which has no arm") as caught:
        await quickly(route, Broken())
    assert caught.value.path == "switch"


@pytest.mark.parametrize(
    ("known", "value", "expected"), [(True, 1, "other"), (True, True, "arm"), (1, 1.0, "other"), (1, 1, "arm")]
)
async def test_a_switch_takes_no_value_of_another_type_for_its_own(known: object, value: object, expected: str) -> None:
    assert (await quickly(switch(key, {known: arm}, default=other), value)).output == expected


async def test_items_that_cannot_be_gone_through_are_a_failure_of_the_map() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("cut off")

    with pytest.raises(StepFailed, match="ValueError: cut off") as caught:
        await quickly(each(arm), cast("Any", items()))
    assert caught.value.path == "arm"
    assert caught.value.run is not None


def test_a_map_that_cannot_begin_inside_a_map_fails_at_its_own_path() -> None:
    scheduler = Scheduler(cast("Any", each(each(arm))), ([[1], 2],), {}, "arm", Scope())
    (error,) = scheduler.failures
    assert isinstance(error, StepFailed)
    assert error.path == "arm[1]"


# Threads


seen: ContextVar[str] = ContextVar("seen", default="nothing")


async def test_a_wrapper_in_a_thread_round_an_async_function_is_awaited_in_its_steps_context() -> None:
    async def inner(count: int) -> str:
        await checkpoint()
        return f"{current().path} {count} {seen.get()}"

    def wrapper(count: int) -> Coroutine[Any, Any, str]:
        seen.set("set in the thread")
        return inner(count)

    run_it = cast("Callable[[int], Awaitable[str]]", node(thread=True)(wrapper))
    result: Run[Any] = await quickly(cast("Any", run_it), 1)
    assert result.output == "wrapper 1 set in the thread"
    assert seen.get() == "nothing"


# Failures of other steps


async def test_an_error_of_another_step_that_is_raised_again_is_this_steps_failure() -> None:
    @node
    def fail(count: int) -> int:
        raise ValueError("no")

    @node
    def check(counts: list[int | Failed]) -> int:
        (failed,) = counts
        assert isinstance(failed, Failed)
        assert failed.error is not None
        raise failed.error

    keep = each(fail, on_error="keep")

    @graph
    def flow(counts: list[int]) -> int:
        return check(keep(counts))

    with pytest.raises(StepFailed) as caught:
        await quickly(flow, [1])
    assert caught.value.path == "flow/check"
    assert isinstance(caught.value.__cause__, StepFailed)
    assert caught.value.__cause__.path == "flow/fail[0]"


async def test_an_error_of_a_step_below_stays_as_it_is() -> None:
    @node
    def more(count: int) -> Again[int] | Done[int]:
        return Again(count)

    rounds = loop(more, rounds=2).with_options(timeout=5)

    @node
    async def outer(count: int) -> int:
        return await current().run(rounds, count)

    with pytest.raises(RoundsExhausted) as caught:
        await quickly(outer, 1)
    assert caught.value.path == "outer/more"


# Times


@node
async def slow(count: int) -> int:
    await anyio.sleep(0.02)
    return count


async def test_items_that_wait_for_the_bound_of_their_map_tell_how_long() -> None:
    result = await quickly(each(slow, concurrency=1), [1, 2, 3])
    waits = [step.started.waited for step in result.trace.steps() if step.started]
    assert waits[0] < 0.015 < waits[1] < 0.035 < waits[2]


async def test_the_first_steps_of_items_that_are_graphs_tell_it_too_and_the_second_do_not() -> None:
    @graph
    def two(count: int) -> int:
        return slow(slow(count))

    result = await quickly(each(two, concurrency=1), [1, 2])
    waits = {step.path: step.started.waited for step in result.trace.steps() if step.started}
    assert waits["two[1]/slow"] > 0.03
    assert waits["two[1]/slow~2"] < 0.015


async def test_times_of_a_run_never_go_back_when_the_wall_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = iter(range(2_000_000_000, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(wall)))
    times = [event.at for event in (await quickly(each(slow), [1, 2])).trace.events]
    assert times == sorted(times)
    assert times[0] > 1_900_000_000


# Reading


async def test_the_children_of_a_step_that_is_tried_again_take_no_negative_time() -> None:
    @node
    async def parent(count: int) -> int:
        got = await current().run(slow, count)
        if current().attempt == 1:
            raise ValueError("again")
        return got

    result = await quickly(parent.with_options(retry=Retry(attempts=2, on=ValueError, wait=wait_none())), 1)
    seconds = result.trace.step("parent/slow").seconds
    assert seconds is not None
    assert 0 < seconds < 1


async def test_a_graph_whose_failures_were_kept_reads_as_finished() -> None:
    @node
    def fail(count: int) -> int:
        raise ValueError("no")

    keep = each(fail, on_error="keep")

    @graph
    def flow(counts: list[int]) -> list[int | Failed]:
        return keep(counts)

    trace = (await quickly(flow, [1, 2])).trace
    assert trace.root.state == trace.state == "finished"
    assert trace.step("flow/fail[0]").state == "failed"
    assert isinstance(trace.output("flow"), list)
    assert (await quickly(keep, [1, 2])).trace.root.state == "finished"
