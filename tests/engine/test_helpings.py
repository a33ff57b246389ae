"""Where very many steps become ready together, they come in helpings: that changes nothing but who gets a turn between."""

from __future__ import annotations

import anyio
import pytest

from swarmlet import StepFailed, each, graph, node
from swarmlet.engine.scheduler import HELPING, Scheduler
from swarmlet.engine.step import Step
from swarmlet.graph.node import Node
from swarmlet.policy.options import Scope
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio

SIZES = (HELPING - 1, HELPING, HELPING + 1, 2 * HELPING + 1)


@node
def tenfold(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return number * 10


@node
async def forever(number: int) -> int:
    await anyio.sleep_forever()
    return number


@graph
def waiting(numbers: list[int]) -> list[int]:
    return each(forever)(numbers)


def wide(count: int) -> Node[[int], list[int]]:
    @graph
    def plan(number: int) -> list[int]:
        return [tenfold(number) for _ in range(count)]

    return plan


def ended(scheduler: Scheduler, step: Step) -> None:
    scheduler.step_finished(step, step.node.shape.call(*step.args))  # type: ignore[attr-defined]  # tenfold is a leaf


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("first", [True, False], ids=["first come", "last come"])
def test_no_more_than_a_helping_is_ready_at_once_and_all_come(size: int, *, first: bool) -> None:
    for of, given, expected in (
        (each(tenfold), list(range(size)), [number * 10 for number in range(size)]),
        (wide(size), 4, [40] * size),
    ):
        scheduler = Scheduler(of, (given,), {}, of.name, Scope())
        while not scheduler.done:
            if not scheduler.ready:
                scheduler.refill()
            assert 0 < len(scheduler.ready) <= HELPING
            ended(scheduler, scheduler.ready.popleft() if first else scheduler.ready.pop())
        assert scheduler.output == expected


@pytest.mark.parametrize("bound", [1, 3, HELPING + 44, 3 * HELPING])
def test_a_bound_above_a_helping_is_kept_and_reached(bound: int) -> None:
    of, numbers = each(tenfold, concurrency=bound), list(range(4 * HELPING))
    scheduler, running, most = Scheduler(of, (numbers,), {}, of.name, Scope()), list[Step](), 0
    while not scheduler.done:
        while scheduler.has_more:
            scheduler.refill()
            running += [scheduler.ready.popleft() for _ in range(len(scheduler.ready))]
        most = max(most, len(running))
        ended(scheduler, running.pop())
    assert most == bound
    assert scheduler.output == [number * 10 for number in numbers]


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_not_helped_out_is_told_as_not_started(whole: bool) -> None:
    size = 3 * HELPING
    for of, given in ((each(tenfold), list(range(size))), (wide(size), 4)):
        scheduler = Scheduler(of, (given,), {}, of.name, Scope(), whole=whole)
        assert len(scheduler.ready) == (size if whole else HELPING)
        paths = [path for path, _ in scheduler.not_started()]
        assert len(paths) == len(set(paths)) == size


async def test_a_failure_in_a_later_helping_stops_what_waits() -> None:
    lists: list[list[int]] = [[0]] * HELPING
    broken: list[list[int]] = [*lists, None]  # type: ignore[list-item]  # what a program may do all the same
    with pytest.raises(StepFailed, match="not iterable"):
        await quickly(each(waiting), broken)


@pytest.mark.parametrize("size", SIZES)
async def test_enough_at_least_and_failures_count_over_all_helpings(size: int) -> None:
    numbers = [number if number % 100 else -1 for number in range(size)]
    good = [number * 10 for number in numbers if number >= 0]
    assert (await quickly(each(tenfold, on_error="skip"), numbers)).output == good
    assert (await quickly(each(tenfold, on_error="skip", enough=HELPING - 20), numbers)).output == good[: HELPING - 20]
    assert (await quickly(each(tenfold, on_error="skip", at_least=len(good)), numbers)).output == good
    with pytest.raises(StepFailed, match="must succeed"):
        await quickly(each(tenfold, on_error="skip", at_least=len(good) + 1), numbers)
    with pytest.raises(StepFailed, match="-1"):
        await quickly(each(tenfold), [*range(size), -1])


async def test_a_map_over_more_empty_maps_than_a_helping_is_done() -> None:
    assert (await quickly(each(waiting), [list[int]()] * (HELPING + 9))).output == [[]] * (HELPING + 9)
