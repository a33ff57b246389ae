"""The scenarios of pydantic-graph's builder: broadcasts, maps, decisions, edges of graphs, iteration."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal, cast

import pytest
from anyio.lowlevel import checkpoint

from swarmlet import (
    Again,
    Done,
    GraphError,
    StepFailed,
    Swarm,
    WiringError,
    current,
    each,
    graph,
    loop,
    match,
    node,
    run_sync,
    switch,
)
from swarmlet.trace.events import StepEnded
from tests.engine.quickly import quickly
from tests.scenarios.reading import given, ran
from tests.scenarios.steps import add, numbers, times, total
from tests.scenarios.watching import Watch

pytestmark = pytest.mark.anyio


# Broadcasts and maps


async def test_one_value_goes_to_several_steps_that_give_several_types() -> None:
    @node
    def text(value: int) -> str:
        return f"<{value}>"

    @node
    def collect(values: list[int | str]) -> list[int | str]:
        return values

    @graph
    def whole(value: int) -> list[int | str]:
        return collect([times(value, 2), text(value), add(value)])

    assert (await quickly(whole, 10)).output == [20, "<10>", 11]


async def test_forks_in_forks_give_each_leaf_once() -> None:
    @graph
    def forked(value: int) -> list[int]:
        return [times(value, 10), times(value, 100)]

    @node
    def flat(parts: list[list[int]]) -> list[int]:
        return [one for part in parts for one in part]

    @graph
    def whole(value: int) -> list[int]:
        return flat([forked(add(value, 0)), forked(add(value, 1)), each(add)(forked(value))])

    run = await quickly(whole, 1)
    assert run.output == [10, 100, 20, 200, 11, 101]
    assert len(ran(run)) == len(set(ran(run))) == 11


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_map_of_a_map_and_maps_one_after_another(count: int) -> None:
    @graph
    def inner(value: int) -> int:
        return total(each(times)(numbers(value), 2))

    @node
    def text(value: int) -> str:
        return f"<{value}>"

    @graph
    def whole(count: int) -> list[str]:
        return each(text)(each(add)(each(inner)(numbers(count))))

    sums = [2 * sum(range(1, number + 1)) + 1 for number in range(1, count + 1)]
    assert (await quickly(whole, count)).output == [f"<{number}>" for number in sums]


async def test_each_item_of_a_map_may_fork_and_items_of_two_maps_do_not_mix() -> None:
    @graph
    def forked(value: int) -> int:
        return total([add(value), times(value, 10)])

    @graph
    def whole(count: int) -> tuple[int, int]:
        items = numbers(count)
        return total(each(forked)(items)), total(each(times)(items, 100))

    run = await quickly(whole, 3)
    assert run.output == (9 + 60, 600)
    assert given(run, "whole/total~2")["values"] == [100, 200, 300]


async def test_a_map_over_a_source_that_gives_items_one_by_one() -> None:
    async def source() -> AsyncIterator[int]:
        for value in (1, 2, 3):
            await checkpoint()
            yield value

    assert (await quickly(each(add), source())).output == [2, 3, 4]


async def test_what_is_no_list_is_refused_by_the_map_it_is_given_to() -> None:
    @node
    def no_list() -> int:
        return 3

    with pytest.raises(GraphError, match="int"):

        @graph
        def whole() -> list[int]:
            return each(add)(no_list())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    @node
    def lies() -> list[int]:
        return cast("list[int]", 3)

    @graph
    def believes() -> list[int]:
        return each(add)(lies())

    with pytest.raises(StepFailed, match="believes/add"):
        await quickly(believes)


# Decisions


class Size(Enum):
    SMALL = 1
    LARGE = 2


@pytest.mark.parametrize(("value", "output"), [(1, "small 1"), (100, "large 100")])
async def test_a_decision_by_a_literal_and_one_by_an_enum(value: int, output: str) -> None:
    @node
    def small(value: int) -> str:
        return f"small {value}"

    @node
    def large(value: int) -> str:
        return f"large {value}"

    def by_word(value: int) -> Literal["small", "large"]:
        return "large" if value > 10 else "small"

    def by_enum(value: int) -> Size:
        return Size.LARGE if value > 10 else Size.SMALL

    for one in (
        switch(by_word, {"small": small, "large": large}),
        switch(by_enum, {Size.SMALL: small, Size.LARGE: large}),
    ):
        run = await quickly(one, value)
        assert run.output == output
        assert len(ran(run)) == 2


@pytest.mark.parametrize(("value", "output"), [(3, "int"), ("x", "str"), (None, "other"), (2.5, "other"), (True, "int")])
async def test_a_decision_by_type_takes_the_first_arm_that_fits(value: object, output: str) -> None:
    @node
    def an_int(value: int) -> str:
        return "int"

    @node
    def a_str(value: str) -> str:
        return "str"

    @node
    def other(value: object) -> str:
        return "other"

    run = await quickly(match(an_int, a_str, other), value)
    assert run.output == output
    assert len(ran(run)) == 1


async def test_decisions_in_decisions_and_arms_that_map_and_fork() -> None:
    def positive(value: int) -> bool:
        return value > 0

    def even(value: int) -> bool:
        return value % 2 == 0

    @graph
    def maps(value: int) -> list[int]:
        return each(times)(numbers(value), 2)

    @graph
    def forks(value: int) -> list[int]:
        return [add(value), times(value, 10)]

    @node
    def nothing(value: int) -> list[int]:
        return []

    decided = switch(positive, {True: switch(even, {True: maps, False: forks}), False: nothing})
    assert [(await quickly(decided, value)).output for value in (2, 3, -1)] == [[2, 4], [4, 30], []]
    run = await quickly(each(decided), [2, 3, -1])
    assert run.output == [[2, 4], [4, 30], []]


async def test_a_value_for_which_there_is_no_arm_fails_and_one_that_may_come_is_asked_for_when_building() -> None:
    def key(value: int) -> Literal["a"]:
        return cast("Literal['a']", "b")

    @node
    def arm(value: int) -> int:
        return value

    with pytest.raises(StepFailed, match="'b'"):
        await quickly(switch(key, {"a": arm}), 1)

    def either(value: int) -> Literal["a", "b"]:
        return "a"

    with pytest.raises(GraphError, match="'b'"):
        switch(either, {"a": arm})


async def test_an_agent_of_nodes_that_name_the_next_one_is_a_loop_over_a_match() -> None:
    """What pydantic-graph's nodes do by returning one another, the arms of a match do by saying Again."""

    @dataclass(frozen=True)
    class Fetch:
        count: int

    @dataclass(frozen=True)
    class Check:
        count: int

    @node
    def fetch(at: Fetch) -> Again[Fetch | Check] | Done[int]:
        return Again(Check(at.count * 2))

    @node
    def check(at: Check) -> Again[Fetch | Check] | Done[int]:
        return Done(at.count) if at.count > 10 else Again(Fetch(at.count + 1))

    run = await quickly(loop(match(fetch, check), rounds=10), Fetch(1))
    assert run.output == 14
    assert ran(run) == [f"match[{index}]/{'check' if index % 2 else 'fetch'}" for index in range(6)]


# Edges of graphs


async def test_a_state_goes_through_the_graph_as_a_value_and_never_between_runs() -> None:
    @dataclass
    class Counter:
        value: int = 0

    @node
    def count(counter: Counter, by: int) -> Counter:
        return Counter(counter.value + by)

    @graph
    def whole() -> Counter:
        return count(count(Counter(), 1), 10)

    assert [(await quickly(whole)).output.value for _ in range(3)] == [11, 11, 11]


async def test_dependencies_are_resources_of_the_swarm() -> None:
    @dataclass
    class Deps:
        by: int

    @node
    def times_dep(value: int) -> int:
        return value * current().get(Deps).by

    async with Swarm(resources={Deps: Deps(5)}) as swarm:
        assert (await swarm.run(each(times_dep), [1, 2])).output == [5, 10]


@dataclass(frozen=True)
class Inner:
    values: list[int]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    names: dict[str, int]


async def test_nested_inputs_pass_and_their_parts_are_wired_one_by_one() -> None:
    @graph
    def whole(outer: Outer) -> tuple[int, int, Outer]:
        changed = Outer(Inner([add(outer.names["a"]), add(outer.inner.values[1])]), outer.names)
        return total(outer.inner.values), add(outer.names["b"]), changed

    run = await quickly(whole, Outer(Inner([1, 2]), {"a": 3, "b": 4}))
    assert run.output == (3, 5, Outer(Inner([4, 3]), {"a": 3, "b": 4}))


def test_a_graph_runs_from_code_that_is_not_async_more_than_once() -> None:
    @graph
    def whole(value: int) -> int:
        return add(times(value, 2))

    assert [run_sync(whole, value).output for value in (1, 2)] == [3, 5]


def test_names_that_would_be_confused_are_refused_and_steps_of_one_node_are_numbered() -> None:
    @node(name="same")
    def first(value: int) -> int:
        return value

    @node(name="same")
    def second(value: int) -> int:
        return value

    with pytest.raises(WiringError, match="same"):

        @graph
        def whole(value: int) -> tuple[int, int]:
            return first(value), second(value)

    @graph
    def twice(value: int) -> tuple[int, int]:
        return add(value), add(value)

    assert [step.path for step in twice.plan.steps] == ["add", "add~2"]


# Watching a run step by step


async def test_iterating_over_a_run_tells_each_step_and_a_map_item_by_item() -> None:
    @graph
    def whole(count: int) -> int:
        return total(each(times)(numbers(count), 2))

    async with Swarm() as swarm, swarm.stream(whole, 3) as events:
        told = [event.path async for event in events if isinstance(event, StepEnded)]
    assert events.output == 12
    assert told[0] == "whole/numbers"
    assert sorted(told[1:4]) == [f"whole/times[{index}]" for index in range(3)]
    assert told[4:] == ["whole/total"]


async def test_a_generator_around_a_run_may_be_left_early() -> None:
    watch = Watch()

    @node
    async def slow(value: int) -> int:
        return await watch.forever(str(value))

    @graph
    def whole(value: int) -> int:
        return slow(add(value))

    async def steps(swarm: Swarm) -> AsyncGenerator[str, None]:
        async with swarm.stream(whole, 1) as events:
            async for event in events:
                if isinstance(event, StepEnded):
                    yield event.path

    async with Swarm() as swarm:
        generator = steps(swarm)
        assert await anext(generator) == "whole/add"
        await generator.aclose()
        assert watch.alive == set()


async def test_a_failure_is_raised_to_who_iterates_with_what_was_done() -> None:
    @node
    async def fails(value: int) -> int:
        raise ValueError(value)

    @graph
    def whole(value: int) -> int:
        return fails(add(value))

    seen: list[tuple[str, str]] = []

    async def read(swarm: Swarm) -> None:
        async with swarm.stream(whole, 1) as events:
            async for event in events:
                if isinstance(event, StepEnded):
                    seen.append((event.path, event.state))

    async with Swarm() as swarm:
        with pytest.raises(StepFailed) as caught:
            await read(swarm)
    assert seen == [("whole/add", "finished"), ("whole/fails", "failed")]
    assert caught.value.path == "whole/fails"
