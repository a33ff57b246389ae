"""What has changed between two graphs is told in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from swarmlet import (
    Message,
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
from swarmlet.graph.shape import Facts, Leaf
from swarmlet.graph.spell import Speller
from tests.graph.fingerprinted import (
    AnyNode,
    Code,
    Task,
    again,
    improve,
    is_short,
    keep,
    solve,
    told,
    write,
)

HERE = "tests.graph.fingerprinted"


def test_a_new_a_lost_and_a_renamed_step_are_told() -> None:
    @node
    def log(code: Code) -> Code:
        return code

    @graph
    def more(code: Code) -> Code:
        return log(keep(code))

    @graph
    def less(code: Code) -> Code:
        return keep(code)

    vars(more).update(name="g", origin="m:g")
    vars(less).update(name="g", origin="m:g")
    assert told(less, more) == ["g/log: new", "g: its result came from keep(), and comes now from log()"]
    assert told(more, less) == ["g/log: gone", "g: its result came from log(), and comes now from keep()"]
    assert told(solve(), solve(last=keep.with_options(name="store"))) == ["solve/keep: renamed, now solve/store"]
    assert told(solve(), solve().with_options(name="main")) == ["solve: renamed, now main"]


def test_the_steps_below_a_renamed_one_are_renamed_with_it() -> None:
    def outer(inner: AnyNode) -> AnyNode:
        def outer(task: Task) -> Code:
            result: Code = inner(task)
            return result

        return graph(outer)

    mapped = outer(hedge(solve(), after=1).with_options(name="first"))
    renamed = outer(hedge(solve(), after=1).with_options(name="second"))
    assert told(mapped, renamed) == ["outer/first: renamed, now outer/second"]


def test_a_step_that_is_something_else_is_told() -> None:
    @node
    def write(task: Task, style: str = "") -> Code:
        return Code(source="")

    lines = told(solve(), solve(first=write))
    assert lines == [
        "solve/write: it was an agent (task: Task) -> Code, and is now a node (task: Task, style: str = ...) -> Code",
        f"solve/write: it was defined as {HERE}:write, and is now {write.origin}",
    ]


def test_other_wiring_is_told() -> None:
    def wired(swapped: bool) -> AnyNode:
        @node
        def pair(a: int, b: int, *more: int, **named: int) -> int:
            return a

        def g(x: int, y: int, both: tuple[int, int]) -> int:
            a, b = (y, x) if swapped else (x, y)
            result: int = pair(a, b, both[1 if swapped else 0], z=4 if swapped else 3, word=x)
            return result

        return graph(g)

    assert told(wired(False), wired(True)) == [
        "g: pair(a=) came from x, and comes now from y",
        "g: pair(b=) came from y, and comes now from x",
        "g: pair(more[0]=) came from both[0], and comes now from both[1]",
        "g: pair(named[z]=) came from 3, and comes now from 4",
    ]


def test_constants_are_told_apart_but_not_told() -> None:
    def said(text: object) -> AnyNode:
        @node
        def say(text: object) -> str:
            return ""

        def g() -> str:
            return say(text)

        return graph(g)

    (line,) = told(said("sk-secret"), said("sk-other"))
    assert "secret" not in line
    assert line.startswith("g: say(text=) came from str #")
    assert told(said({"a", "b", "c"}), said({"c", "b", "a"})) == []
    assert told(said(Task(text="a")), said(Task(text="a"))) == []
    assert told(said(Task(text="a")), said(Task(text="b")))
    assert told(said(object()), said(object())) == []
    assert told(said(1), said(True))
    assert told(said(10**5_000), said(10**5_000)) == []
    circle: list[object] = []
    circle.append(circle)
    assert Speller().constant(circle) != Speller().constant([])


ARM = keep.with_options(name="other")


@pytest.mark.parametrize(
    ("then", "now", "line"),
    [
        (loop(again, rounds=5), loop(again, rounds=8), "again: rounds was 5, and is now 8"),
        (loop(again, rounds=5), loop(again, rounds=5, otherwise=keep), "again/keep: new"),
        (vote(write, of=5), vote(write, of=7, quorum=3), "write: of was 5, and is now 7"),
        (vote(write, of=5), vote(write, of=5, quorum=2), "write: quorum was 3, and is now 2"),
        (vote(write, of=5), vote(write, of=5, key=is_short), f"write: key {HERE}:is_short: new"),
        (vote(write, of=5), vote(write, of=5, ties="first"), "write: ties was fail, and is now first"),
        (best(keep, of=2, score=is_short), best(keep, of=3, score=is_short), "keep: of was 2, and is now 3"),
        (hedge(write, after=1), hedge(write, after=1.5), "write: after was 1, and is now 1.5"),
        (hedge(write, after=1), hedge(write, after=1, tries=3), "write: tries was 2, and is now 3"),
        (each(keep), each(keep, on_error="skip"), "keep: on_error was raise, and is now skip"),
        (each(keep), each(keep, enough=2), "keep: enough 2: new"),
        (race(keep, ARM), race(ARM, keep), "race: runners was keep, other, and is now other, keep"),
        (
            cascade(keep, ARM, accept=is_short),
            cascade(ARM, keep, accept=is_short),
            "cascade: rungs was keep, other, and is now other, keep",
        ),
        (
            switch(is_short, {True: keep, False: ARM}),
            switch(is_short, {True: ARM, False: keep}),
            "switch: arms was False: other, True: keep, and is now False: keep, True: other",
        ),
        (keep, keep.with_options(fallback=ARM), "keep/~other: new"),
        (keep, each(keep), "keep: it was a node (code: Code) -> Code, and is now an each "),
    ],
)
def test_what_bounds_and_shapes_a_combinator_is_told(then: AnyNode, now: AnyNode, line: str) -> None:
    assert any(one.startswith(line) for one in told(then, now)), told(then, now)


def test_matches_and_teams_are_compared() -> None:
    def on_code(code: Code) -> str:
        return ""

    def on_task(task: Task) -> str:
        return ""

    assert told(match(on_code, on_task), match(on_task, on_code))

    @agent(str)
    def first(chat: Sequence[Message]) -> Sequence[Message]:
        return chat

    @agent(str)
    def second(chat: Sequence[Message]) -> Sequence[Message]:
        return chat

    assert told(team(first, second), team(first, second, handoffs=3)) == ["team: handoffs was 5, and is now 3"]
    assert "team: entry was first, and is now second" in told(team(first, second), team(second, first))


def told_of(**schemas: object) -> AnyNode:
    """An agent of which a model sees these schemas."""
    return seen(write, lambda: {name.replace("_", " "): schema for name, schema in schemas.items()})


def seen(made: AnyNode, facts: Facts) -> AnyNode:
    changed = made.with_options()
    vars(changed)["shape"] = replace(cast("Leaf", made.shape), facts=facts)
    return changed


def test_what_a_model_sees_is_told_but_not_words_for_it() -> None:
    plain = {"type": "object", "description": "Old words", "properties": {"title": {"type": "string", "title": "T"}}}
    reworded = {"type": "object", "description": "New words", "properties": {"title": {"type": "string"}}}
    other = {"type": "object", "properties": {"description": {"type": "string"}}}
    then = told_of(output=plain, tool_search=plain)
    assert told(then, told_of(output=reworded, tool_search=reworded)) == []
    assert told(then, told_of(output=plain, tool_search=other)) == ["write: tool search: its schema has changed"]
    assert told(then, told_of(output=plain)) == ["write: tool search: gone"]
    assert told(told_of(output=plain), then) == ["write: tool search: new"]
    assert told(then, told_of(output=other, tool_search=plain)) == ["write: output: its schema has changed"]


def test_the_tools_that_are_nodes_are_in_it() -> None:
    def helped(tool: AnyNode) -> AnyNode:
        @agent(str, tools=[tool])
        def helped(task: Task) -> str:
            return task.text

        return helped

    assert "helped/keep: gone" in told(helped(keep), helped(improve))
