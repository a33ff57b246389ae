"""Maps: how many must and may succeed, and sources that give their items one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Failed, GraphError, Run, StepFailed, each, graph, node
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
    ],
)
def test_maps_refuse_bounds_that_cannot_apply(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(GraphError, match=problem):
        each(even, **settings)


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
