"""The scheduler without an event loop: whatever the order in which steps finish, the same steps run, each once, in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet import Again, Done, StepFailed, each, graph, loop, node, switch
from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Step
from swarmlet.errors import RoundsExhausted
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Leaf
from swarmlet.policy.options import Scope

Choose = Callable[[int], int]
many = settings(deadline=None, max_examples=60)


def first(waiting: int) -> int:
    return 0


def last(waiting: int) -> int:
    return waiting - 1


def call(step: Step) -> object:
    """What the step's function gives."""
    shape = step.node.shape
    assert isinstance(shape, Leaf)
    return shape.call(*step.args, **step.kwargs)


def drive(whatever: object, *args: object, choose: Choose = first) -> tuple[Scheduler, list[str]]:
    """Run `of` by hand: start all that is ready, finish one of the started, and so on. Also the paths as they started."""
    of = cast("Node[..., Any]", whatever)
    scheduler = Scheduler(of, args, {}, of.name, Scope())
    running: list[Step] = []
    started: list[str] = []
    while scheduler.ready or running:
        started += [step.path for step in scheduler.ready]
        running += scheduler.ready
        scheduler.ready.clear()
        step = running.pop(choose(len(running)))
        try:
            value = call(step)
        except ValueError as error:
            scheduler.step_failed(step, StepFailed(step.path, str(error)))
        else:
            scheduler.step_finished(step, value)
        if scheduler.failures:
            break
    return scheduler, started


@node
def inc(count: int) -> int:
    return count + 1


@node
def fail(count: int) -> int:
    raise ValueError(f"no {count}")


@node
def total(counts: list[int]) -> int:
    return sum(counts)


# Random graphs


@st.composite
def tables(draw: st.DrawFn) -> list[list[int]]:
    """For each step of a graph, which earlier values (0 is the input) it reads."""
    size = draw(st.integers(1, 12))
    return [draw(st.lists(st.integers(0, index), min_size=1, max_size=4)) for index in range(size)]


def build(table: list[list[int]]) -> Node[..., Any]:
    """The graph of a table: each step sums what it reads and adds its number."""

    @node
    def combine(number: int, values: list[int]) -> int:
        return sum(values) + number

    def body(start: int) -> list[int]:
        values = [start]
        for number, reads in enumerate(table):
            values.append(combine(number, [values[index] for index in reads]))
        return values

    return graph(body)


def interpret(table: list[list[int]], start: int) -> list[int]:
    values = [start]
    for number, reads in enumerate(table):
        values.append(sum(values[index] for index in reads) + number)
    return values


@many
@given(tables(), st.integers(-5, 5), st.randoms(use_true_random=False))
def test_a_random_graph_gives_what_its_source_says_in_any_order(table: list[list[int]], start: int, random: Any) -> None:
    whole = build(table)
    scheduler, started = drive(whole, start, choose=lambda waiting: random.randrange(waiting))
    assert scheduler.done
    assert scheduler.output == interpret(table, start)
    assert sorted(started) == sorted(f"body/{row.path}" for row in whole.plan)


@many
@given(tables(), st.randoms(use_true_random=False))
def test_a_step_starts_as_soon_as_its_own_inputs_are_there_and_never_before(table: list[list[int]], random: Any) -> None:
    whole = build(table)
    scheduler = Scheduler(whole, (0,), {}, "body", Scope())
    names = {f"body/{row.path}": index for index, row in enumerate(whole.plan)}
    finished: set[int] = set()
    running: list[Step] = []
    while not scheduler.done:
        running += scheduler.ready
        scheduler.ready.clear()
        open_steps = {names[step.path] for step in running}
        could = {index for index, reads in enumerate(table) if {read - 1 for read in reads if read} <= finished}
        assert open_steps == could - finished
        step = running.pop(random.randrange(len(running)))
        scheduler.step_finished(step, call(step))
        finished.add(names[step.path])


# Nested combinators


def parity(count: int) -> Literal["odd", "even"]:
    return "odd" if count % 2 else "even"


@node
def halve(count: int) -> int:
    return count // 2


@node
def judge(count: int) -> Again[int] | Done[int]:
    return Done(count) if count < 2 else Again(count)


@graph
def shrink(count: int) -> Again[int] | Done[int]:
    return judge(switch(parity, {"odd": inc, "even": halve})(count))


@graph
def shrink_row(counts: list[int]) -> int:
    return total(each(loop(shrink, rounds=30))(counts))


@graph
def whole(rows: list[list[int]]) -> int:
    return total(each(shrink_row, concurrency=2)(rows))


ROWS = st.lists(st.lists(st.integers(0, 60), max_size=4), max_size=4)


@many
@given(ROWS, st.randoms(use_true_random=False))
def test_the_steps_of_nested_maps_loops_and_switches_do_not_depend_on_the_order(rows: list[list[int]], random: Any) -> None:
    expected, in_order = drive(whole, rows)
    scheduler, shuffled = drive(whole, rows, choose=lambda waiting: random.randrange(waiting))
    assert scheduler.output == expected.output == sum(_shrunk(count) for row in rows for count in row)
    assert sorted(shuffled) == sorted(in_order)
    assert len(set(in_order)) == len(in_order)


def _shrunk(count: int) -> int:
    while True:
        count = count + 1 if count % 2 else count // 2
        if count < 2:
            return count


@many
@given(ROWS)
def test_run_again_from_the_top_it_hands_out_the_same_steps(rows: list[list[int]]) -> None:
    assert drive(whole, rows)[1] == drive(whole, rows)[1]
    assert sorted(drive(whole, rows, choose=last)[1]) == sorted(drive(whole, rows)[1])


# Maps


@many
@given(st.integers(0, 30), st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_map_never_hands_out_more_than_its_bound_and_as_much_as_it_may(size: int, bound: int, random: Any) -> None:
    scheduler = Scheduler(cast("Node[..., Any]", each(inc, concurrency=bound)), (range(size),), {}, "inc", Scope())
    running: list[Step] = []
    left = size
    while not scheduler.done:
        running += scheduler.ready
        scheduler.ready.clear()
        assert len(running) == min(bound, left)
        step = running.pop(random.randrange(len(running)))
        scheduler.step_finished(step, call(step))
        left -= 1
    assert scheduler.output == [number + 1 for number in range(size)]


def test_a_map_of_nothing_is_done_at_once_however_deep() -> None:
    nothing: list[list[list[int]]] = [[[], []], [], [[]]]
    scheduler, started = drive(each(each(each(inc))), nothing)
    assert (scheduler.done, scheduler.output, started) == (True, nothing, [])
    assert drive(each(inc), [])[0].output == []


def test_a_map_over_many_empty_maps_and_empty_graphs_does_not_recurse() -> None:
    @graph
    def same(count: int) -> int:
        return count

    assert drive(each(each(inc), concurrency=1), [()] * 10_000)[0].output == [[]] * 10_000
    assert drive(each(same, concurrency=1), range(10_000))[0].output == list(range(10_000))


@pytest.mark.parametrize("broken", [3, cast("object", (1 // 0 for _ in [1]))], ids=["no list", "a list that fails"])
def test_a_map_over_what_cannot_be_gone_through_fails_with_its_path(broken: object) -> None:
    scheduler, _ = drive(each(inc), broken)
    (failure,) = scheduler.failures
    assert isinstance(failure, StepFailed)
    assert failure.path == "inc"
    assert not scheduler.done


def test_a_failed_item_that_is_kept_takes_its_place_and_a_skipped_one_leaves_it() -> None:
    @node
    def odd(count: int) -> int:
        if count % 2 == 0:
            raise ValueError(count)
        return count

    kept, _ = drive(each(odd, on_error="keep"), [1, 2, 3])
    one, failed, three = cast("list[Any]", kept.output)
    assert (one, failed.path, three) == (1, "odd[1]", 3)
    assert drive(each(odd, on_error="skip"), [1, 2, 3, 4])[0].output == [1, 3]
    assert drive(each(odd, on_error="skip", concurrency=1), [2, 4])[0].output == []
    assert drive(each(odd), [1, 2, 3])[0].failures[0].args == ("odd[1]", "2")


# Loops


def test_a_loop_of_many_rounds_does_not_recurse() -> None:
    @graph
    def empty(state: int) -> Again[int] | Done[int]:
        return cast("Done[int]", Again(state))

    assert isinstance(drive(loop(empty, rounds=10_000), 0)[0].failures[0], RoundsExhausted)

    @node
    def count(state: int) -> Again[int] | Done[int]:
        return Done(state) if state == 9_999 else Again(state + 1)

    scheduler, started = drive(loop(count, rounds=10_000), 0)
    assert scheduler.output == 9_999
    assert started[-1] == "count[9999]"


def test_a_loop_without_end_says_how_often_it_was_tried_and_where_it_stood() -> None:
    @node
    def on(state: int) -> Again[int] | Done[int]:
        return Again(state + 1)

    (failure,) = drive(loop(on, rounds=3), 5)[0].failures
    assert isinstance(failure, RoundsExhausted)
    assert (failure.path, failure.rounds, failure.state) == ("on", 3, 8)
    scheduler, started = drive(loop(on, rounds=3, otherwise=inc), 5)
    assert scheduler.output == 9
    assert started == ["on[0]", "on[1]", "on[2]", "on/inc"]


def test_a_body_that_says_neither_again_nor_done_fails_with_its_round() -> None:
    @node
    def odd(state: int) -> Again[int] | Done[int]:
        return cast("Done[int]", state)

    (failure,) = drive(loop(odd, rounds=3), 1)[0].failures
    assert str(failure) == "step 'odd[0]' failed: the loop's body returned int, not Again or Done"


# Choices and failures


def test_only_the_chosen_arm_runs() -> None:
    route = switch(parity, {"odd": inc, "even": fail})
    assert drive(route, 3)[1] == ["switch/parity", "switch/inc"]
    assert drive(route, 2)[0].failures[0].args == ("switch/fail", "no 2")


def test_an_arm_of_the_keys_name_is_told_from_it() -> None:
    route = switch(parity, {"odd": parity, "even": parity})
    assert drive(route, 3)[1] == ["switch/parity", "switch/parity~2"]


@pytest.mark.parametrize("given_key", ["c", ["unhashable"]])
def test_a_value_that_no_arm_takes_is_a_failure_of_the_switch(given_key: object) -> None:
    def key(count: int) -> Literal["a"]:
        return cast('Literal["a"]', given_key)

    (failure,) = drive(switch(key, {"a": inc}), 3)[0].failures
    assert str(failure) == f"step 'switch' failed: the key gave {given_key!r}, which has no arm"
    assert drive(switch(key, {"a": inc}, default=inc), 3)[0].output == 4


def test_a_field_that_is_missing_when_the_graph_runs_is_a_failure_of_the_step_that_reads_it() -> None:
    class Box:
        size: int

    @node
    def box() -> Box:
        return Box()

    @graph
    def reads() -> int:
        return inc(box().size)

    (failure,) = drive(reads)[0].failures
    assert isinstance(failure, StepFailed)
    assert failure.path == "reads/inc"
    assert isinstance(failure.__cause__, AttributeError)


def test_nothing_is_handed_out_after_a_failure_that_nobody_deals_with() -> None:
    @graph
    def two(count: int) -> int:
        return total([inc(fail(count)), inc(count)])

    scheduler = Scheduler(two, (1,), {}, "two", Scope())
    failing, other = scheduler.ready
    scheduler.ready.clear()
    scheduler.step_failed(failing, StepFailed(failing.path, "no"))
    scheduler.step_finished(other, 2)
    assert not scheduler.done
    assert not scheduler.ready


def test_a_step_names_its_arguments_by_parameter() -> None:
    @node
    def many(head: int, /, *tail: int, sep: str = ",", **named: int) -> str:
        return sep

    step = Step("many", many, [1, 2, 3], {"sep": "-", "x": 4}, Scope())
    assert step.named_arguments() == {"head": 1, "tail[0]": 2, "tail[1]": 3, "sep": "-", "x": 4}
