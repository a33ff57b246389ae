"""A plan can be read before the run: what may run, what bounds it, and how many model calls that is at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from tenacity import wait_none

from swarmlet import (
    Again,
    Done,
    Message,
    Node,
    Retry,
    Swarm,
    SwarmletError,
    agent,
    best,
    cascade,
    each,
    graph,
    hedge,
    loop,
    match,
    node,
    race,
    switch,
    team,
    vote,
)
from swarmlet.agents.agent import AgentDecorator
from swarmlet.graph.outline import Row
from swarmlet.testing import Fail, ScriptedServer, call

AnyNode = Node[..., Any]


def look_up(word: str) -> str:
    return word


@agent(str, max_turns=1)
def write(task: str) -> str:
    return task


@agent(str, tools=[look_up], max_turns=3)
def review(task: str) -> str:
    return task


@agent(bool, max_turns=1)
def good(text: str) -> str:
    return text


@node
def verdict(text: str) -> Again[str] | Done[str]:
    return Again(text)


@node
def give_up(text: str) -> str:
    return text


@node
async def fetch(task: str) -> str:
    return task


@node
def join(texts: list[str]) -> str:
    return " ".join(texts)


@graph
def attempt(task: str) -> Again[str] | Done[str]:
    return verdict(review(task))


@graph
def solve(task: str) -> str:
    return loop(attempt, rounds=5, otherwise=write)(write(task))


def parity(task: str) -> Literal["odd", "even"]:
    return "odd" if len(task) % 2 else "even"


def row_of(node: AnyNode, path: str) -> Row:
    (row,) = (row for row in node.plan.outline.rows if row.path == path)
    return row


def counted(node: AnyNode) -> tuple[str, str]:
    return str(node.plan.calls), str(node.plan.attempts)


class Number(BaseModel):
    value: int


@agent(str, tools=[look_up], max_turns=2)
def on_number(item: Number) -> str:
    return str(item)


@agent(str, max_turns=4)
def greet(chat: Sequence[Message]) -> Sequence[Message]:
    return chat


@agent(str, max_turns=2)
def answer(chat: Sequence[Message]) -> Sequence[Message]:
    return chat


@pytest.mark.parametrize(
    ("made", "calls", "limits"),
    [
        (write, "1", "at most 1 turn"),
        (review, "3", "at most 3 turns"),
        (fetch, "0", ""),
        (solve, "17", ""),
        (loop(attempt, rounds=5), "15", "at most 5 rounds"),
        (loop(attempt, rounds=1, otherwise=write), "4", "at most 1 round"),
        (each(review), "3·(items of review)", "each item"),
        (each(review, concurrency=8), "3·(items of review)", "each item, 8 at once"),
        (each(review, enough=2), "3·(items of review)", "each item, until 2 succeed"),
        (each(each(review)), "3·(items of review)·(items of review[i])", "each item"),
        (each(loop(attempt, rounds=2)), "6·(items of attempt)", "each item"),
        (vote(review, of=5, quorum=3), "15", "of 5, quorum 3"),
        (vote(review, of=5, concurrency=2), "15", "of 5, quorum 3, 2 at once"),
        (best(review, of=4, score=len), "12", "of 4"),
        (best(review, of=4, score=good, enough=0.5), "16", "of 4, until a score of 0.5"),
        (hedge(review, after=1.5), "6", "at most 2 tries, again after 1.5 seconds"),
        (race(review, write), "4", "the first of 2"),
        (cascade(write, review, accept=good), "5", "at most 2 rungs"),
        (switch(parity, {"odd": review, "even": write}), "3", "one of 2"),
        (match(review, on_number), "3", "one of 2"),
        (team(greet, answer, handoffs=2), "12", "at most 2 handoffs"),
    ],
)
def test_every_combinator_is_bounded(made: AnyNode, calls: str, limits: str) -> None:
    assert str(made.plan.calls) == calls
    assert made.plan.outline.rows[0].limits == limits


@pytest.mark.parametrize(
    ("made", "turns"),
    [
        (agent(str), 1),
        (agent(str, repairs=5), 1),
        (agent(bool), 3),
        (agent(bool, repairs=0), 1),
        (agent(bool, max_turns=2), 2),
        (agent(str, tools=[look_up]), 10),
        (agent(bool, tools=[look_up], max_turns=4), 4),
    ],
)
def test_an_agent_without_tools_takes_no_more_turns_than_mending_its_answer_does(
    made: AgentDecorator[object], turns: int
) -> None:
    @made
    def asked(task: str) -> str:
        return task

    assert asked.plan.calls.known == turns


@pytest.mark.anyio
async def test_a_model_that_never_answers_as_asked_is_called_no_more_often_than_the_plan_says(
    scripted_server: ScriptedServer,
) -> None:
    @agent(str)
    def text(task: str) -> str:
        return task

    @agent(bool)
    def mended(task: str) -> str:
        return task

    @agent(bool, repairs=0)
    def at_once(task: str) -> str:
        return task

    agents: list[AnyNode] = [good, text, mended, at_once]
    scripted_server.answer(lambda request: call("look_up") if request.last in ("hi", "well") else "never")
    async with Swarm() as swarm:
        for made in agents:
            for said in ("hi", "well", "oh"):
                before = len(scripted_server.requests)
                with suppress(SwarmletError):
                    await swarm.run(made, said)
                assert 0 < len(scripted_server.requests) - before <= made.plan.calls.at()


def test_a_member_of_a_team_has_turns_for_handing_over() -> None:
    assert team(greet, answer, handoffs=2).plan.calls.known == 12
    assert team(answer).plan.calls.known == 1


def test_in_a_choice_the_larger_number_of_each_kind_counts() -> None:
    made = match(each(write), on_number)
    assert str(made.plan.calls) == "2 + (items of write)"


def test_retries_multiply_and_the_nearest_one_counts() -> None:
    assert counted(solve) == ("17", "68")
    assert counted(solve.with_options(retry=Retry(attempts=2))) == ("17", "34")
    nearer = write.with_options(retry=Retry(attempts=1))

    @graph
    def both(task: str) -> str:
        return nearer(review(task))

    assert counted(both.with_options(retry=Retry(attempts=3))) == ("4", "10")


def test_a_fallback_is_added_and_has_the_retries_of_what_is_around_it() -> None:
    inner = write.with_options(retry=Retry(attempts=2), fallback=review)
    assert counted(inner) == ("4", "14")

    @graph
    def outer(task: str) -> str:
        return inner(task)

    outer = outer.with_options(retry=Retry(attempts=10))
    assert counted(outer) == ("4", "32")
    row = row_of(outer, "outer/write/~review")
    assert (row.limits, row.calls.known, row.attempts.known) == ("if write fails, at most 3 turns", 3, 30)


def test_nodes_as_tools_are_called_an_unknown_number_of_times() -> None:
    @agent(str, tools=[solve, fetch, write])
    def research(task: str) -> str:
        return task

    assert str(research.plan.calls) == "10 + 17·(tool calls of research)"
    assert research.plan.calls.at(tool_calls=2) == 44
    assert row_of(research, "research/solve").limits == "a tool"
    assert str(each(research).plan.calls) == "10·(items of research) + 17·(items of research)·(tool calls of research)"


def test_in_its_only_turn_an_agent_calls_no_tools() -> None:
    @agent(str, tools=[solve], max_turns=1)
    def once(task: str) -> str:
        return task

    assert once.plan.calls.known == 1


def test_two_maps_of_one_graph_have_lists_of_their_own() -> None:
    @graph
    def both(tasks: list[str]) -> str:
        return join([join(each(write)(tasks)), join(each(review)(tasks)), join(each(write)(tasks))])

    assert str(both.plan.calls) == "3·(items of review) + (items of write) + (items of write~2)"
    assert both.plan.calls.at({"items of write": 7}, items=2) == 15


def test_rows_have_the_paths_of_a_run() -> None:
    rows = solve.with_options(name="main").plan.outline.rows
    assert [(row.depth, row.path, row.what) for row in rows] == [
        (0, "main", "graph"),
        (1, "main/write", "agent"),
        (1, "main/attempt", "loop"),
        (2, "main/attempt[i]", "graph"),
        (3, "main/attempt[i]/review", "agent"),
        (3, "main/attempt[i]/verdict", "node"),
        (2, "main/attempt/write", "agent"),
    ]
    inlined = graph(_calls_solve).plan.outline.rows
    assert [row.path for row in inlined if row.depth == 1] == ["_calls_solve/solve/write", "_calls_solve/solve/attempt"]


def _calls_solve(task: str) -> str:
    return solve(task)


def test_options_are_short() -> None:
    made = fetch.with_options(retry=Retry(attempts=2, on=OSError), timeout=2.5, model="small", fallback=write)
    assert made.plan.outline.rows[0].options == "model=small retry=2 timeout=2.5 fallback=write"
    due = fetch.with_options(deadline=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), reserve=3)
    assert due.plan.outline.rows[0].options == "deadline=2030-01-02T03:04:05+00:00 reserve=3"


def test_a_plan_is_printed_as_a_table() -> None:
    @graph
    def report(urls: list[str]) -> str:
        pages = each(fetch, concurrency=8)(urls)
        return solve.with_options(retry=Retry(attempts=2))(join(each(write)(pages)))

    assert str(report.plan) == TABLE


TABLE = """\
step              what   bound                 options                  calls             with retries
report            graph                                 17 + (items of write)  34 + 4·(items of write)
  fetch           each   each item, 8 at once                               0                        0
    fetch[i]      node                                                      0                        0
  write           each   each item                           (items of write)       4·(items of write)
    write[i]      agent  at most 1 turn                                     1                        4
  join            node                                                      0                        0
  solve           graph                        retry=2                     17                       34
    write         agent  at most 1 turn                                     1                        2
    attempt       loop   at most 5 rounds                                  16                       32
      attempt[i]  graph                                                     3                        6
        review    agent  at most 3 turns                                    3                        6
        verdict   node                                                      0                        0
      write       agent  at most 1 turn                                     1                        2

model calls: at most 17 + (items of write)
with retries: at most 34 + 4·(items of write)
not counted: nodes that functions run themselves, with current().run(...)"""


def test_what_sync_functions_cannot_do_is_not_mentioned() -> None:
    assert "current()" not in str(solve.plan)
    assert "current()" in str(node(thread=True)(parity).plan)


def test_a_node_that_is_no_graph_has_a_plan_of_one_step() -> None:
    def rest(first: int, *more: str, key: str = "", **others: str) -> int:
        return first

    plan = node(rest).plan
    assert [step.path for step in plan] == ["rest"]
    assert plan.inputs == ("first", "more", "key", "others")
    assert plan.steps[0].needs == {0, 1, 2, 3}
    assert len(each(write).plan) == 1
    assert "rest" in repr(plan)


FAST = Retry(attempts=2, wait=wait_none())


@pytest.mark.parametrize(
    "made",
    [
        write,
        loop(attempt, rounds=2, otherwise=write),
        cascade(write, write, accept=good).with_options(fallback=write.with_options(retry=FAST)),
        race(write, vote(write, of=3)),
        hedge(write, after=50, tries=3),
        best(write, of=3, score=len),
        switch(parity, {"odd": review, "even": write}),
    ],
    ids=repr,
)
@pytest.mark.anyio
async def test_a_run_in_which_every_call_fails_stays_within_the_bound(made: AnyNode, scripted_server: ScriptedServer) -> None:
    made = made.with_options(retry=FAST)
    scripted_server.answer(lambda _: Fail(500))
    async with Swarm() as swarm:
        with pytest.raises(SwarmletError):
            await swarm.run(made, "hi")
    assert 0 < len(scripted_server.requests) <= made.plan.attempts.at()


@pytest.mark.anyio
async def test_a_run_that_takes_the_longest_way_reaches_the_bound(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "text")

    @graph
    def longest(tasks: list[str]) -> list[str]:
        return each(best(loop(verdict_of_write, rounds=3, otherwise=write), of=2, score=len))(tasks)

    async with Swarm() as swarm:
        assert (await swarm.run(longest, ["a", "b"])).output == ["text", "text"]
    assert len(scripted_server.requests) == longest.plan.calls.at(items=2) == 16


@graph
def verdict_of_write(task: str) -> Again[str] | Done[str]:
    return verdict(write(task))


def test_large_plans_are_quick() -> None:
    @graph
    def wide(tasks: list[str]) -> str:
        return join([join(each(write)(tasks)) for _ in range(3_500)])

    begin = time.process_time()
    plan = wide.plan
    assert len(plan.calls.terms) == 3_500
    assert len(plan.outline.rows) == 10_502
    assert len(str(plan)) < 5_000_000
    assert time.process_time() - begin < 10


def test_deep_and_shared_plans_are_quick() -> None:
    deep: AnyNode = write
    for _ in range(3_000):
        deep = hedge(deep, after=1)
    assert deep.plan.calls.known == 2**3_000
    assert len(deep.plan.outline.rows) == 3_001

    shared: AnyNode = write
    for _ in range(100):
        shared = graph(_twice(shared)).with_options(timeout=5)
    assert shared.plan.calls.known == 2**100


def _twice(inner: AnyNode) -> Callable[[str], str]:
    def twice(task: str) -> str:
        result: str = inner(inner(task))
        return result

    return twice
