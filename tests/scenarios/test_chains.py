"""The topologies of Haystack's pipeline tests, as graphs: chains, defaults, shared values, what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import EdgeError, GraphError, Node, WiringError, graph, node
from tests.engine.quickly import quickly
from tests.scenarios.reading import ended, given, ran
from tests.scenarios.steps import add, double, flat, joined, subtract

pytestmark = pytest.mark.anyio


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


# What cannot work


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
