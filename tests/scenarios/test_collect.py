"""The scenarios of LlamaIndex's collected events and of pydantic-graph's builder: broadcasts, maps, joins, decisions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from typing import Literal, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_none

from swarmlet import (
    Again,
    Done,
    GraphError,
    Retry,
    StepFailed,
    Swarm,
    WiringError,
    current,
    each,
    graph,
    loop,
    match,
    node,
    race,
    run_sync,
    switch,
)
from swarmlet.trace.events import StepEnded
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, given, ran
from tests.scenarios.watching import Watch

pytestmark = pytest.mark.anyio


@node
async def add(value: int, by: int = 1) -> int:
    await checkpoint()
    return value + by


@node
async def times(value: int, by: int) -> int:
    await checkpoint()
    return value * by


@node
def total(values: list[int]) -> int:
    return sum(values)


@node
async def numbers(upto: int) -> list[int]:
    await checkpoint()
    return list(range(1, upto + 1))


# Collecting what several steps give


@dataclass(frozen=True)
class One:
    text: str = "one"


@dataclass(frozen=True)
class Other:
    text: str = "other"


@pytest.mark.parametrize("first", ["one", "other"])
async def test_results_of_several_types_are_collected_by_name_whichever_comes_first(first: str) -> None:
    came = anyio.Event()
    collected: list[tuple[str, str]] = []

    @node
    async def one() -> One:
        await came.wait() if first == "other" else came.set()
        return One()

    @node
    async def other() -> Other:
        await came.wait() if first == "one" else came.set()
        return Other()

    @node
    def collect(one: One, other: Other) -> list[str]:
        collected.append((one.text, other.text))
        return [one.text, other.text]

    @graph
    def both() -> list[str]:
        return collect(other=other(), one=one())

    run = await quickly(both)
    assert run.output == ["one", "other"]
    assert ended(run)[0] == f"both/{first}"
    assert collected == [("one", "other")]


@pytest.mark.parametrize("count", [0, 1, 4, 10])
async def test_results_of_one_type_are_collected_once_all_are_there(count: int) -> None:
    calls: list[list[int]] = []

    @node
    def collect(values: list[int]) -> int:
        calls.append(values)
        return sum(values)

    @graph
    def whole(count: int) -> int:
        return collect(each(add)(numbers(count)))

    assert (await quickly(whole, count)).output == sum(range(2, count + 2))
    assert calls == [list(range(2, count + 2))]


async def test_two_kinds_are_collected_in_pairs_though_one_is_made_of_the_other() -> None:
    @dataclass(frozen=True)
    class Pair:
        first: int
        second: int

    @node
    def pairs(firsts: list[int], seconds: list[int]) -> list[Pair]:
        return [Pair(*both) for both in zip(firsts, seconds, strict=True)]

    @graph
    def whole(count: int) -> list[Pair]:
        firsts = each(add)(numbers(count))
        return pairs(firsts, each(times)(firsts, 10))

    assert (await quickly(whole, 2)).output == [Pair(2, 20), Pair(3, 30)]


async def test_what_nobody_collects_is_refused_and_not_forgotten() -> None:
    with pytest.raises(GraphError, match="add"):

        @graph
        def whole(value: int) -> int:
            add(value)
            return times(value, 2)

    @node
    async def note(value: int) -> None:
        await checkpoint()

    @graph
    def with_effect(value: int) -> int:
        note(value)
        return times(value, 2)

    run = await quickly(with_effect, 2)
    assert (run.output, sorted(ran(run))) == (4, ["with_effect/note", "with_effect/times"])


async def test_what_is_done_ends_the_run_and_stops_a_step_before_it_says_more() -> None:
    watch = Watch()
    said: list[str] = []

    @node
    async def talks(text: str) -> str:
        with watch.over("talks"):
            await anyio.sleep_forever()
        said.append("more")
        return text

    @node
    async def stops(text: str) -> str:
        await watch.until_begun("talks")
        return text

    run = await quickly(race(talks, stops), "done")
    assert (run.output, said, watch.stopped) == ("done", [], ["talks"])


async def test_items_wait_for_a_place_and_all_are_served_in_the_order_of_their_coming() -> None:
    watch = Watch()

    @node
    async def work(item: int) -> int:
        with watch.over(str(item)):
            await checkpoint()
            return item

    @graph
    def whole(items: list[int]) -> tuple[list[int], int]:
        worked = each(work.with_options(concurrency=1), concurrency=2)(items)
        return worked, total(worked)

    run = await quickly(whole, list(range(8)))
    assert run.output == (list(range(8)), 28)
    assert watch.begun == [str(item) for item in range(8)]
    assert watch.most == 2


async def test_two_items_that_are_tried_again_in_the_same_moment_are_both_tried_again() -> None:
    @node
    async def flaky(item: int) -> int:
        await checkpoint()
        if current().attempt == 1:
            raise ConnectionError(item)
        return item

    patient = flaky.with_options(retry=Retry(attempts=2, on=ConnectionError, wait=wait_none()))
    run = await quickly(each(patient), [1, 2])
    assert run.output == [1, 2]
    assert [step.attempts for step in run.trace.steps()] == [2, 2]


async def test_a_failure_is_caught_by_the_nearest_fallback_and_one_of_another_step_is_not() -> None:
    @node
    async def fails(value: int) -> int:
        raise LookupError(value)

    @node
    async def fails_too(value: int) -> int:
        raise KeyError(value)

    @node
    def inner(value: int) -> int:
        return -1

    @node
    def outer(value: int) -> int:
        return -2

    @graph
    def scoped(value: int) -> int:
        return times(fails.with_options(fallback=inner)(value), 2)

    @graph
    def unscoped(value: int) -> int:
        return total([scoped(value), fails_too(value)])

    assert (await quickly(scoped.with_options(fallback=outer), 1)).output == -2
    assert (await quickly(unscoped.with_options(fallback=outer), 1)).output == -2
    with pytest.raises(StepFailed) as caught:
        await quickly(unscoped, 1)
    assert caught.value.path == "unscoped/fails_too"


async def test_a_fallback_that_fails_too_tells_both_failures() -> None:
    @node
    async def fails(value: int) -> int:
        raise LookupError("first")

    @node
    async def fails_too(value: int) -> int:
        raise KeyError("second")

    with pytest.raises(StepFailed) as caught:
        await quickly(fails.with_options(fallback=fails_too), 1)
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)
    assert caught.value.run is not None
    assert ended(caught.value.run, "failed") == ["fails/~fails_too", "fails"]


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


# Joins


async def test_joins_are_functions_of_a_list() -> None:
    """Sums, merged dicts (the last one wins), nothing at all: what a reducer does, a node does with the whole list."""

    @node
    def entry(value: int) -> dict[str, int]:
        return {f"key{value % 2}": value}

    @node
    def merged(parts: list[dict[str, int]]) -> dict[str, int]:
        empty: dict[str, int] = {}
        return reduce(lambda one, other: one | other, parts, empty)

    @node
    def dropped(parts: list[int]) -> None:
        return None

    @graph
    def whole(count: int) -> tuple[int, dict[str, int], None]:
        items = numbers(count)
        return total(items), merged(each(entry)(items)), dropped(items)

    assert (await quickly(whole, 4)).output == (10, {"key1": 3, "key0": 4}, None)


async def test_a_join_of_one_input_and_several_joins_of_the_same_fork() -> None:
    @graph
    def whole(value: int) -> int:
        first, second = add(value, 10), add(value, 20)
        return total([total([first]), total([first, second]), total([second, first, value])])

    assert (await quickly(whole, 1)).output == 11 + 32 + 33


async def test_joins_of_joins_and_chains_between_them() -> None:
    @graph
    def whole(value: int) -> int:
        left = total([add(value), add(add(value))])
        right = total([times(value, 2), left])
        return total([times(left, 2), add(right)])

    run = await quickly(whole, 1)
    assert run.output == 10 + 8
    assert ran(run)[-1] == "whole/total~3"


async def test_the_first_value_of_two_maps_is_taken_from_each_and_the_rest_is_stopped() -> None:
    watch = Watch()

    @node
    async def first_only(value: int, name: str) -> int:
        if value != 1:
            return await watch.forever(f"{name}{value}")
        await watch.until_begun(f"{name}2", f"{name}3")
        return value

    @graph
    def whole(count: int) -> int:
        items = numbers(count)
        tens = each(times)(each(first_only, enough=1)(items, "a"), 10)
        return total([total(tens), total(each(first_only, enough=1)(items, "b"))])

    assert (await quickly(whole, 3)).output == 11
    assert sorted(watch.stopped) == ["a2", "a3", "b2", "b3"]


async def test_what_a_loser_did_before_it_was_stopped_is_done_and_nothing_after() -> None:
    done: list[str] = []
    recorded = anyio.Event()

    @node
    async def process(name: str) -> str:
        if name == "winner":
            await recorded.wait()
            done.append(name)
            return name
        if name == "effect first":
            done.append(name)
            recorded.set()
        await anyio.sleep_forever()
        done.append(f"{name}, late")
        return name

    run = await quickly(each(process, enough=1), ["winner", "effect first", "wait first"])
    assert run.output == ["winner"]
    assert done == ["effect first", "winner"]


async def test_a_map_is_done_when_enough_items_are() -> None:
    @node
    async def process(value: int) -> int:
        await anyio.sleep(0 if value <= 2 else 10)
        return value * 2

    run = await quickly(each(process, enough=2), range(1, 6))
    assert run.output == [2, 4]
    assert sorted(ended(run)) == ["process[0]", "process[1]"]
    assert sorted(ended(run) + ended(run, "cancelled")) == sorted(ran(run))


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
