"""The topologies of Haystack's pipeline tests, as graphs: forks, joins, branches, files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Again, Done, each, graph, loop, node, switch
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, given, ran
from tests.scenarios.steps import add, double, flat, joined, parity, subtract, total

pytestmark = pytest.mark.anyio


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
