"""Steps start when their own inputs are ready, and combinators do what they say, on every event loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Again, Done, Failed, StepFailed, each, graph, loop, node, run, run_sync, switch
from swarmlet.errors import RoundsExhausted
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio


@node
async def inc(count: int) -> int:
    await checkpoint()
    return count + 1


@node
def total(counts: list[int]) -> int:
    return sum(counts)


# Overlap


async def test_a_step_starts_when_its_own_inputs_are_ready() -> None:
    """The diamond: `after` follows the quick step while the slow one, at its side, waits for `after` to have run."""
    after_ran = anyio.Event()

    @node
    async def quick() -> int:
        await checkpoint()
        return 1

    @node
    async def slow() -> int:
        await after_ran.wait()
        return 2

    @node
    async def after(count: int) -> int:
        after_ran.set()
        return count

    @graph
    def diamond() -> int:
        return total([after(quick()), slow()])

    assert (await quickly(diamond)).output == 3


async def test_no_barrier_stands_at_the_border_of_a_sub_graph() -> None:
    second_ran = anyio.Event()

    @node
    async def early(count: int) -> int:
        return count

    @node
    async def late(count: int) -> int:
        await second_ran.wait()
        return count

    @node
    async def second(count: int) -> int:
        second_ran.set()
        return count

    @graph
    def first_part(count: int) -> tuple[int, int]:
        return early(count), late(count)

    @graph
    def second_part(count: int) -> int:
        return second(count)

    @graph
    def whole(count: int) -> int:
        quick, slow = first_part(count)
        return total([second_part(quick), slow])

    assert (await quickly(whole, 2)).output == 4


async def test_who_reads_one_part_of_what_a_sub_graph_returns_does_not_wait_for_the_others() -> None:
    @dataclass
    class Parts:
        early: int
        late: int

    class Named(NamedTuple):
        early: int
        late: int

    read = [anyio.Event() for _ in range(4)]

    @node
    async def early(index: int) -> int:
        return index

    @node
    async def late(index: int) -> int:
        await read[index].wait()
        return index

    @node
    async def reads(index: int) -> int:
        read[index].set()
        return index

    @graph
    def as_dataclass(index: int) -> Parts:
        return Parts(early(index), late(index))

    @graph
    def as_named_tuple(index: int) -> Named:
        return Named(early(index), late(index))

    @graph
    def as_list(index: int) -> list[int]:
        return [early(index), late(index)]

    @graph
    def as_dict(index: int) -> dict[str, int]:
        return {"early": early(index), "late": late(index)}

    @graph
    def whole() -> list[int]:
        one, two, three, four = as_dataclass(0), as_named_tuple(1), as_list(2), as_dict(3)
        firsts = [reads(one.early), reads(two.early), reads(three[-2]), reads(four["early"])]
        return [total(firsts), one.late, two[1], three[1], four["late"]]

    assert (await quickly(whole)).output == [6, 0, 1, 2, 3]


def test_a_dataclass_that_changes_its_fields_is_read_after_it_was_made() -> None:
    @dataclass
    class Doubled:
        count: int

        def __post_init__(self) -> None:
            if type(self.count) is int:  # and no ref yet
                self.count *= 2

    @graph
    def made(count: int) -> Doubled:
        return Doubled(count)

    @graph
    def whole(count: int) -> int:
        return total([made(count).count])

    assert run_sync(whole, 4).output == 8


async def test_items_of_a_map_go_through_its_graph_independently() -> None:
    done = {index: anyio.Event() for index in range(3)}

    @node
    async def enter(index: int) -> int:
        if index > 0:
            await done[index - 1].wait()  # the item before has gone through all of its steps
        return index

    @node
    async def leave(index: int) -> int:
        done[index].set()
        return index

    @graph
    def through(index: int) -> int:
        return leave(enter(index))

    assert (await quickly(each(through), [2, 1, 0])).output == [2, 1, 0]


async def test_rounds_of_mapped_loops_overlap() -> None:
    met = anyio.Event()

    @node
    async def meet(state: int) -> Again[int] | Done[int]:
        if state == 0:
            await met.wait()
            return Done(0)
        if state == 2:
            met.set()
            return Done(2)
        await checkpoint()
        return Again(state + 1)

    assert (await quickly(each(loop(meet, rounds=4)), [0, 1])).output == [0, 2]


# each


async def test_results_come_in_the_order_of_the_items_whatever_finishes_first() -> None:
    turn = [anyio.Event() for _ in range(6)]
    turn[5].set()

    @node
    async def backwards(index: int) -> int:
        await turn[index].wait()
        if index:
            turn[index - 1].set()
        return index * 10

    result = await quickly(each(backwards), range(6))
    assert result.output == [0, 10, 20, 30, 40, 50]
    ended = [event.path for event in result.trace.events if event.kind == "step_ended"]
    assert ended == [f"backwards[{index}]" for index in (5, 4, 3, 2, 1, 0)]


async def test_an_empty_list_gives_an_empty_list() -> None:
    assert (await quickly(each(inc), [])).output == []


@pytest.mark.parametrize("bound", [1, 2, 3])
async def test_no_more_items_run_at_once_than_allowed_and_no_fewer(bound: int) -> None:
    running: set[int] = set()
    most = 0

    @node
    async def busy(index: int) -> int:
        nonlocal most
        running.add(index)
        most = max(most, len(running))
        for _ in range(3):
            await checkpoint()
        running.remove(index)
        return index

    assert (await quickly(each(busy, concurrency=bound), range(9))).output == list(range(9))
    assert most == bound


async def test_a_bound_on_items_holds_for_items_that_are_graphs() -> None:
    inside: set[int] = set()
    most = 0

    @node
    async def enter(index: int) -> int:
        nonlocal most
        inside.add(index)
        most = max(most, len(inside))
        await checkpoint()
        return index

    @node
    async def leave(index: int) -> int:
        inside.remove(index)
        return index

    @graph
    def through(index: int) -> int:
        return leave(enter(index))

    assert (await quickly(each(through, concurrency=2), range(7))).output == list(range(7))
    assert most == 2


async def test_kept_failures_stand_in_their_place_and_skipped_ones_do_not() -> None:
    @node
    async def odd(count: int) -> int:
        await checkpoint()
        if count % 2 == 0:
            raise ValueError(f"{count} is even")
        return count

    kept = (await quickly(each(odd, on_error="keep"), [1, 2, 3])).output
    failed = kept[1]
    assert kept == [1, failed, 3]
    assert isinstance(failed, Failed)
    assert (failed.path, failed.type, failed.message) == ("odd[1]", "ValueError", "2 is even")
    assert isinstance(failed.error, StepFailed)
    assert isinstance(failed.error.__cause__, ValueError)
    skipped = await quickly(each(odd, on_error="skip"), [1, 2, 3])
    assert skipped.output == [1, 3]
    assert [step.state for step in skipped.trace.steps()] == ["finished", "failed", "finished"]


async def test_a_failed_item_stops_its_own_steps_and_no_others() -> None:
    stopped: list[int] = []
    failed = anyio.Event()

    @node
    async def beside(count: int) -> int:
        if count == 2:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.append(count)
                failed.set()
        await failed.wait()
        return count

    @node
    async def odd(count: int) -> int:
        await checkpoint()
        if count % 2 == 0:
            raise ValueError(f"{count} is even")
        return count

    @graph
    def both(count: int) -> int:
        return total([beside(count), odd(count)])

    result = await quickly(each(both, on_error="keep"), [1, 2, 3])
    one, lost, three = cast("list[Any]", result.output)  # Any: numbers and a failure
    assert (one, three, stopped) == (2, 6, [2])
    assert (lost.path, lost.message) == ("both[1]/odd", "2 is even")
    assert result.trace.step("both[1]/beside").state == "cancelled"


async def test_an_item_that_fails_twice_is_kept_as_one_failure() -> None:
    both_in = anyio.Event()

    @node
    async def left(count: int) -> int:
        await both_in.wait()
        raise ValueError("left")

    @node
    async def right(count: int) -> int:
        try:
            both_in.set()
            await anyio.sleep_forever()
        finally:
            raise LookupError("right")

    @graph
    def both(count: int) -> int:
        return total([left(count), right(count)])

    (kept,) = cast("list[Any]", (await quickly(each(both, on_error="keep"), [1])).output)  # Any: a failure
    assert (kept.path, kept.type) == ("both[0]", "StepsFailed")
    assert sorted(error.path for error in kept.error.exceptions) == ["both[0]/left", "both[0]/right"]


# loop and switch


@node
async def count_down(state: int, by: int = 1) -> Again[int] | Done[str]:
    await checkpoint()
    return Done("zero") if state <= 0 else Again(state - by)


async def test_a_loop_goes_round_until_done() -> None:
    result = await quickly(loop(count_down, rounds=4), 3)
    assert result.output == "zero"
    assert [step.path for step in result.trace.steps()] == [f"count_down[{number}]" for number in range(4)]


async def test_a_loop_out_of_rounds_fails_or_asks_otherwise() -> None:
    with pytest.raises(RoundsExhausted) as caught:
        await quickly(loop(count_down, rounds=3), 3)
    assert (caught.value.path, caught.value.rounds, caught.value.state) == ("count_down", 3, 0)
    assert caught.value.run is not None
    assert [step.state for step in caught.value.run.trace.steps()] == ["finished"] * 3

    @node
    async def last_words(state: int, by: int = 1) -> str:
        return f"stopped at {state} by {by}"

    result = await quickly(loop(count_down, rounds=2, otherwise=last_words), 9, 3)
    assert result.output == "stopped at 3 by 3"
    assert result.trace.output("count_down/last_words") == "stopped at 3 by 3"


async def test_running_out_of_rounds_stops_what_runs_beside_at_once() -> None:
    runs, stopped = anyio.Event(), anyio.Event()

    @node
    async def beside() -> int:
        try:
            runs.set()
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return 1

    @node
    async def on(state: int) -> Again[int] | Done[int]:
        await runs.wait()
        return Again(state)

    @graph
    def whole(start: int) -> tuple[int, int]:
        return loop(on, rounds=1)(start), beside()

    with pytest.raises(RoundsExhausted):
        await quickly(whole, 3)
    assert stopped.is_set()


async def test_a_value_without_an_arm_stops_what_runs_beside_at_once() -> None:
    def key(count: int) -> Literal["a"]:
        return cast('Literal["a"]', "b")

    @node
    async def beside() -> int:
        await anyio.sleep_forever()
        return 1

    @graph
    def whole(count: int) -> int:
        return total([switch(key, {"a": inc})(count), beside()])

    with pytest.raises(StepFailed, match="the key gave 'b', which has no arm") as caught:
        await quickly(whole, 3)
    assert caught.value.path == "whole/switch"


async def test_deeply_nested_combinators_run() -> None:
    def small(state: int) -> bool:
        return state < 10

    @node
    async def more(state: int) -> Again[int] | Done[int]:
        return Again(state + 3)

    @node
    async def enough(state: int) -> Again[int] | Done[int]:
        return Done(state)

    @graph
    def turn(state: int) -> Again[int] | Done[int]:
        return switch(small, {True: more, False: enough})(state)

    @graph
    def row(states: list[int]) -> int:
        return total(each(loop(turn, rounds=9))(states))

    @graph
    def table(rows: list[list[int]]) -> int:
        return total(each(row)(rows))

    result = await quickly(table, [[0, 10], [], [9]])
    assert result.output == 12 + 10 + 12
    assert "table/row[0]/turn[0][4]/switch/enough" in [step.path for step in result.trace.steps()]


# Size


async def test_ten_thousand_items_run_at_once() -> None:
    result = await run(each(inc), range(10_000))
    assert result.output == list(range(1, 10_001))
    assert len(result.trace.events) == 2 * 10_000 + 2


async def test_other_tasks_get_turns_while_steps_that_never_wait_run() -> None:
    turns = 0
    while_running = 0

    async def ticker() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    @node
    def trivial(count: int) -> int:
        nonlocal while_running
        while_running = turns
        return count

    async with anyio.create_task_group() as group:
        group.start_soon(ticker)
        await checkpoint()
        await run(each(trivial), range(10_000))
        group.cancel_scope.cancel()
    assert while_running > 3


async def test_a_chain_of_thousands_of_steps_runs_in_order() -> None:
    @graph
    def chain(count: int) -> int:
        for _ in range(3000):
            count = inc(count)
        return count

    result = await run(chain, 0)
    assert result.output == 3000
    started = [event.path for event in result.trace.events if event.kind == "step_started"]
    assert started == ["chain/inc", *(f"chain/inc~{number}" for number in range(2, 3001))]


# Events


async def test_the_events_of_a_run_come_in_order_each_once() -> None:
    @graph
    def whole(counts: list[int]) -> int:
        return total(each(inc)(counts))

    result = await quickly(whole, [1, 2])
    kinds = [event.kind for event in result.trace.events]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
    for path in ("whole/inc[0]", "whole/inc[1]", "whole/total"):
        own = [event.kind for event in result.trace.events if getattr(event, "path", None) == path]
        assert own == ["step_started", "step_ended"]
    times = [event.at for event in result.trace.events]
    assert times == sorted(times)
    assert result.trace.output("whole/inc[1]") == 3


def test_run_sync_runs_without_an_event_loop() -> None:
    assert run_sync(inc, 2).output == 3
