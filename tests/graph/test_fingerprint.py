"""The fingerprint of a graph: the same wherever the graph is the same, and words for what has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from typing_extensions import TypeAliasType, TypedDict

from swarmlet import (
    Again,
    Budget,
    Done,
    Message,
    Node,
    Retry,
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
from swarmlet.graph.fingerprint import ROWS, Fingerprint, changes, dump, fingerprint, load
from swarmlet.graph.shape import Facts, Leaf
from swarmlet.graph.spell import Speller
from tests.engine.random_nodes import Builder, World
from tests.engine.random_specs import OptionsSpec, Spec, trees

AnyNode = Node[..., Any]  # Any: nodes of all signatures


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str
    lines: int = 0


@agent(Code)
def write(task: Task) -> str:
    return task.text


@agent(Code)
def improve(task: Task, code: Code) -> str:
    return task.text


@node
def keep(code: Code) -> Code:
    return code


@node
def again(code: Code) -> Again[Code] | Done[Code]:
    return Done(code)


@node
def join(codes: list[Code]) -> Code:
    return codes[0]


def is_short(code: Code) -> bool:
    return True


def size(task: Task) -> Literal["big", "small"]:
    return "big"


def of(made: Callable[..., Any]) -> Fingerprint:
    return fingerprint(cast("Any", made))


def told(then: Callable[..., Any], now: Callable[..., Any]) -> list[str]:
    """What has changed between two nodes; the other way round must be told too."""
    assert (of(then).digest == of(now).digest) == (changes(of(then), of(now)) == []) == (changes(of(now), of(then)) == [])
    return changes(load(dump(of(then))), of(now))


def solve(**parts: Any) -> AnyNode:
    """A graph of this name, of parts that differ: `rounds`, `first`, `last`, `named`."""
    first, last = parts.get("first", write), parts.get("last", keep)

    @graph
    def attempt(code: Code) -> Again[Code] | Done[Code]:
        return again(code)

    def solve(task: Task) -> Code:
        code = loop(attempt, rounds=parts.get("rounds", 5))(first(task))
        result: Code = last(code)
        return result

    return graph(solve)


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
    assert rows[1].piece.origin == f"{__name__}:write"
    assert rows[1].piece.signature == f"(task: {__name__}:Task) -> {__name__}:Code"
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


# Words


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
        f"solve/write: it was defined as {__name__}:write, and is now {write.origin}",
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
        (vote(write, of=5), vote(write, of=5, key=is_short), f"write: key {__name__}:is_short: new"),
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


# Types


def typed(type_: object) -> AnyNode:
    def take(value: object) -> None: ...

    take.__annotations__ = {"value": type_, "return": None}
    return node(take)


def made(name: str = "Made", module: str = "app", **fields: Any) -> Any:
    return create_model(name, __module__=module, **fields)


def test_a_changed_field_of_a_model_is_told_with_the_type() -> None:
    then, now = made(text=(str, ...), size=(int, 1)), made(text=(str, ...), size=(int, ...), due=(str, ...))
    assert told(typed(then), typed(now)) == [
        "take: the type app:Made has changed: size was int = ..., and is now int; due: str is new"
    ]


def test_a_changed_field_of_a_type_within_a_type_is_told_once() -> None:
    def using(type_: Any) -> AnyNode:
        inner = typed(type_)

        def g(value: object) -> None:
            inner(value)
            inner(value)

        g.__annotations__ = {"value": type_, "return": None}
        return graph(g)

    then, now = made("Line", price=(int, ...)), made("Line", price=(float, ...))
    lines = told(using(made(lines=(list[then], ...))), using(made(lines=(list[now], ...))))
    assert lines == ["g: the type app:Line has changed: price was int, and is now float (also used in 2 other places)"]


def test_equal_types_of_different_modules_differ() -> None:
    then, now = made(text=(str, ...)), made(module="app.other", text=(str, ...))
    assert told(typed(then), typed(now)) == [
        "take: it was a node (value: app:Made) -> None, and is now a node (value: app.other:Made) -> None"
    ]


@dataclass
class Tree:
    children: list[Tree]
    value: int = 0


class Pair(NamedTuple):
    left: int
    right: Tree


class Color(Enum):
    RED = 1
    BLUE = "blue"


class Keys(TypedDict, total=False):
    color: Color


class Opaque:
    pass


UserId = NewType("UserId", int)
Nested = TypeAliasType("Nested", "list[Nested] | int")


@pytest.mark.parametrize(
    ("type_", "text", "fields"),
    [
        (Tree, "Tree", {"Tree": {"children": "list[Tree]", "value": "int = ..."}}),
        (Pair, "Pair", {"Pair": {"left": "int", "right": "Tree"}}),
        (Keys, "Keys", {"Keys": {"color": "Color = ..."}, "Color": {"RED": "1"}}),
        (UserId, "UserId", {"UserId": {"=": "int"}}),
        (list[Opaque | None], "list[None | Opaque]", {}),
        (Annotated[int, Field(gt=3, description="words")], "int (gt=3)", {}),
        (Literal["b", "a", 1], "Literal['a', 'b', 1]", {}),
        (Callable[[int, str], None], "Callable[[int, str], None]", {}),
        (Path, "pathlib:Path", {}),
        (tuple[int, ...], "tuple[int, ...]", {}),
        (tuple[()], "tuple[()]", {}),
        (Nested, "Nested", {"Nested": {}}),
        (Any, "Any", {}),
    ],
)
def test_types_of_all_kinds_have_names_and_fields(type_: object, text: str, fields: dict[str, dict[str, str]]) -> None:
    found = of(typed(type_))
    assert found.rows[0].piece.signature.replace(f"{__name__}:", "") == f"(value: {text}) -> None"
    known = {one.name: {name: line.replace(f"{__name__}:", "") for name, line in one.fields} for one in found.types}
    for name, lines in fields.items():
        assert known[f"{__name__}:{name}"].items() >= lines.items()


def test_unions_are_the_same_in_any_order() -> None:
    assert told(typed(int | str | None), typed(None | str | int)) == []


def test_functions_without_names_are_named_by_their_place() -> None:
    def wired() -> AnyNode:
        def g(code: Code) -> Code:
            kept: Code = vote(keep, of=3, key=lambda one: one.lines)(code)
            return kept

        return graph(g)

    assert told(wired(), wired()) == []
    assert b"0x" not in dump(of(wired()))


# Sizes


def test_deep_graphs_have_a_fingerprint() -> None:
    deep: Any = write
    for _ in range(5_000):
        deep = hedge(deep, after=1)
    other: Any = keep
    for _ in range(5_000):
        other = hedge(other, after=1)
    assert of(deep).digest != of(other).digest
    assert len(of(deep).rows) <= ROWS
    assert changes(of(deep), of(other))


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
