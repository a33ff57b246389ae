"""Async functions are begun where they become ready, and go on in a task only if they wait: nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Node, StepFailed, current, each, node, race, run
from swarmlet.errors import SwarmletError
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio

mark: ContextVar[int] = ContextVar("mark", default=-1)
ITEMS = list(range(5))


def nothing() -> Iterator[int]:
    yield from ()


@node
def ends_an_iterator(number: int) -> int:
    return next(nothing())


@node
async def ends_an_iterator_at_once(number: int) -> int:
    return next(nothing())


@node
async def ends_an_iterator_later(number: int) -> int:
    await checkpoint()
    return next(nothing())


@pytest.mark.parametrize(
    "broken", [ends_an_iterator, ends_an_iterator_at_once, ends_an_iterator_later], ids=lambda one: one.name
)
async def test_a_function_that_raises_stop_iteration_has_failed(broken: Node[[int], int]) -> None:
    with pytest.raises(StepFailed, match="StopIteration") as caught:
        await quickly(broken, 1)
    assert caught.value.run is not None
    assert caught.value.run.trace.step(broken.name).state == "failed"


@node
async def sets_a_mark(number: int) -> int:
    before = mark.get()
    mark.set(number)
    await checkpoint()
    return before if mark.get() == number else 99


async def test_what_a_function_sets_before_it_waits_is_seen_by_itself_alone() -> None:
    assert (await quickly(each(sets_a_mark), ITEMS)).output == [-1] * 5
    assert mark.get() == -1


@node
async def stays_in_its_task(number: int) -> bool:
    before = anyio.get_current_task().id
    await checkpoint()
    return anyio.get_current_task().id == before


async def test_a_function_is_in_one_task_from_its_first_line_on() -> None:
    assert all((await quickly(each(stays_in_its_task), ITEMS)).output)


@node
async def stops_itself(number: int) -> int:
    with anyio.CancelScope() as scope:
        if number % 2:
            scope.cancel()
        await checkpoint()
        return number
    return -number


@node
async def starts_tasks(number: int) -> int:
    done: list[int] = []

    async def part() -> None:
        await checkpoint()
        done.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(part)
        group.start_soon(part)
        await checkpoint()
    return len(done)


async def test_scopes_and_task_groups_that_are_entered_before_it_waits_are_its_own() -> None:
    assert (await quickly(each(stops_itself), ITEMS)).output == [0, -1, 2, -3, 4]
    assert (await quickly(each(starts_tasks), ITEMS)).output == [2] * 5


async def test_a_function_that_waits_is_stopped_where_it_waits_and_cleans_up() -> None:
    cleaned: list[int] = []

    @node
    async def waits(number: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            cleaned.append(number)
        return number

    @node
    async def goes(number: int) -> int:
        await checkpoint()
        return number

    assert (await quickly(each(race(waits, goes)), ITEMS)).output == ITEMS
    assert sorted(cleaned) == ITEMS


def waiting(begun: list[int], stop: Callable[[], None]) -> Node[[int], int]:
    @node
    async def waits(number: int) -> int:
        begun.append(number)
        if number == 5:
            stop()
        await anyio.sleep_forever()
        return number

    return waits


async def test_no_step_is_begun_once_the_caller_has_stopped_waiting() -> None:
    begun: list[int] = []
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        await run(each(waiting(begun, scope.cancel)), list(range(200)))
    assert scope.cancelled_caught
    assert begun == list(range(6))


async def test_a_function_that_is_over_starts_no_steps_though_it_never_waited() -> None:
    left: list[Any] = []

    @node
    async def leaves(number: int) -> int:
        left.append(current())
        return number

    await quickly(leaves, 1)
    with pytest.raises(SwarmletError, match="is over"):
        await left[0].run(sets_a_mark, 1)
