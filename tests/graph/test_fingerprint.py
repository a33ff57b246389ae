"""The fingerprint of a graph: the same wherever the graph is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from swarmlet import (
    Budget,
    Node,
    Retry,
    agent,
    each,
    graph,
    loop,
    node,
    race,
    switch,
)
from swarmlet.graph.fingerprint import ROWS, changes, dump, load
from tests.engine.random_nodes import Builder, World
from tests.engine.random_specs import OptionsSpec, Spec, trees
from tests.graph.fingerprinted import (
    AnyNode,
    Code,
    Color,
    Keys,
    Task,
    Tree,
    again,
    improve,
    join,
    keep,
    of,
    size,
    solve,
    told,
    typed,
    write,
)

HERE = "tests.graph.fingerprinted"


def test_a_graph_built_twice_is_the_same() -> None:
    assert solve() is not solve()
    assert of(solve()) == of(solve())
    assert told(solve(), solve()) == []


def test_rows_have_the_paths_of_a_run_and_say_what_stands_there() -> None:
    rows = of(solve()).rows
    assert [(row.path, row.piece.what) for row in rows] == [
        ("solve", "graph"),
        ("solve/write", "agent"),
        ("solve/attempt", "loop"),
        ("solve/attempt[i]", "graph"),
        ("solve/attempt[i]/again", "node"),
        ("solve/keep", "node"),
    ]
    assert rows[1].piece.origin == f"{HERE}:write"
    assert rows[1].piece.signature == f"(task: {HERE}:Task) -> {HERE}:Code"
    assert rows[2].piece.facts == (("rounds", "5"),)
    assert [(one.step, one.parameter, one.source) for one in rows[0].piece.wiring] == [
        ("", "result", "keep()"),
        ("attempt", "code", "write()"),
        ("keep", "code", "attempt()"),
        ("write", "task", "task"),
    ]


def test_what_may_change_before_a_run_is_resumed_is_no_part_of_it() -> None:
    limited = write.with_options(budget=Budget(tokens=5), retry=Retry(attempts=2), timeout=3, model="x", cache=True, priority=2)
    assert told(solve(), solve(first=limited)) == []
    assert told(solve(), solve().with_options(concurrency=3, timeout=5)) == []
    assert told(each(write), each(write, concurrency=3, warm=True)) == []
    assert told(each(write, on_error="skip"), each(write, on_error="skip", on=ValueError)) == []

    @agent(Code, instructions="Other words.", max_turns=3, temperature=1)
    def other(task: Task) -> str:
        return "other words"

    vars(other)["origin"] = write.origin
    assert told(solve(first=write), solve(first=other.with_options(name="write"))) == []


def test_a_graph_with_options_is_seen_through() -> None:
    @graph
    def both(task: Task, code: Code) -> tuple[Code, Code]:
        return improve(task, code), write(task)

    def outer(inner: AnyNode) -> AnyNode:
        def outer(task: Task) -> Code:
            first, second = inner(task, write(task))
            result: Code = join([first, second])
            return result

        return graph(outer)

    bounded = both.with_options(timeout=5)
    assert told(outer(both), outer(bounded)) == []
    assert told(outer(both), outer(both.with_options(fallback=bounded)))


def test_the_order_of_lines_means_nothing() -> None:
    @graph
    def one(task: Task, code: Code) -> Code:
        kept = keep(code)
        written = write(task)
        return join([written, kept])

    then = one

    @graph
    def two(task: Task, code: Code) -> Code:
        written = write(task)
        kept = keep(code)
        return join([written, kept])

    vars(two).update(name="one", origin=then.origin)
    assert told(then, two) == []


# Sizes


def test_deep_graphs_have_a_fingerprint() -> None:
    def deep(inner: AnyNode) -> AnyNode:
        for _ in range(5_000):
            inner = race(inner)
        return inner

    assert of(deep(write)).digest == of(deep(write)).digest
    assert len(of(deep(write)).rows) <= ROWS
    lines = told(deep(write), deep(keep))
    assert lines[0].startswith("race: it was a race (task: Task) -> Code, and is now a race (code: Code) -> Code")
    assert told(deep(write), deep(write).with_options(name="other")) == ["race: renamed, now other"]


def test_wide_graphs_have_a_fingerprint_and_what_is_beyond_its_rows_is_told() -> None:
    def wide(last: AnyNode) -> AnyNode:
        def wide(code: Code) -> Code:
            for _ in range(10_000):
                code = keep(code)
            result: Code = last(code)
            return result

        return graph(wide)

    assert len(of(wide(keep)).rows) == ROWS
    assert told(wide(keep), wide(keep)) == []
    lines = told(wide(keep), wide(keep.with_options(name="zz")))
    assert lines == [
        "wide: its result came from keep~10001(), and comes now from zz()",
        "wide: something beyond what is listed of its wiring",
        f"something beyond row {ROWS:,}",
    ]


def test_graphs_with_more_places_than_can_be_counted_have_a_fingerprint() -> None:
    def shared(first: AnyNode) -> AnyNode:
        for index in range(40):
            first = graph(_twice(first)).with_options(timeout=5 + index)
        return first

    assert of(shared(write_again)).digest == of(shared(write_again)).digest
    lines = told(shared(write_again), shared(write_again.with_options(fallback=keep)))
    assert lines
    assert len(of(shared(write_again)).rows) <= ROWS


@node
def write_again(code: Code) -> Code:
    return code


def _twice(inner: AnyNode) -> Callable[[Code], Code]:
    def twice(code: Code) -> Code:
        result: Code = inner(inner(code))
        return result

    return twice


def test_a_graph_is_read_once() -> None:
    assert of(write) is of(write)
    assert of(write.with_options(name="w")) is not of(write)


# Elsewhere

SCRIPT = """
import sys
from swarmlet.graph.fingerprint import dump, fingerprint
from tests.graph import test_fingerprint as here
for made in here.told_elsewhere():
    print(fingerprint(made).digest, len(dump(fingerprint(made))))
"""


def told_elsewhere() -> list[AnyNode]:
    @node
    def many(values: frozenset[str], kind: Literal["x", "y"] | Color | None, tree: Tree, keys: Keys) -> Path:
        return Path()

    @graph
    def g(tree: Tree, keys: Keys) -> Path:
        return many(frozenset(["a", "b", "c", "d"]), Color.RED, tree, keys)

    kinds = [
        solve(),
        typed(int | str | None),
        typed(Annotated[int, Field(gt=1)]),
        g,
        switch(size, {"big": write, "small": write}),
    ]
    return cast("list[AnyNode]", kinds)


@pytest.mark.parametrize("seed", ["1", "77"])
def test_other_processes_find_the_same(seed: str) -> None:
    home = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [(of(one).digest, str(len(dump(of(one))))) for one in told_elsewhere()]
    assert [tuple(line.split()) for line in done.stdout.splitlines()] == here


def test_digests_are_what_they_always_were() -> None:
    """Runs are resumed by later versions: where this fails, the version in the digest must change, or the change go."""

    def double(value: int, *, by: float = 2) -> list[int]:
        return []

    def g(value: int) -> list[int]:
        found: list[int] = plain(value, by=0.5)
        return found

    plain: AnyNode = node(double)
    vars(plain)["origin"] = "app:double"
    made: AnyNode = graph(g)
    vars(made)["origin"] = "app:g"
    assert of(made).digest == "a9b1e3b0a1a0462c7659e5086281cbeb"


# JSON


def test_fingerprints_go_to_json_and_back() -> None:
    for made in (solve(), typed(Keys), loop(again, rounds=3)):
        assert load(dump(of(made))) == of(made)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"version": 2}',
        dump(of(write)).replace(b'"rows":[["write",0]]', b'"rows":[["write",7]]'),
        dump(of(write)).replace(b'"rows":[["write",0]]', b'"rows":[["write",-1]]'),
        dump(of(write)).replace(b'"rows":[["write",0]]', b'"rows":[]'),
        dump(of(write)).replace(b'"rows":[["write",0]]', b'"rows":[["\\u001b[31m",0]]'),
        dump(of(write)).replace(b'"digest":"', b'"digest":"x'),
        dump(of(write))[:-1],
    ],
)
def test_what_is_no_fingerprint_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"fingerprint|validation error"):
        load(content)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)).map(
        lambda one: json.dumps(one).encode()
    )
)
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        load(content)


SOLVED = dump(of(solve()))


@given(st.data())
def test_a_changed_byte_is_refused_or_read(data: st.DataObject) -> None:
    content = bytearray(SOLVED)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = load(bytes(content))
    except ValueError:
        return
    assert all(line.isprintable() for line in changes(read, load(SOLVED)))


# Random nodes


async def _nothing(_: str, __: float) -> None: ...


class Bare(Builder):
    """Builds without options, but for fallbacks."""

    def options(self, spec: OptionsSpec) -> Node[[int], int]:
        body: Any = self.node(spec.body)
        return cast("Node[[int], int]", body.with_options(fallback=self.node(spec.fallback)) if spec.fallback else body)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(trees(3))
def test_random_nodes_are_the_same_when_built_again_with_other_options(spec: Spec) -> None:
    first, again = (of(Builder(World(_nothing)).node(spec)) for _ in range(2))
    assert first == again
    assert load(dump(first)) == first
    bare = of(Bare(World(_nothing)).node(spec))
    assert changes(first, bare) == [] == changes(bare, first)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(trees(3), trees(3))
def test_random_changes_are_told(then: Spec, now: Spec) -> None:
    first, other = of(Builder(World(_nothing)).node(then)), of(Builder(World(_nothing)).node(now))
    assert (first.rows == other.rows and first.types == other.types) == (changes(first, other) == [])
    assert "something that no row tells" not in changes(first, other)
