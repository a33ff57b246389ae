"""Maps: how many must and may succeed, and sources that give their items one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Failed, GraphError, Node, NoQuorum, Run, StepFailed, current, each, graph, node, race, vote
from swarmlet.engine.scheduler import Scheduler
from swarmlet.graph.shape import AnyNode
from swarmlet.policy.options import Scope
from swarmlet.trace.events import StepEnded
from tests.engine.quickly import failed_paths, quickly

pytestmark = pytest.mark.anyio


@node
async def even(count: int) -> int:
    await checkpoint()
    if count % 2:
        raise ValueError(f"{count} is odd")
    return count


def states(result: Run[Any]) -> list[str]:
    return [event.state for event in result.trace.events if isinstance(event, StepEnded)]


# at_least, enough


async def test_a_map_that_may_lose_items_fails_when_too_few_can_be_left() -> None:
    assert (await quickly(each(even, on_error="skip", at_least=2), [1, 2, 3, 4])).output == [2, 4]
    with pytest.raises(StepFailed, match="at least 3 items must succeed, and at most 2 can") as caught:
        await quickly(each(even, on_error="skip", at_least=3), [1, 2, 3, 4])
    assert failed_paths(caught.value) == ["even[0]", "even[2]"]


async def test_keeping_has_a_bound_too() -> None:
    kept = (await quickly(each(even, on_error="keep", at_least=1), [1, 2])).output
    assert [type(one) for one in kept] == [Failed, int]
    with pytest.raises(StepFailed, match="at least 1 items"):
        await quickly(each(even, on_error="keep", at_least=1), [1, 3])


async def test_a_list_that_is_too_short_starts_nothing() -> None:
    with pytest.raises(StepFailed, match="at most 1 can") as caught:
        await quickly(each(even, on_error="skip", at_least=2), [2])
    assert caught.value.run is not None
    assert not caught.value.run.trace.steps()


async def test_enough_successes_end_a_map_and_stop_the_rest() -> None:
    @node
    async def wait(seconds: float) -> float:
        await anyio.sleep(seconds)
        return seconds

    result = await quickly(each(wait, enough=2), [60, 0.0, 60, 0.01])
    assert result.output == [0.0, 0.01]
    assert sorted(states(result)) == ["cancelled", "cancelled", "finished", "finished"]


async def test_enough_of_a_shorter_list_is_all_of_it() -> None:
    assert (await quickly(each(even, enough=5), [2, 4])).output == [2, 4]
    assert (await quickly(each(even, enough=5, on_error="skip"), [1, 4])).output == [4]
    assert (await quickly(each(even, enough=1), [])).output == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"at_least": 1}, "at_least= cannot apply"),
        ({"enough": 1, "on_error": "keep"}, "enough= cannot apply"),
        ({"enough": 1, "at_least": 2, "on_error": "skip"}, "at_least=2 cannot be reached"),
        ({"at_least": 0, "on_error": "skip"}, "at_least= must be a whole number"),
        ({"enough": True}, "enough= must be a whole number"),
        ({"on": ValueError}, "on= cannot apply: it names what on_error='keep' or 'skip' is for"),
        ({"on": (), "on_error": "keep"}, r"on= is a type of exception, or a tuple of them, not \(\)"),
        ({"on": "ValueError", "on_error": "skip"}, "on= is a type of exception, or a tuple of them, not 'ValueError'"),
        ({"on": KeyboardInterrupt, "on_error": "skip"}, "on= is a type of exception, or a tuple of them"),
        ({"on": [ValueError], "on_error": "skip"}, "on= is a type of exception, or a tuple of them"),
    ],
)
def test_maps_refuse_bounds_that_cannot_apply(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(GraphError, match=problem):
        each(even, **settings)


# on


@node
async def picky(count: int) -> int:
    """Odd numbers are kept apart from what nobody expects; a 0 waits for ever."""
    await checkpoint()
    if count == 0:
        await anyio.sleep_forever()
    if count < 0:
        raise LookupError(f"{count} is below 0")
    return await current().run(even, count)


@graph
def deeply(count: int) -> int:
    return picky(count)


@pytest.mark.parametrize("body", [picky, deeply, deeply.with_options(concurrency=1)])
@pytest.mark.parametrize("on", [ValueError, (TypeError, ValueError)])
async def test_a_map_keeps_and_skips_the_failures_that_it_names(body: Node[[int], int], on: Any) -> None:
    assert (await quickly(each(body, on_error="skip", on=on), [1, 2, 3, 4])).output == [2, 4]
    kept = (await quickly(each(body, on_error="keep", on=on), [1, 2])).output
    assert [one.type if isinstance(one, Failed) else one for one in kept] == ["ValueError", 2]


@pytest.mark.parametrize("body", [picky, deeply])
@pytest.mark.parametrize("on_error", ["keep", "skip"])
async def test_any_other_failure_stops_the_siblings_and_fails_the_map(body: Node[[int], int], on_error: Any) -> None:
    mapped: Node[[list[int]], Any] = cast("Any", each)(body, on_error=on_error, on=ValueError)
    with pytest.raises(StepFailed, match="-1 is below 0") as caught:
        await quickly(mapped, [0, 1, -1, 2])
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.path.startswith(f"{body.name}[2]")
    assert caught.value.run is not None
    assert caught.value.run.trace.step(f"{body.name}[0]").state == "cancelled"


def test_several_other_failures_at_once_are_all_told_without_those_that_are_named() -> None:
    mapped = cast("AnyNode", each(even, on_error="skip", on=LookupError))
    scheduler = Scheduler(mapped, ([1, 2, 3],), {}, "even", Scope())
    for step, cause in zip(list(scheduler.ready), (ValueError("one"), LookupError("two"), TypeError("three")), strict=True):
        failed = StepFailed(step.path, str(cause))
        failed.__cause__ = cause
        scheduler.step_failed(step, failed)
    assert [str(error) for error in scheduler.failures] == ["step 'even[0]' failed: one", "step 'even[2]' failed: three"]


@pytest.mark.parametrize("combine", [lambda: race(even, picky), lambda: vote(even, of=2)])
async def test_all_that_an_item_has_failed_with_must_be_named(combine: Callable[[], Node[[int], Any]]) -> None:
    assert (await quickly(each(combine(), on_error="skip", on=ValueError), [1, 3])).output == []
    mixed = each(race(even, node(below)), on_error="skip", on=ValueError)
    with pytest.raises(StepFailed, match="every runner failed"):
        await quickly(mixed, [1])


async def below(count: int) -> int:
    raise LookupError(count)


async def test_what_a_map_does_not_name_a_map_around_it_may() -> None:
    inner = each(picky, on_error="keep", on=ValueError)
    outer = each(inner, on_error="keep", on=LookupError)
    first, second = (await quickly(outer, [[1, 2], [2, -1, 0]])).output
    assert isinstance(first, list)
    assert isinstance(second, Failed)
    assert second.path == "picky[1][1]"
    backed = inner.with_options(fallback=node(nothing), fallback_on=LookupError)
    assert (await quickly(backed, [-1])).output == []


async def nothing(items: Sequence[int] | AsyncIterable[int]) -> list[int | Failed]:
    return []


async def test_bounds_count_only_the_failures_that_are_named() -> None:
    counted = each(picky, on_error="skip", on=ValueError, at_least=2)
    assert (await quickly(counted, [1, 2, 4])).output == [2, 4]
    with pytest.raises(StepFailed, match="at least 2 items must succeed, and at most 1 can"):
        await quickly(counted, [1, 2, 3])
    assert (await quickly(each(picky, on_error="skip", on=ValueError, enough=1), [1, 2, 0])).output == [2]
    with pytest.raises(StepFailed, match="is below 0"):
        await quickly(each(picky, on_error="skip", on=ValueError, enough=2), [-1, 2, 0])


async def test_a_wrong_key_costs_a_warm_map_one_call() -> None:
    begun: list[int] = []

    @node
    async def asks(count: int) -> int:
        begun.append(count)
        raise LookupError("401")

    with pytest.raises(StepFailed, match="401"):
        await quickly(each(asks, on_error="keep", on=ValueError, warm=True), list(range(500)))
    with pytest.raises(StepFailed, match="401"):
        await quickly(each(asks, on_error="keep", on=ValueError, concurrency=1), [500, 501])
    assert begun == [0, 500]


async def test_a_source_is_closed_when_an_item_fails_as_nobody_expects() -> None:
    source = Source(9)
    with pytest.raises(StepFailed, match="odd"):
        await quickly(each(even, on_error="skip", on=LookupError, concurrency=2), source.items())
    assert source.closed


# Sources


class Source:
    """Gives `count` items and says how far it got, and that it was closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.given = 0
        self.closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            while self.given < self.count:
                await checkpoint()
                self.given += 1
                yield self.given
        finally:
            self.closed = True


async def test_the_items_of_a_source_start_as_they_arrive() -> None:
    first_ran = anyio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await first_ran.wait()
        yield 2

    @node
    async def work(count: int) -> int:
        first_ran.set()
        return count * 10

    result = await quickly(each(work), items())
    assert result.output == [10, 20]
    assert [step.path for step in result.trace.steps()] == ["work[0]", "work[1]"]


async def test_a_source_is_read_only_as_fast_as_the_bound_allows() -> None:
    source = Source(100)
    most = 0
    running = 0

    @node
    async def work(count: int) -> int:
        nonlocal most, running
        running += 1
        most = max(most, running)
        assert source.given - count < 3
        await anyio.sleep(0.001)
        running -= 1
        return count

    assert (await quickly(each(work, concurrency=2), source.items())).output == list(range(1, 101))
    assert most == 2
    assert source.closed


async def test_a_source_that_fails_fails_the_map() -> None:
    async def items() -> AsyncIterator[int]:
        yield 2
        raise LookupError("dry")

    with pytest.raises(StepFailed, match="LookupError: dry") as caught:
        await quickly(each(even), items())
    assert caught.value.path == "even"


async def test_a_source_is_closed_when_the_map_fails_or_has_enough() -> None:
    failing, enough = Source(1000), Source(1000)
    with pytest.raises(StepFailed):
        await quickly(each(even, concurrency=1), failing.items())
    assert failing.closed
    assert (await quickly(each(even, concurrency=1, enough=2, on_error="skip"), enough.items())).output == [2, 4]
    assert enough.closed
    assert enough.given < 10


async def test_an_empty_source_gives_an_empty_list_and_too_few_items_fail() -> None:
    assert (await quickly(each(even), Source(0).items())).output == []
    with pytest.raises(StepFailed, match="at least 2 items must succeed, and at most 1 can"):
        await quickly(each(even, on_error="skip", at_least=2), Source(2).items())


async def test_a_node_may_give_a_source_to_a_map_in_a_graph() -> None:
    source = Source(3)

    @node
    def read() -> AsyncIterable[int]:
        return source.items()

    @node
    async def double(count: int) -> int:
        return 2 * count

    @graph
    def whole() -> list[int]:
        return each(double)(read())

    assert (await quickly(whole)).output == [2, 4, 6]


async def test_a_cancelled_map_closes_its_source() -> None:
    source = Source(1)

    async def endless() -> AsyncIterator[int]:
        try:
            async for one in source.items():
                yield one
            await anyio.sleep_forever()
        finally:
            source.closed = True

    with anyio.move_on_after(0.05):
        await cast("Any", quickly)(each(even, on_error="skip"), endless())
    assert source.closed


# One first


class Trail:
    """A node's body that writes down when each item began and ended."""

    def __init__(self, fails: frozenset[int] = frozenset()) -> None:
        self.marks: list[str] = []
        self.fails = fails

    async def work(self, count: int) -> int:
        self.marks.append(f"+{count}")
        for _ in range(3):
            await checkpoint()
        self.marks.append(f"-{count}")
        if count in self.fails:
            raise ValueError(count)
        return count


async def test_a_warm_map_runs_its_first_item_alone() -> None:
    trail = Trail()
    assert (await quickly(each(node(trail.work), warm=True), [1, 2, 3, 4])).output == [1, 2, 3, 4]
    assert trail.marks[:2] == ["+1", "-1"]
    assert set(trail.marks[2:5]) == {"+2", "+3", "+4"}


async def test_a_warm_map_keeps_its_bound_and_a_cold_one_starts_at_once() -> None:
    bounded, cold = Trail(), Trail()
    await quickly(each(node(bounded.work), warm=True, concurrency=2), [1, 2, 3, 4])
    assert bounded.marks[:2] == ["+1", "-1"]
    assert set(bounded.marks[2:4]) == {"+2", "+3"}
    assert bounded.marks.index("+4") > 4
    await quickly(each(node(cold.work)), [1, 2, 3])
    assert set(cold.marks[:3]) == {"+1", "+2", "+3"}


@pytest.mark.parametrize("on_error", ["keep", "skip"])
async def test_a_first_item_that_fails_lets_the_others_go(on_error: Any) -> None:
    trail = Trail(frozenset({1}))
    result: Run[list[Any]] = await quickly(each(node(trail.work), warm=True, on_error=on_error), [1, 2, 3])
    assert result.output[-2:] == [2, 3]
    assert trail.marks[:2] == ["+1", "-1"]
    assert set(trail.marks[2:4]) == {"+2", "+3"}


async def test_a_first_item_that_fails_a_warm_map_starts_nothing_else() -> None:
    trail = Trail(frozenset({1}))
    with pytest.raises(StepFailed):
        await quickly(each(node(trail.work), warm=True), [1, 2, 3])
    assert trail.marks == ["+1", "-1"]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_a_warm_map_over_a_source_asks_for_one_item_first(count: int) -> None:
    source, trail = Source(count), Trail()
    seen: list[int] = []

    @node
    async def work(number: int) -> int:
        seen.append(source.given)
        return await trail.work(number)

    assert (await quickly(each(work, warm=True), source.items())).output == list(range(1, count + 1))
    assert seen[:1] == ([1] if count else [])
    assert trail.marks[:2] == (["+1", "-1"] if count else [])


async def test_a_warm_map_of_graphs_waits_for_the_whole_of_the_first() -> None:
    trail = Trail()
    work = node(trail.work)

    @graph
    def twice(count: int) -> int:
        return work(work(count))

    assert (await quickly(each(twice, warm=True), [1, 2])).output == [1, 2]
    assert trail.marks == ["+1", "-1", "+1", "-1", "+2", "-2", "+2", "-2"]


async def test_enough_may_be_the_first_of_a_warm_map() -> None:
    trail = Trail()
    assert (await quickly(each(node(trail.work), warm=True, enough=1), [1, 2, 3])).output == [1]
    assert trail.marks == ["+1", "-1"]


def test_warm_is_true_or_false() -> None:
    with pytest.raises(GraphError, match="warm= is True or False, not 3"):
        each(even, warm=cast("Any", 3))


async def test_a_source_may_hold_a_task_group_over_its_items() -> None:
    async def produced() -> AsyncIterator[int]:
        send, receive = anyio.create_memory_object_stream[int](1)

        async def produce() -> None:
            async with send:
                for count in (2, 4, 6):
                    await send.send(count)

        async with anyio.create_task_group() as group, receive:
            group.start_soon(produce)
            async for count in receive:
                yield count

    assert (await quickly(each(even, concurrency=1), produced())).output == [2, 4, 6]
    assert (await quickly(each(even, concurrency=1, enough=1), produced())).output == [2]


async def test_a_source_that_cannot_be_closed_costs_the_map_nothing() -> None:
    async def items() -> AsyncIterator[int]:
        try:
            yield 2
            yield 4
        finally:
            raise OSError("stuck")

    result = await quickly(each(even, concurrency=1, enough=1), items())
    assert result.output == [2]
    assert "closing the source raised OSError: stuck" in [note.message for note in result.trace.root.notes]


async def test_one_source_cannot_be_read_by_two_maps() -> None:
    @node
    async def same(count: int) -> int:
        return count

    two_of_one: Any = vote(each(same), of=2, concurrency=1)
    with pytest.raises(NoQuorum) as caught:
        await quickly(two_of_one, Source(6).items())
    assert "is read by 'same[0]' already, and can be read once" in str(caught.value.__cause__)


async def test_a_stream_of_the_caller_s_stays_open() -> None:
    send, receive = anyio.create_memory_object_stream[int](10)
    async with send, receive:
        for count in (2, 4, 6):
            await send.send(count)
        assert (await quickly(each(even, concurrency=1, enough=2), receive)).output == [2, 4]
        assert receive.receive_nowait() == 6
