"""The scenarios of LangGraph's tests of fan-out, fan-in, sent items and functional style, as graphs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Again, Done, Swarm, current, each, graph, loop, node, race, switch, vote
from swarmlet.trace.events import StepEnded, StepStarted
from tests.engine.quickly import quickly
from tests.scenarios.reading import given, ran
from tests.scenarios.steps import add, total
from tests.scenarios.watching import Watch

pytestmark = pytest.mark.anyio


# Fan-out and fan-in


@dataclass(frozen=True)
class Search:
    query: str
    docs: tuple[str, ...] = ()


@node
async def rewrite(query: str) -> str:
    await checkpoint()
    return f"query: {query}"


@node
async def analyze(query: str) -> str:
    await checkpoint()
    return f"analyzed: {query}"


@node
async def retrieve(query: str, source: str) -> list[str]:
    await checkpoint()
    return [f"{source} 1", f"{source} 2"]


@node
def answer(docs: list[list[str]]) -> str:
    return ",".join(doc for part in docs for doc in part)


@pytest.mark.parametrize("slow", ["one", "two", "neither"])
async def test_a_join_of_a_long_and_a_short_branch_runs_once_whichever_is_slow(slow: str) -> None:
    @node
    async def retrieve(query: str, source: str) -> list[str]:
        await anyio.sleep(0.02 if source == slow else 0)
        return [f"{source} 1", f"{source} 2"]

    @graph
    def search(query: str) -> str:
        rewritten = rewrite(query)
        return answer([retrieve(analyze(rewritten), "one"), retrieve(rewritten, "two")])

    run = await quickly(search, "weather")
    assert run.output == "one 1,one 2,two 1,two 2"
    assert ran(run).count("search/answer") == 1
    assert ran(run)[-1] == "search/answer"
    assert given(run, "search/retrieve")["query"] == "analyzed: query: weather"
    assert given(run, "search/retrieve~2")["query"] == "query: weather"


async def test_a_step_that_reads_one_branch_runs_before_the_join_and_so_twice_under_two_names() -> None:
    """What runs as each branch ends and again when both have are two steps here, and are written as two."""
    early_ran = anyio.Event()

    @node
    async def slow(query: str) -> list[str]:
        await early_ran.wait()
        return ["slow"]

    @node
    async def early(docs: list[list[str]]) -> str:
        early_ran.set()
        return ",".join(docs[0])

    @graph
    def search(query: str) -> tuple[str, str]:
        quick = retrieve(query, "one")
        return early([quick]), answer([quick, slow(query)])

    assert (await quickly(search, "q")).output == ("one 1,one 2", "one 1,one 2,slow")


@pytest.mark.parametrize("picked", ["both", "one"])
async def test_a_branch_may_be_chosen_inside_the_fan_out_and_the_join_waits_for_what_was_chosen(picked: str) -> None:
    def which(query: str) -> Literal["both", "one"]:
        return "both" if picked == "both" else "one"

    @graph
    def both(query: str) -> list[list[str]]:
        return [retrieve(analyze(query), "one"), retrieve(query, "two")]

    @graph
    def one(query: str) -> list[list[str]]:
        return [retrieve(query, "one")]

    @graph
    def search(query: str) -> str:
        return answer(switch(which, {"both": both, "one": one})(rewrite(query)))

    run = await quickly(search, "q")
    assert run.output == ("one 1,one 2,two 1,two 2" if picked == "both" else "one 1,one 2")
    assert ran(run).count("search/answer") == 1


async def test_a_fan_out_inside_a_loop_is_joined_in_each_round_and_what_follows_runs_once_at_the_end() -> None:
    @node
    def decide(state: Search, query: str, docs: list[list[str]]) -> Again[Search] | Done[Search]:
        found = Search(query, (*state.docs, *(doc for part in docs for doc in part)))
        return Done(found) if query.count("analyzed") > 1 else Again(found)

    @graph
    def round_of(state: Search) -> Again[Search] | Done[Search]:
        rewritten = rewrite(state.query)
        analyzed = analyze(rewritten)
        return decide(state, analyzed, [retrieve(analyzed, "one"), retrieve(rewritten, "two")])

    @node
    def finish(found: Search) -> str:
        return f"{found.query}; {', '.join(found.docs)}"

    @graph
    def search(query: str) -> str:
        return finish(loop(round_of, rounds=3)(Search(query)))

    run = await quickly(search, "q")
    docs = "one 1, one 2, two 1, two 2"
    assert run.output == f"analyzed: query: analyzed: query: q; {docs}, {docs}"
    names = Counter(path.rpartition("/")[2] for path in ran(run))
    assert names == {"rewrite": 2, "analyze": 2, "retrieve": 2, "retrieve~2": 2, "decide": 2, "finish": 1}
    assert ran(run)[-1] == "search/finish"


async def test_a_state_is_replaced_and_not_changed_so_the_history_of_a_loop_stays_true() -> None:
    @node
    def search(state: Search) -> Again[Search] | Done[tuple[Search, ...]]:
        if len(state.docs) == 2:
            return Done(current().history(Search))
        return Again(replace(state, docs=(*state.docs, f"doc {len(state.docs)}")))

    run = await quickly(loop(search, rounds=3), Search("q"))
    assert [len(state.docs) for state in run.output] == [0, 1, 2]


async def test_two_steps_into_one_list_give_the_same_in_each_of_a_hundred_runs() -> None:
    @graph
    def app(value: int) -> list[int]:
        return each(add)([add(value), add(value)], 10)

    results: list[list[int]] = []
    async with Swarm() as swarm, anyio.create_task_group() as group:

        async def one() -> None:
            results.append((await swarm.run(app, 2)).output)

        for _ in range(100):
            group.start_soon(one)
    assert results == [[13, 13]] * 100


async def test_runs_of_one_graph_at_once_share_no_state() -> None:
    @node
    async def count(state: int) -> Again[int] | Done[int]:
        await checkpoint()
        return Again(state + 1) if state % 10 < 5 else Done(state)

    results: dict[int, int] = {}
    async with Swarm() as swarm, anyio.create_task_group() as group:

        async def one(start: int) -> None:
            results[start] = (await swarm.run(loop(count, rounds=6), start)).output

        for start in range(0, 100, 10):
            group.start_soon(one, start)
    assert results == {start: start + 5 for start in range(0, 100, 10)}


async def test_a_value_is_given_out_and_goes_on() -> None:
    @graph
    def app(value: int) -> tuple[int, int]:
        between = add(value)
        return between, add(between)

    assert (await quickly(app, 2)).output == (3, 4)


async def test_a_chain_of_many_steps_and_batches_of_it() -> None:
    @graph
    def chain(value: int) -> int:
        for _ in range(100):
            value = add(value)
        return value

    assert (await quickly(chain, 2)).output == 102
    run = await quickly(each(chain), range(6))
    assert run.output == [100, 101, 102, 103, 104, 105]
    assert len(ran(run)) == len(set(ran(run))) == 600


async def test_a_graph_whose_steps_give_nothing_gives_nothing() -> None:
    seen: list[int] = []

    @node
    async def note(value: int) -> None:
        seen.append(value)

    @graph
    def app(value: int) -> None:
        note(add(value))

    run = await quickly(app, 2)
    assert run.output is None
    assert (seen, ran(run)) == ([3], ["app/add", "app/note"])


@pytest.mark.parametrize("value", [0, "", False, None, 0.0, [], {}])
async def test_a_value_that_counts_as_false_is_a_value(value: object) -> None:
    @node
    async def same(given: object) -> object:
        return given

    @node
    async def going(given: object) -> Again[object] | Done[object]:
        return Done(given)

    @graph
    def app(given: object) -> tuple[object, object, object, object]:
        return (
            same(same(given)),
            loop(going, rounds=1)(given),
            race(same, same)(given),
            vote(same, of=3)(given),
        )

    run = await quickly(app, value)
    assert run.output == (value,) * 4
    assert [type(one) for one in run.output] == [type(value)] * 4
    assert (await quickly(each(same), [value] * 3)).output == [value] * 3


@pytest.mark.parametrize(("query", "output"), [("short", "short->left"), ("a rather long one", "a rather long one->right")])
async def test_a_graph_may_begin_with_a_choice(query: str, output: str) -> None:
    @node
    def left(query: str) -> str:
        return f"{query}->left"

    @node
    def right(query: str) -> str:
        return f"{query}->right"

    def is_long(query: str) -> bool:
        return len(query) > 10

    run = await quickly(switch(is_long, {True: right, False: left}), query)
    assert run.output == output
    assert len(ran(run)) == 2


# Sending items to a step


async def test_items_that_steps_send_are_mapped_in_the_order_of_sending_and_what_follows_runs_once() -> None:
    @node
    async def send(name: str) -> list[str]:
        await checkpoint()
        return [f"{name}|1", f"{name}|2"]

    @node
    async def two(item: str) -> str:
        await checkpoint()
        return f"2|{item}"

    @node
    def flat(parts: list[list[str]]) -> list[str]:
        return [one for part in parts for one in part]

    @node
    def three(items: list[str]) -> list[str]:
        return [*items, "3"]

    @graph
    def app() -> list[str]:
        return three(flat([each(two)(send("a")), each(two)(send("b"))]))

    run = await quickly(app)
    assert run.output == ["2|a|1", "2|a|2", "2|b|1", "2|b|2", "3"]
    assert Counter(path.rpartition("/")[2].partition("[")[0] for path in ran(run)) == {
        "send": 1,
        "send~2": 1,
        "two": 2,
        "two~2": 2,
        "flat": 1,
        "three": 1,
    }


async def test_an_item_may_send_items_of_its_own() -> None:
    @node
    async def send(item: int) -> list[int]:
        await checkpoint()
        return list(range(item))

    @graph
    def nested(item: int) -> int:
        return total(each(add)(send(item), item))

    assert (await quickly(each(nested), [0, 1, 3])).output == [0, 1, 12]


@pytest.mark.parametrize("bound", ["none", "each", "options", "both"])
async def test_a_hundred_items_run_at_once_or_as_many_as_a_bound_allows(bound: str) -> None:
    watch = Watch()

    @node
    async def work(item: int) -> int:
        with watch.over(str(item)):
            if bound == "none":
                await watch.until_begun(*map(str, range(100)))
            for _ in range(3):
                await checkpoint()
            return item

    mapped = {
        "none": each(work),
        "each": each(work, concurrency=10),
        "options": each(work).with_options(concurrency=10),
        "both": each(work, concurrency=20).with_options(concurrency=10),
    }[bound]

    @graph
    def app(items: list[int]) -> tuple[int, list[int]]:
        mapped_items = mapped(items)
        return total(mapped_items), mapped_items

    run = await quickly(app, list(range(100)))
    assert run.output == (4950, list(range(100)))
    assert watch.most == (100 if bound == "none" else 10)
    assert len(watch.begun) == 100


async def test_steps_beside_one_another_take_the_time_of_the_slowest() -> None:
    both = anyio.Event()
    inside = 0

    @node
    async def meets(name: str) -> str:
        nonlocal inside
        inside += 1
        if inside == 2:
            both.set()
        await both.wait()
        return name

    @graph
    def app() -> list[str]:
        return [meets("slow"), meets("fast")]

    assert (await quickly(app)).output == ["slow", "fast"]


# Children of a step: the functional style


async def test_a_step_runs_sync_and_async_nodes_in_turn_and_the_stream_tells_them_in_that_order() -> None:
    @node
    def one(state: str) -> str:
        return f"{state}one"

    @node
    async def two(state: str, end: str = "") -> str:
        await checkpoint()
        return f"{state}two{end}"

    @node(thread=True)
    def three(state: str) -> str:
        return f"{state}three"

    @node
    async def whole(state: str) -> str:
        return await current().run(three, await current().run(two, await current().run(one, state), end="!"))

    told: list[tuple[str, str]] = []
    async with Swarm() as swarm, swarm.stream(whole, "0") as events:
        async for event in events:
            if isinstance(event, StepStarted | StepEnded):
                told.append((event.path, event.kind))
    assert events.output == "0onetwo!three"
    assert told == [
        ("whole", "step_started"),
        *((f"whole/{name}", kind) for name in ("one", "two", "three") for kind in ("step_started", "step_ended")),
        ("whole", "step_ended"),
    ]


async def test_children_map_items_run_side_by_side_and_a_graph_takes_what_they_give() -> None:
    together = Watch()

    @node
    async def inner(item: int) -> str:
        return str(item)

    @node
    async def mapper(item: int) -> str:
        with together.over(str(item)):
            await together.until_begun("0", "1")
            return await current().run(inner, item) * 2

    @node
    def add_a(items: list[str]) -> list[str]:
        return [f"{item}a" for item in items]

    @graph
    def ending(items: list[str]) -> list[str]:
        return add_a(items)

    @node
    async def whole(items: list[int]) -> list[str]:
        mapped = await current().run(each(mapper), items)
        return await current().run(ending, mapped)

    run = await quickly(whole, [0, 1])
    assert run.output == ["00a", "11a"]
    assert sorted(ran(run)) == [
        "whole",
        "whole/ending/add_a",
        *(f"whole/mapper[{index}]{child}" for index in (0, 1) for child in ("", "/inner")),
    ]
