"""A graceful stop: running steps finish, nothing new starts, and the record says what was left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Again, Done, Run, RunStopped, Swarm, SwarmletError, current, each, graph, hedge, loop, node, race
from swarmlet.trace.events import StepEnded
from swarmlet.trace.journal import Journal

pytestmark = pytest.mark.anyio


class Door:
    """Holds steps until it is opened, and says that one is inside."""

    def __init__(self) -> None:
        self.inside = anyio.Event()
        self.open = anyio.Event()

    async def through(self) -> None:
        self.inside.set()
        await self.open.wait()


async def drained(of: Any, door: Door, *args: object, journal: Path | None = None) -> RunStopped | Run[Any]:  # Any: any node
    """How a run ends whose swarm is drained while a step is inside the door, which is opened after that."""
    found: list[RunStopped | Run[Any]] = []
    with anyio.fail_after(10):
        async with Swarm(journal=journal) as swarm:

            async def work() -> None:
                try:
                    found.append(await swarm.run(of, *args))
                except RunStopped as error:
                    found.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(work)
                await door.inside.wait()
                group.start_soon(swarm.drain)
                await checkpoint()
                await checkpoint()
                door.open.set()
    return found[0]


def states(of: RunStopped | Run[Any]) -> dict[str, str]:
    run = of.run if isinstance(of, RunStopped) else of
    assert run is not None
    return {event.path: event.state for event in run.trace.events if isinstance(event, StepEnded)}


def left(error: RunStopped | Run[Any]) -> list[str]:
    assert isinstance(error, RunStopped)
    assert error.run is not None
    assert error.run.trace.state == "drained"
    return error.run.trace.not_started()


async def test_running_steps_finish_and_the_next_ones_are_recorded_as_not_started(tmp_path: Path) -> None:
    door = Door()

    @node
    async def first(count: int) -> int:
        await door.through()
        return count + 1

    @node
    async def second(count: int) -> int:
        raise AssertionError("started")

    @graph
    def whole(count: int) -> int:
        return second(second(first(count)))

    stopped = await drained(whole, door, 1, journal=tmp_path / "j.db")
    assert states(stopped) == {"whole/first": "finished"}
    assert left(stopped) == ["whole/second", "whole/second~2"]
    assert "drained" in str(stopped)
    journal = Journal(tmp_path / "j.db")
    (row,) = journal.runs()
    assert row.state == "drained"
    assert journal.trace(row.id).output("whole/first") == 2


async def test_a_run_whose_last_step_is_running_finishes() -> None:
    door = Door()

    @node
    async def only(count: int) -> int:
        await door.through()
        return count

    finished = await drained(graph_of_one(only), door, 3)
    assert isinstance(finished, Run)
    assert finished.output == 3


def graph_of_one(inner: Any) -> Any:  # Any: any node
    @graph
    def whole(count: int) -> int:
        result: int = inner(count)
        return result

    return whole


async def test_maps_loops_and_nodes_with_options_start_nothing_more() -> None:
    door = Door()

    @node
    async def work(count: int) -> int:
        await door.through()
        return count

    bounded = each(work, concurrency=2).with_options(timeout=60)
    stopped = await drained(graph_over(bounded), door, [1, 2, 3, 4])
    assert states(stopped) == {"whole/work[0]": "finished", "whole/work[1]": "finished", "whole/work": "drained"}
    assert left(stopped) == ["whole/work[2]", "whole/work[3]"]

    door = Door()

    @node
    async def again(count: int) -> Again[int] | Done[int]:
        await door.through()
        return Again(count + 1)

    stopped = await drained(loop(again, rounds=9), door, 0)
    assert states(stopped) == {"again[0]": "finished"}
    assert left(stopped) == ["again[1]"]


def graph_over(inner: Any) -> Any:  # Any: any node
    @graph
    def whole(counts: list[int]) -> list[int]:
        result: list[int] = inner(counts)
        return result

    return whole


async def test_steps_that_wait_for_a_place_do_not_start() -> None:
    door = Door()

    @node
    async def work(count: int) -> int:
        await door.through()
        return count

    stopped = await drained(each(work).with_options(concurrency=1), door, [1, 2, 3])
    assert states(stopped)["work[0]"] == "finished"
    assert sorted(left(stopped)) == ["work[1]", "work[2]"]


async def test_what_a_running_step_starts_itself_belongs_to_it() -> None:
    door = Door()

    @node
    async def child(count: int) -> int:
        await checkpoint()
        return count + 1

    @graph
    def children(count: int) -> int:
        return child(child(count))

    @node
    async def parent(count: int) -> int:
        await door.through()
        return await current().run(children.with_options(timeout=60), count)

    finished = await drained(parent, door, 1)
    assert isinstance(finished, Run)
    assert finished.output == 3


async def test_nothing_is_waited_for_but_running_steps() -> None:
    door = Door()

    @node
    async def work(count: int) -> int:
        await door.through()
        raise ValueError("no")

    @node
    async def after(counts: list[int]) -> int:
        raise AssertionError("started")

    async def endless() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep_forever()

    @graph
    def streamed(counts: Any) -> int:  # Any: a source
        return after(each(work, on_error="skip")(counts))

    stopped = await drained(streamed, door, endless())
    assert left(stopped) == ["streamed/after"]

    door = Door()
    stopped = await drained(hedge(work, after=3600, tries=3), door, 1)
    assert isinstance(stopped, RunStopped)
    assert left(stopped) == ["work[1]"]


async def test_a_race_that_is_won_while_draining_is_won() -> None:
    door = Door()

    @node
    async def quick(count: int) -> int:
        await door.through()
        return count

    @node
    async def slow(count: int) -> int:
        await anyio.sleep_forever()
        return count

    finished = await drained(race(graph_of_one(slow), graph_of_one(quick)), door, 4)
    assert isinstance(finished, Run)
    assert finished.output == 4


async def test_what_does_not_end_in_time_is_cancelled_and_new_runs_are_refused() -> None:
    @node
    async def forever(count: int) -> int:
        started.set()
        await anyio.sleep_forever()
        return count

    started = anyio.Event()
    ends: list[Exception] = []
    with anyio.fail_after(10):
        async with Swarm() as swarm:

            async def work() -> None:
                try:
                    await swarm.run(forever, 1)
                except RunStopped as error:
                    ends.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(work)
                await started.wait()
                await swarm.drain(timeout=0.01)
            assert len(ends) == 1
            with pytest.raises(RunStopped, match="its swarm was drained"):
                await swarm.run(forever, 1)
            await swarm.drain()


async def test_a_step_cannot_drain_the_swarm_that_it_runs_in() -> None:
    async with Swarm() as swarm:

        @node
        async def suicidal() -> None:
            await swarm.drain()

        with pytest.raises(SwarmletError, match="cannot drain the swarm that it runs in"):
            await swarm.run(suicidal)


async def test_the_fallback_of_a_graph_is_not_started_and_that_of_a_running_step_is() -> None:
    door = Door()

    @node
    async def failing(count: int) -> int:
        await door.through()
        raise ValueError("no")

    @node
    async def spare(count: int) -> int:
        return -count

    @graph
    def inner(count: int) -> int:
        return failing(count)

    stopped = await drained(graph_of_one(inner.with_options(fallback=spare)), door, 1)
    assert left(stopped) == ["whole/inner/~spare"]
    door = Door()
    finished = await drained(graph_of_one(failing.with_options(fallback=spare)), door, 1)
    assert isinstance(finished, Run)
    assert finished.output == -1


async def test_what_is_left_of_a_bounded_map_is_recorded_item_by_item() -> None:
    door = Door()

    @node
    async def work(count: int) -> int:
        await door.through()
        return count

    @node
    async def after(count: int) -> int:
        return count

    @graph
    def steps(count: int) -> int:
        return after(work(count))

    stopped = await drained(each(steps, concurrency=1), door, [1, 2, 3])
    assert sorted(left(stopped)) == ["steps[0]/after", "steps[1]", "steps[2]"]
