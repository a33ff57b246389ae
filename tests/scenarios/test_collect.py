"""The scenarios of LlamaIndex's collected events and of pydantic-graph's joins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_none

from swarmlet import GraphError, Retry, StepFailed, current, each, graph, node, race
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, ran
from tests.scenarios.steps import add, numbers, times, total
from tests.scenarios.watching import Watch

pytestmark = pytest.mark.anyio


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
