"""The topologies of Haystack's pipeline tests, as graphs: chains, forks, joins, branches, cycles, defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Literal, NoReturn

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import (
    Again,
    Done,
    EdgeError,
    GraphError,
    Node,
    RoundsExhausted,
    StepFailed,
    WiringError,
    each,
    graph,
    loop,
    node,
    switch,
)
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, given, ran

pytestmark = pytest.mark.anyio


@node
async def add(value: int, by: int = 1) -> int:
    await checkpoint()
    return value + by


@node
async def double(value: int) -> int:
    await checkpoint()
    return value * 2


@node
def subtract(first: int, second: int) -> int:
    return first - second


@node
def total(values: list[int]) -> int:
    return sum(values)


@node
def joined(texts: list[str]) -> str:
    return " ".join(texts)


@node
def flat(parts: list[list[str]]) -> list[str]:
    return [one for part in parts for one in part]


def parity(value: int) -> Literal["even", "odd"]:
    return "odd" if value % 2 else "even"


# Chains


async def test_a_graph_without_steps_gives_what_it_was_given() -> None:
    @graph
    def empty(value: int) -> int:
        return value

    run = await quickly(empty, 3)
    assert run.output == 3
    assert ran(run) == []


async def test_a_chain_runs_in_order_each_step_once_on_what_the_one_before_gave() -> None:
    @graph
    def chain(value: int) -> int:
        return add(double(add(value, 2)))

    run = await quickly(chain, 1)
    assert run.output == 7
    assert ran(run) == ended(run) == ["chain/add", "chain/double", "chain/add~2"]
    assert [given(run, path) for path in ran(run)] == [{"value": 1, "by": 2}, {"value": 3}, {"value": 6}]


async def test_what_every_step_of_a_chain_gave_can_be_read_without_wiring_it_out() -> None:
    @graph
    def chain(value: int) -> int:
        return add(double(add(value, 2)))

    run = await quickly(chain, 1)
    assert {path: run.trace.output(path) for path in ran(run)} == {"chain/add": 3, "chain/double": 6, "chain/add~2": 7}


async def test_one_of_several_results_of_a_step_goes_on_and_the_others_can_be_given_out_too() -> None:
    @dataclass
    class Doubled:
        value: int
        original: int

    @node
    def double_with_original(value: int) -> Doubled:
        return Doubled(value * 2, value)

    @graph
    def chain(value: int) -> tuple[int, int]:
        doubled = double_with_original(add(value, 2))
        return add(doubled.value), doubled.original

    run = await quickly(chain, 1)
    assert run.output == (7, 3)
    assert ran(run) == ["chain/add", "chain/double_with_original", "chain/add~2"]
    assert run.trace.output("chain/double_with_original") == {"value": 6, "original": 3}


async def test_steps_of_one_kind_are_made_by_a_function_and_wired_by_what_they_take() -> None:
    def template(text: str) -> Node[[str], str]:
        @node
        def fill(name: str) -> str:
            return text.format(name)

        return fill

    @node
    def split(text: str) -> list[str]:
        return text.split()

    greet, frame = template("Hello, {}!"), template("This is: {}")

    @graph
    def words(name: str) -> list[str]:
        return split(frame(greet(name)))

    run = await quickly(words, "Alice")
    assert run.output == ["This", "is:", "Hello,", "Alice!"]
    assert ran(run) == ["words/fill", "words/fill~2", "words/split"]


async def test_nodes_may_be_defined_in_any_order_and_run_in_that_of_the_data() -> None:
    @node
    def answer(documents: list[str], question: str) -> str:
        return f"{question} {', '.join(documents)}"

    @node
    def rank(documents: list[str], question: str) -> list[str]:
        return sorted(documents, key=lambda one: one not in question)

    @node
    def retrieve(question: str, top: int = 2) -> list[str]:
        return ["a", "b", "c"][:top]

    @node
    def correct(text: str = "which, b?") -> str:
        return text.capitalize()

    @graph
    def ask() -> str:
        question = correct()
        return answer(rank(retrieve(question), question), question)

    run = await quickly(ask)
    assert run.output == "Which, b? b, a"
    assert ran(run) == ["ask/correct", "ask/retrieve", "ask/rank", "ask/answer"]


# Defaults


@pytest.mark.parametrize(("arguments", "output"), [({"a": 40, "b": 30}, 70), ({"a": 40}, 42)])
async def test_a_default_stands_where_nothing_is_given(arguments: dict[str, int], output: int) -> None:
    @node
    def with_default(a: int, b: int = 2) -> int:
        return a + b

    @graph
    def alone(a: int, b: int = 2) -> int:
        return with_default(a, b)

    for one in (with_default, alone):
        run = await quickly(one, **arguments)
        assert run.output == output
        assert len(ran(run)) == 1


@pytest.mark.parametrize("many", [False, True])
async def test_a_node_with_a_default_that_is_made_as_the_program_runs(many: bool) -> None:
    def parrot(default: Any) -> Node[..., Any]:  # Any: text or texts
        def say(text: Any = default) -> Any:  # Any: as above
            return text

        return node(say)

    default = ["Not only a parrot!"] if many else "Not only a parrot!"
    assert (await quickly(parrot(default))).output == default
    assert (await quickly(parrot(default), text="A parrot?")).output == "A parrot?"


async def test_a_step_of_defaults_alone_runs_once() -> None:
    @node
    def retrieve(query: str = "capital of France", top: int = 1) -> list[str]:
        return ["Paris is the capital", "Rome is not"][:top]

    @graph
    def ask() -> str:
        return joined(retrieve())

    run = await quickly(ask)
    assert run.output == "Paris is the capital"
    assert ran(run) == ["ask/retrieve", "ask/joined"]


async def test_a_step_whose_argument_has_a_default_waits_for_the_ref_that_it_is_wired_to() -> None:
    retrieved = anyio.Event()

    @node
    async def retrieve(query: str) -> list[str]:
        await checkpoint()
        retrieved.set()
        return [f"about {query}"]

    @node
    def prompt(query: str, documents: list[str] | None = None) -> str:
        assert retrieved.is_set()
        return f"{query}: {documents}"

    @graph
    def ask(query: str) -> str:
        return prompt(query, retrieve(query))

    run = await quickly(ask, "rain")
    assert run.output == "rain: ['about rain']"
    assert ran(run) == ["ask/retrieve", "ask/prompt"]


@pytest.mark.parametrize("year", [None, 2020])
async def test_a_step_in_the_middle_takes_from_the_step_before_and_from_the_caller(year: int | None) -> None:
    @node
    def extract(query: str) -> dict[str, int]:
        return {"year": int(query.split()[-1])}

    @node
    def retrieve(query: str, filters: dict[str, int], year: int | None = None) -> list[str]:
        return [f"{query.split()[0]} in {year or filters['year']}"]

    @graph
    def search(query: str, year: int | None = None) -> list[str]:
        return flat([retrieve(query, extract(query), year=year)])

    assert (await quickly(search, "rain 2023", year)).output == [f"rain in {year or 2023}"]


# Forks and joins


async def test_branches_that_do_not_merge_are_all_given_out() -> None:
    @graph
    def forked(value: int) -> tuple[int, int, int]:
        first = add(value)
        return add(first, 10), double(first), add(add(first, 3))

    run = await quickly(forked, 1)
    assert run.output == (12, 4, 6)
    assert sorted(ran(run)) == [f"forked/{name}" for name in ("add", "add~2", "add~3", "add~4", "double")]
    assert ran(run)[0] == "forked/add"


async def test_branches_of_different_length_merge_in_a_step_that_waits_for_both() -> None:
    @graph
    def merged(one: int, two: int) -> int:
        return add(subtract(add(add(one, 2), 2), add(two, 2)))

    run = await quickly(merged, 1, 1)
    assert run.output == 3
    assert ran(run)[-2:] == ["merged/subtract", "merged/add~4"]
    assert len(ran(run)) == len(set(ran(run))) == 5


@pytest.mark.parametrize(("value", "output"), [(1, 14), (2, 17)])
async def test_branches_that_were_taken_merge_into_one_list(value: int, output: int) -> None:
    """The branches that are not taken are no elements that are missing: an arm gives as many as it has."""

    @graph
    def even(value: int) -> list[int]:
        return [value, add(value, 10)]

    @graph
    def odd(value: int) -> list[int]:
        return [value, double(value), add(add(value, 4))]

    @graph
    def merged(value: int) -> int:
        return total(switch(parity, {"even": even, "odd": odd})(add(value)))

    run = await quickly(merged, value)
    assert run.output == output
    assert ("merged/switch/odd/double" in ran(run)) == (value == 2)


async def test_a_value_and_what_is_made_of_it_merge_into_one_list() -> None:
    @graph
    def merged(one: int, two: int) -> int:
        first = add(one, 2)
        return add(total([first, add(first, 2), add(two, 2)]))

    run = await quickly(merged, 1, 1)
    assert run.output == 12
    assert given(run, "merged/total") == {"values": [3, 5, 3]}


@pytest.mark.parametrize("order", list(permutations(("first", "second", "third"))), ids="-".join)
@pytest.mark.parametrize("missing", ["first", "second", "third"])
async def test_a_list_is_in_the_order_it_is_written_in_whatever_comes_first_or_not_at_all(
    order: tuple[str, ...], missing: str
) -> None:
    turns = {name: anyio.Event() for name in order}
    turns[order[0]].set()

    @node
    async def create(name: str, without: str) -> str | None:
        await turns[name].wait()
        following = order.index(name) + 1
        if following < len(order):
            turns[order[following]].set()
        return None if name == without else name

    @node
    def present(documents: list[str | None]) -> list[str]:
        return [one for one in documents if one is not None]

    @graph
    def collect(without: str) -> list[str]:
        return present([create("first", without), create("second", without), create("third", without)])

    run = await quickly(collect, missing)
    assert run.output == [name for name in ("first", "second", "third") if name != missing]
    assert ended(run)[-1] == "collect/present"


async def test_texts_and_answers_of_two_steps_are_joined_in_the_order_they_are_written_in() -> None:
    @node
    def prompt(query: str, number: int) -> str:
        return f"{number}: {query}"

    @graph
    def both(query: str, other: str) -> str:
        return joined([prompt(query, 1), prompt(other, 2)])

    assert (await quickly(both, "what?", "why?")).output == "1: what? 2: why?"


@pytest.mark.parametrize(("length", "output"), [(1, ["A, b", "A", "b"]), (2, ["A, b", "A", "b", "long 2"])])
async def test_a_join_of_what_always_comes_and_what_a_condition_adds(length: int, output: list[str]) -> None:
    @node
    def commas(text: str) -> list[str]:
        return text.split(", ")

    @node
    def clean(texts: list[str]) -> list[str]:
        return [f"long {len(texts)}"]

    @node
    def nothing(texts: list[str]) -> list[str]:
        return []

    def is_long(texts: list[str]) -> bool:
        return len(texts) > 1

    @graph
    def documents(text: str, others: list[str]) -> list[str]:
        return flat([[text], commas(text), switch(is_long, {True: clean, False: nothing})(others)])

    run = await quickly(documents, "A, b", ["x"] * length)
    assert run.output == output
    assert ("documents/switch/clean" in ran(run)) == (length > 1)


async def test_what_the_caller_gives_and_what_a_step_finds_are_joined() -> None:
    @node
    def retrieve(query: str) -> list[str]:
        return [f"found {query}"]

    @graph
    def rank(query: str, documents: list[str]) -> list[str]:
        return flat([documents, retrieve(query)])

    assert (await quickly(rank, "x", ["mine"])).output == ["mine", "found x"]


# What is shared is not spoiled


async def test_the_record_keeps_what_each_step_was_given_and_gave_though_a_later_step_changes_the_value() -> None:
    """Values are handed on as they are, so nodes should not change them; if one does, the record is still right."""

    @node
    async def mangle(texts: list[str]) -> list[str]:
        texts.append("extra")
        return texts

    @graph
    def chain(texts: list[str]) -> list[str]:
        return mangle(mangle(texts))

    run = await quickly(chain, ["foo"])
    assert [given(run, path)["texts"] for path in ran(run)] == [["foo"], ["foo", "extra"]]
    assert [run.trace.output(path) for path in ran(run)] == [["foo", "extra"], ["foo", "extra", "extra"]]


async def test_steps_that_give_a_new_value_do_not_see_one_anothers() -> None:
    @node
    def extend(texts: list[str]) -> list[str]:
        return [*texts, "extra"]

    @node
    def reply(texts: list[str]) -> list[str]:
        return ["reply"]

    @graph
    def forked(texts: list[str]) -> tuple[list[str], list[str], list[str]]:
        prompt = extend(texts)
        return extend(prompt), flat([prompt, reply(prompt)]), extend(texts)

    texts = ["foo"]
    run = await quickly(forked, texts)
    assert run.output == (["foo", "extra", "extra"], ["foo", "extra", "reply"], ["foo", "extra"])
    assert texts == ["foo"]


async def test_a_value_that_cannot_be_compared_or_written_down_passes_from_step_to_step() -> None:
    class Frame:
        """As a table of numbers is: `==` gives a table, and a table is neither true nor false."""

        def __init__(self, *cells: int) -> None:
            self.cells = cells

        def __eq__(self, other: object) -> NoReturn:
            raise TypeError("tables are compared cell by cell")

        def __bool__(self) -> NoReturn:
            raise TypeError("the truth of a table is not known")

        __hash__ = None  # type: ignore[assignment]  # as lists and tables are

    @node
    def grow(frame: Frame) -> Frame:
        return Frame(*frame.cells, len(frame.cells))

    @graph
    def twice(frame: Frame) -> Frame:
        return grow(grow(frame))

    assert (await quickly(twice, Frame(5))).output.cells == (5, 1, 2)


# Branches


@pytest.mark.parametrize(
    ("value", "output", "steps"),
    [
        (1, (8, 8), ["add", "switch/parity", "switch/even/add", "switch/even/add~2", "switch/even/add~3"]),
        (2, (7, 7), ["add", "switch/parity", "switch/odd/add", "switch/odd/double", "switch/odd/subtract"]),
    ],
)
async def test_one_branch_forks_and_the_other_merges_and_only_one_runs(
    value: int, output: tuple[int, int], steps: list[str]
) -> None:
    @graph
    def even(value: int) -> tuple[int, int]:
        more = add(value, 4)
        return add(more, 2), add(more, 2)

    @graph
    def odd(value: int) -> tuple[int, int]:
        difference = subtract(add(value, 10), double(value))
        return difference, difference

    @graph
    def either(value: int) -> tuple[int, int]:
        return switch(parity, {"even": even, "odd": odd})(add(value))

    run = await quickly(either, value)
    assert run.output == output
    assert sorted(ran(run)) == sorted(f"either/{step}" for step in steps)


@pytest.mark.parametrize(("value", "output"), [(1, 15), (2, 6)])
async def test_of_two_branches_of_different_length_one_runs(value: int, output: int) -> None:
    @graph
    def even(value: int) -> int:
        return add(add(value, 10), 3)

    @graph
    def either(value: int) -> int:
        return switch(parity, {"even": even, "odd": double})(add(value))

    assert (await quickly(either, value)).output == output


@pytest.mark.parametrize("route", ["one", "two"])
async def test_two_routes_may_lead_to_the_same_node(route: Literal["one", "two"]) -> None:
    @node
    def same(route: Literal["one", "two"]) -> str:
        return f"by {route}"

    def key(route: Literal["one", "two"]) -> Literal["one", "two"]:
        return route

    @graph
    def routed(route: Literal["one", "two"]) -> str:
        return switch(key, {"one": same, "two": same})(route)

    run = await quickly(routed, route)
    assert run.output == f"by {route}"
    assert ran(run) == ["routed/switch/key", "routed/switch/same"]


@pytest.mark.parametrize(("sentence", "output"), [("quiero viajar", "That is Spanish"), ("wir reisen", "German")])
async def test_what_follows_a_branch_that_is_not_taken_does_not_run_on_its_defaults(sentence: str, output: str) -> None:
    @node
    def prompt(language: str = "unknown") -> str:
        return f"That is {language}"

    @graph
    def spanish(sentence: str) -> str:
        return prompt("Spanish")

    @node
    def german(sentence: str) -> str:
        return "German"

    def language(sentence: str) -> Literal["de", "es"]:
        return "de" if "reisen" in sentence else "es"

    @graph
    def told(sentence: str) -> str:
        return switch(language, {"de": german, "es": spanish})(sentence)

    run = await quickly(told, sentence)
    assert run.output == output
    assert len(ran(run)) == 2


@pytest.mark.parametrize(("question", "steps"), [("what?", ["query"]), ("no_answer?", ["excuse/prompt", "excuse/generate"])])
async def test_the_branch_for_a_failed_reply_gets_the_first_input_again(question: str, steps: list[str]) -> None:
    @node
    def prompt(question: str, columns: str) -> str:
        return f"{question} of {columns}"

    @node
    def generate(prompt: str) -> str:
        return "no_answer" if "no_answer" in prompt else "SELECT 1"

    @node
    def query(sql: str, question: str, columns: str) -> str:
        return f"result of {sql}"

    @graph
    def excuse(sql: str, question: str, columns: str) -> str:
        return generate(prompt(question, columns))

    def answered(sql: str, question: str, columns: str) -> bool:
        return sql != "no_answer"

    @graph
    def ask(question: str, columns: str) -> str:
        sql = generate(prompt(question, columns))
        return switch(answered, {True: query, False: excuse})(sql, question, columns)

    run = await quickly(ask, question, "age")
    assert ran(run) == ["ask/prompt", "ask/generate", "ask/switch/answered", *(f"ask/switch/{step}" for step in steps)]
    assert run.output == ("result of SELECT 1" if question == "what?" else "no_answer")


@pytest.mark.parametrize("query", ["attack", "rain"])
async def test_a_branch_with_joins_of_its_own_meets_the_other_branch_in_one_value(query: str) -> None:
    met = anyio.Event()

    @node
    async def embed(query: str) -> list[float]:
        await met.wait()
        return [1.0]

    @node
    async def by_embedding(embedding: list[float]) -> list[str]:
        return ["by meaning"]

    @node
    async def by_words(query: str) -> list[str]:
        met.set()
        return ["by words"]

    @node
    def rank(query: str, documents: list[str]) -> list[str]:
        return sorted(documents, reverse=True)

    @graph
    def legit(query: str) -> list[str]:
        return rank(query, flat([by_embedding(embed(query)), by_words(query)]))

    @node
    def nothing(query: str) -> list[str]:
        return []

    def is_attack(query: str) -> bool:
        return query == "attack"

    @graph
    def search(query: str) -> list[str]:
        return flat([switch(is_attack, {True: nothing, False: legit})(query)])

    run = await quickly(search, query)
    assert run.output == ([] if query == "attack" else ["by words", "by meaning"])
    assert len(ran(run)) == (3 if query == "attack" else 7)


# Files: route each to its converter, join, split, join


@node
async def convert(file: str) -> list[str]:
    await checkpoint()
    return [f"{file.rpartition('.')[2]}:{file.rpartition('.')[0]}"]


@node
async def split(document: str) -> list[str]:
    await checkpoint()
    return [f"{document}/{part}" for part in (1, 2)]


@graph
def converted(files: list[str]) -> list[str]:
    return flat(each(convert)(files))


@graph
def in_pieces(files: list[str]) -> list[str]:
    return flat(each(split)(converted(files)))


async def test_files_are_converted_and_joined_twice_and_nothing_is_converted_twice() -> None:
    @graph
    def two_joiners(texts: list[str], tables: list[str]) -> list[str]:
        return flat([converted(tables), in_pieces(texts)])

    run = await quickly(two_joiners, ["a.txt", "b.json"], ["c.csv"])
    assert run.output == ["csv:c", "txt:a/1", "txt:a/2", "json:b/1", "json:b/2"]
    converted_files = [given(run, path)["file"] for path in ran(run) if path.rpartition("/")[2].startswith("convert[")]
    assert sorted(converted_files) == ["a.txt", "b.json", "c.csv"]


@pytest.mark.parametrize("files", [(["a.txt"], ["b.csv"]), ([], ["b.csv"]), (["a.txt"], []), ([], [])])
async def test_three_joiners_take_whatever_there_is(files: tuple[list[str], list[str]]) -> None:
    @node
    def write(documents: list[str]) -> int:
        return len(documents)

    @graph
    def three_joiners(texts: list[str], pages: list[str]) -> int:
        return write(flat([in_pieces(texts), in_pieces(pages)]))

    run = await quickly(three_joiners, *files)
    assert run.output == 2 * len(files[0] + files[1])
    assert ran(run)[-1] == "three_joiners/write"


async def test_three_joiners_and_then_a_loop_over_what_they_joined() -> None:
    @dataclass
    class Extraction:
        documents: list[str]
        iteration: int

    @node
    def extract(state: Extraction) -> Again[Extraction] | Done[list[str]]:
        marked = [f"{one}#{state.iteration}" for one in state.documents]
        return Done(marked) if state.iteration == 2 else Again(Extraction(marked, state.iteration + 1))

    @graph
    def whole(texts: list[str], pages: list[str]) -> list[str]:
        return loop(extract, rounds=2)(Extraction(flat([in_pieces(texts), converted(pages)]), 1))

    run = await quickly(whole, ["a.txt"], ["b.csv"])
    assert run.output == ["txt:a/1#1#2", "txt:a/2#1#2", "csv:b#1#2"]
    assert ran(run)[-2:] == ["whole/extract[0]", "whole/extract[1]"]


# Cycles are loops


def by_remainder(steps: dict[int, Callable[[int], int]]) -> Node[[int], int]:
    """Goes round until the value is a multiple of three; what a round does depends on the remainder."""

    def none(value: int) -> bool:
        return value % 3 == 0

    @node
    def done(value: int) -> Again[int] | Done[int]:
        return Done(value)

    @node
    def again(value: int) -> Again[int] | Done[int]:
        return Again(value)

    @graph
    def one(value: int) -> Again[int] | Done[int]:
        return again(steps[1](value))

    @graph
    def two(value: int) -> Again[int] | Done[int]:
        return again(steps[2](value))

    def is_one(value: int) -> bool:
        return value % 3 == 1

    @graph
    def not_done(value: int) -> Again[int] | Done[int]:
        return switch(is_one, {True: one, False: two})(value)

    @graph
    def body(value: int) -> Again[int] | Done[int]:
        return switch(none, {True: done, False: not_done})(value)

    return loop(body, rounds=2)


@pytest.mark.parametrize("lengths", ["identical", "different"])
@pytest.mark.parametrize(("value", "output"), [(0, 0), (3, 3), (4, 6), (5, 6), (6, 6)])
async def test_two_cycles_through_one_place_are_one_loop_with_two_branches(lengths: str, value: int, output: int) -> None:
    @graph
    def two_in_one(value: int) -> int:
        return add(value, 2)

    @graph
    def two_in_two(value: int) -> int:
        return add(add(value))

    @graph
    def once(value: int) -> int:
        return add(value)

    cycles = by_remainder({1: two_in_one if lengths == "identical" else two_in_two, 2: once})
    run = await quickly(cycles, value)
    assert run.output == output
    adds = [path for path in ran(run) if "/add" in path]
    assert len(adds) == (0 if value % 3 == 0 else 2 if value % 3 == 1 and lengths == "different" else 1)


@dataclass(frozen=True)
class Sum:
    value: int
    so_far: int = 0


@node
def small(state: Sum) -> Literal["below 5", "below 10", "done"]:
    if state.value >= 10:
        return "done"
    return "below 5" if state.value + state.so_far < 5 else "below 10"


async def test_a_loop_with_two_branches_keeps_its_state_in_what_it_goes_round_with() -> None:
    def accumulated(state: Sum) -> Sum:
        return Sum(state.so_far + state.value, state.so_far + state.value)

    @node
    def plain(state: Sum) -> Again[Sum] | Done[int]:
        return Again(accumulated(state))

    @node
    def plus_three(state: Sum) -> Again[Sum] | Done[int]:
        return Again(replace(accumulated(state), value=accumulated(state).value + 3))

    @node
    def finish(state: Sum) -> Again[Sum] | Done[int]:
        return Done(state.value)

    body = switch(small, {"below 5": plain, "below 10": plus_three, "done": finish})

    @graph
    def whole(value: int) -> int:
        return add(loop(body, rounds=4)(Sum(add(value))), 2)

    run = await quickly(whole, 3)
    assert run.output == 13
    rounds = [path for path in ran(run) if "/switch[" in path and not path.endswith("small")]
    assert rounds == ["whole/switch[0]/plain", "whole/switch[1]/plus_three", "whole/switch[2]/finish"]
    assert [given(run, path)["state"] for path in rounds] == [
        {"value": 4, "so_far": 0},
        {"value": 4, "so_far": 4},
        {"value": 11, "so_far": 8},
    ]


async def test_what_a_round_gave_can_be_read_by_its_number() -> None:
    @node
    def grow(value: int) -> Again[int] | Done[int]:
        return Done(value) if value >= 10 else Again(value + 3)

    @graph
    def whole(value: int) -> int:
        return add(loop(grow, rounds=5)(value), 2)

    run = await quickly(whole, 3)
    assert run.output == 14
    assert [run.trace.output(f"whole/grow[{index}]") for index in range(4)] == [
        {"state": 6},
        {"state": 9},
        {"state": 12},
        {"value": 12},
    ]


async def test_a_branch_that_loops_back_ends_in_the_other_which_joins_the_rest() -> None:
    @node
    def below(value: int) -> Again[int] | Done[int]:
        return Again(value + 1) if value < 10 else Done(value)

    @graph
    def whole(value: int, others: list[int]) -> int:
        return total([total(others), add(loop(below, rounds=10)(value), 2)])

    run = await quickly(whole, 7, [2, 3])
    assert run.output == 17
    assert [path for path in ran(run) if "below" in path] == [f"whole/below[{index}]" for index in range(4)]


async def test_forks_joins_branches_and_a_loop_in_one_graph() -> None:
    @node
    async def grow(value: int) -> Again[int] | Done[int]:
        await checkpoint()
        return Again(value * 2) if value < 10 else Done(value)

    @graph
    def odd(value: int, listed: list[int]) -> int:
        return subtract(total(listed), loop(grow, rounds=3)(add(value)))

    @graph
    def even(value: int, listed: list[int]) -> int:
        return total([value, total(listed)])

    def kind(value: int, listed: list[int]) -> Literal["even", "odd"]:
        return "odd" if value % 2 else "even"

    @graph
    def whole(value: int, count: int) -> tuple[int, int]:
        last = switch(kind, {"even": even, "odd": odd})(add(value, 2), [add(count, 3), count])
        return add(last, 4), add(last, 5)

    run = await quickly(whole, 1, 1)
    assert run.output == (-7, -6)
    assert [path for path in ran(run) if "grow" in path] == [f"whole/switch/odd/grow[{index}]" for index in range(3)]
    assert len(ran(run)) == len(set(ran(run))) == 11
    assert (await quickly(whole, 2, 1)).output == (13, 14)


@dataclass(frozen=True)
class Draft:
    task: str
    feedback: str = ""
    tried: int = 0


@node
def write(draft: Draft) -> str:
    return f"code {draft.tried}"


@node
def judge(code: str) -> str:
    return "PASS" if code == "code 2" else f"FAIL, not {code}"


@node
def prompt_of(draft: Draft) -> str:
    return f"{draft.task} {draft.feedback}".strip()


@node
def decide(draft: Draft, code: str, verdict: str, prompt: str) -> Again[Draft] | Done[tuple[str, str]]:
    if verdict == "PASS":
        return Done((code, prompt))
    return Again(Draft(draft.task, verdict, draft.tried + 1))


async def test_feedback_goes_round_and_what_the_cycle_used_is_given_out_with_the_result() -> None:
    @graph
    def attempt(draft: Draft) -> Again[Draft] | Done[tuple[str, str]]:
        code = write(draft)
        return decide(draft, code, judge(code), prompt_of(draft))

    run = await quickly(loop(attempt, rounds=3), Draft("sort"))
    assert run.output == ("code 2", "sort FAIL, not code 1")
    for index in range(3):
        mine = [path for path in ran(run) if path.startswith(f"attempt[{index}]/")]
        assert sorted(mine) == [f"attempt[{index}]/{name}" for name in ("decide", "judge", "prompt_of", "write")]
        assert mine[-1].endswith("decide")


async def test_the_order_of_the_lines_does_not_change_a_feedback_loop() -> None:
    @graph
    def attempt(draft: Draft) -> Again[Draft] | Done[tuple[str, str]]:
        prompt = prompt_of(draft)
        code = write(draft)
        verdict = judge(code)
        return decide(draft, code, verdict, prompt)

    assert (await quickly(loop(attempt, rounds=3), Draft("sort"))).output == ("code 2", "sort FAIL, not code 1")


async def test_a_loop_in_a_loop_starts_anew_in_each_round_of_the_outer() -> None:
    """An agent edits until its task is done; a reviewer sends it back to work."""

    @dataclass(frozen=True)
    class Files:
        edits: tuple[str, ...] = ()
        review: int = 0

    @node
    def edit(files: Files) -> Again[Files] | Done[Files]:
        edits = (*files.edits, f"edit {len(files.edits)}")
        return Done(replace(files, edits=edits)) if len(edits) % 2 == 0 else Again(replace(files, edits=edits))

    @node
    def review(files: Files) -> Again[Files] | Done[tuple[str, ...]]:
        return Done(files.edits) if files.review == 1 else Again(replace(files, review=files.review + 1))

    @graph
    def work(files: Files) -> Again[Files] | Done[tuple[str, ...]]:
        return review(loop(edit, rounds=2)(files))

    run = await quickly(loop(work, rounds=2), Files())
    assert run.output == ("edit 0", "edit 1", "edit 2", "edit 3")
    assert ran(run) == [f"work[{outer}]/{step}" for outer in (0, 1) for step in ("edit[0]", "edit[1]", "review")]


async def test_a_loop_in_the_middle_of_a_chain_with_the_callers_values_in_each_round() -> None:
    @dataclass(frozen=True)
    class Try:
        replies: tuple[str, ...] = ()

    @node
    def clean(prompt: str) -> str:
        return prompt.strip()

    @node
    def generate(state: Try, prompt: str, comment: str) -> str:
        return f"{prompt} {comment} {len(state.replies)}" if state.replies else "No answer"

    @node
    def validate(state: Try, reply: str) -> Again[Try] | Done[str]:
        return Again(Try((*state.replies, reply))) if reply == "No answer" else Done(reply)

    @graph
    def attempt(state: Try, prompt: str, comment: str) -> Again[Try] | Done[str]:
        return validate(state, generate(state, prompt, comment))

    @graph
    def answer(prompt: str, comment: str = "nice") -> str:
        return joined([loop(attempt, rounds=2)(Try(), clean(prompt), comment=comment)])

    run = await quickly(answer, "  Sort ")
    assert run.output == "Sort nice 1"
    assert ran(run) == [
        "answer/clean",
        *(f"answer/attempt[{index}]/{step}" for index in (0, 1) for step in ("generate", "validate")),
        "answer/joined",
    ]


async def test_a_value_that_one_round_makes_for_a_step_outside_the_loop_is_carried_to_the_end() -> None:
    @dataclass(frozen=True)
    class State:
        query: str
        seen: str = ""

    @node
    def go_on(state: State) -> Again[State] | Done[State]:
        query = state.query * 2
        seen = query if query == "abab" else state.seen
        return Done(State(query, seen)) if len(query) == 8 else Again(State(query, seen))

    @node
    def outside(delayed: str, early: str) -> str:
        return f"{early}|{delayed}"

    @graph
    def whole(query: str) -> str:
        last = loop(go_on, rounds=2)(State(query))
        return outside(last.query, last.seen)

    run = await quickly(whole, "ab")
    assert run.output == "abab|abababab"
    assert ran(run) == ["whole/go_on[0]", "whole/go_on[1]", "whole/outside"]


# What cannot work


@pytest.mark.parametrize("rounds", [1, 3])
async def test_a_cycle_without_an_end_is_stopped_after_its_rounds(rounds: int) -> None:
    @node
    def forever(value: int) -> Again[int] | Done[int]:
        return Again(value + 1)

    with pytest.raises(RoundsExhausted) as caught:
        await quickly(loop(forever, rounds=rounds), 3)
    error = caught.value
    assert (error.rounds, error.state, error.history) == (rounds, 3 + rounds, tuple(range(3, 3 + rounds)))
    assert error.run is not None
    assert ended(error.run) == [f"forever[{index}]" for index in range(rounds)]


async def test_a_body_that_gives_neither_again_nor_done_fails_by_name() -> None:
    def broken(value: int) -> Any:  # Any: wrong on purpose
        return value

    with pytest.raises(StepFailed, match=r"broken\[0\].*Again") as caught:
        await quickly(loop(broken, rounds=2), 1)
    assert caught.value.run is not None
    assert ran(caught.value.run) == ["broken[0]"]


def test_a_step_that_does_not_get_all_that_it_needs_is_refused_when_the_graph_is_built() -> None:
    with pytest.raises(WiringError, match="second"):

        @graph
        def blocked(value: int) -> int:
            return subtract(add(value))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@dataclass(frozen=True)
class Message:
    text: str
    by: str = "assistant"


async def test_a_message_goes_to_a_step_for_text_by_its_field_and_no_other_way() -> None:
    @node
    def generate(query: str) -> list[Message]:
        return [Message(f"about {query}")]

    @node
    def retrieve(query: str) -> list[str]:
        return [f"found {query}"]

    @graph
    def right(query: str) -> list[str]:
        return retrieve(generate(query)[0].text)

    assert (await quickly(right, "towers")).output == ["found about towers"]
    with pytest.raises(EdgeError, match="list"):

        @graph
        def wrong(query: str) -> list[str]:
            return retrieve(generate(query))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_one_message_goes_where_a_list_of_texts_or_messages_is_taken() -> None:
    @node
    def last_message(query: str) -> Message:
        return Message(f"about {query}")

    @node
    def answers(replies: list[str] | list[Message]) -> list[str]:
        return [one if isinstance(one, str) else one.text for one in replies]

    @graph
    def built(query: str) -> list[str]:
        return answers([last_message(query)])

    assert (await quickly(built, "towers")).output == ["about towers"]


def test_all_that_cannot_work_is_told_at_once() -> None:
    with pytest.raises(GraphError) as caught:

        @graph
        def blocked(value: int) -> int:
            joined([value])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
            return subtract(add(value))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    assert len(caught.value.problems) == 3
