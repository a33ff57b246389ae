"""A ref goes wherever its value may go as data, and refuses whatever would need the value now."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import InitVar, dataclass
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

import pytest
from pydantic import BaseModel, ValidationError

from swarmlet import EdgeError, GraphError, Node, graph, node, run_sync
from swarmlet.errors import WiringError
from tests.graph.lines import marked, refused


class Author(BaseModel):
    name: str
    age: int = 0


@dataclass
class Draft:
    title: str
    author: Author


class Place(NamedTuple):
    line: int
    file: str


class Row(TypedDict):
    name: str
    count: int
    note: NotRequired[str]


@node
def author() -> Author:
    return Author(name="Ada", age=36)


@node
def place() -> Place:
    return Place(3, "a.py")


@node
def row() -> Row:
    return {"name": "nuts", "count": 2}


@node
def pair() -> tuple[int, str]:
    return 7, "seven"


@node
def numbers() -> list[int]:
    return [1, 2, 3]


@node
def number() -> int:
    return 5


@node
def show(value: object) -> str:
    return repr(value)


def output(body: Callable[[], str]) -> str:
    return run_sync(graph(body)).output


# Data flow


def test_fields_of_models_dataclasses_and_named_tuples_are_read() -> None:
    @node
    def draft(by: Author) -> Draft:
        return Draft("On engines", by)

    def fields() -> str:
        made = draft(author())
        return show([made.title, made.author.name, made.author.age, place().line])

    assert output(fields) == "['On engines', 'Ada', 36, 3]"


def test_items_are_read_by_a_constant_key() -> None:
    def items() -> str:
        return show([row()["name"], pair()[-1], numbers()[0], numbers()[1:], place()[1]])

    assert output(items) == "['nuts', 'seven', 1, [2, 3], 'a.py']"


def test_a_tuple_of_known_length_is_unpacked() -> None:
    def unpacked() -> str:
        count, word = pair()
        line, _ = place()
        return show((word, count, line))

    assert output(unpacked) == "('seven', 7, 3)"


def test_refs_are_filled_in_at_any_depth_of_lists_tuples_dicts_dataclasses_and_named_tuples() -> None:
    def nested() -> str:
        by = author()
        return show([{"a": (by.age, [number()])}, Draft("x", by), Place(number(), "b.py"), "constant"])

    assert output(nested) == (
        "[{'a': (36, [5])}, Draft(title='x', author=Author(name='Ada', age=36)), Place(line=5, file='b.py'), 'constant']"
    )


def test_a_typed_dict_is_written_as_a_dict() -> None:
    @node
    def name(of: Row | None) -> str:
        return of["name"] if of else ""

    @node
    def name_of(of: Row) -> str:
        return of["name"]

    def written() -> str:
        made: Row = {"name": author().name, "count": number()}
        return show([name(made), name_of(made)])

    assert output(written) == "['Ada', 'Ada']"


def test_a_typed_dict_with_a_wrong_field_or_wrong_keys_is_refused() -> None:
    @node
    def name(of: Row) -> str:
        return of["name"]

    anything = cast("Callable[[object], str]", name)

    def wrong_field() -> str:
        return anything({"name": number(), "count": number()})  # here

    def missing_key() -> str:
        return anything({"name": author().name})

    def unknown_key() -> str:
        return anything({"name": author().name, "count": 1, "size": 2})

    assert refused(wrong_field, EdgeError).startswith(marked(wrong_field) + "`")
    assert refused(wrong_field, EdgeError).endswith("number is int, but name(of=) asks for str")
    assert "but name(of=) asks for Row" in refused(missing_key, EdgeError)
    assert "'size'" in refused(unknown_key, EdgeError)


def test_the_length_of_a_tuple_that_holds_refs_is_checked() -> None:
    @node
    def two(of: tuple[int, int]) -> int:
        return sum(of)

    def one() -> int:
        return cast("Callable[[object], int]", two)((number(),))

    assert refused(one, EdgeError).endswith("the tuple is tuple[Any], but two(of=) asks for tuple[int, int]")


def test_a_ref_says_what_it_is() -> None:
    texts: list[str] = []

    @graph
    def _named(who: Author) -> str:
        texts.append(repr(who.name))
        return show(who.name)

    assert texts == ["<ref who.name: str>"]


# What is refused

Body = Callable[[], Any]  # Any: the results of refused bodies are never looked at
REFUSED: list[tuple[Body, str, str]] = []


def refuses(what: str, instead: str) -> Callable[[Body], Body]:
    def keep(body: Body) -> Body:
        REFUSED.append((body, what, instead))
        return body

    return keep


@refuses("number is tested for truth", "switch(")
def body_if() -> str:
    if number():  # here
        return show(1)
    return show(2)


@refuses("number is tested for truth", "switch(")
def body_not() -> str:
    return show(not number())  # here


@refuses("numbers is asked for its length", "each(...) take lists of any length")
def body_len() -> str:
    return show(len(numbers()))  # here


@refuses("numbers is iterated over", "each(node)(values)")
def body_for() -> str:
    for one in numbers():  # here
        return show(one)
    return show(0)


@refuses("numbers is iterated over", "each(node)(values)")
def body_star() -> str:
    return show([*numbers()])  # here


@refuses("numbers is iterated over", "each(node)(values)")
def body_next() -> str:
    return show(next(cast("Any", numbers())))  # here


@refuses("number is compared", "switch(")
def body_equal() -> str:
    return show(number() == 5)  # here


@refuses("number is compared", "switch(")
def body_less() -> str:
    return show(number() < 5)  # here


@refuses("number is compared", "switch(")
def body_match_value() -> str:
    match number():
        case 5:  # here
            return show(5)
        case _:
            return show(0)


@refuses("numbers is asked for its length", "in a @node")
def body_match_sequence() -> str:
    found = numbers()
    match found:
        case [first, *_]:  # here
            return show(first)
        case _:
            return show(found)


@refuses("author is asked for its class", "switch(...) routes by type")
def body_match_class() -> str:
    match cast("object", author()):
        case Author():  # here
            return show(5)
        case _:
            return show(0)


@refuses("number is asked for its class", "switch(...) routes by type")
def body_isinstance() -> str:
    return show(isinstance(cast("object", number()), str))  # here


@refuses("author.name is turned into text", "write the f-string there")
def body_fstring() -> str:
    return show(f"Hello {author().name}")  # here


@refuses("number is turned into text", "write the f-string there")
def body_format_spec() -> str:
    return show(f"{number():>5}")  # here


@refuses("number is turned into text", "write the f-string there")
def body_str() -> str:
    return show(str(number()))  # here


@refuses("numbers is searched with `in`", "test for it in a @node")
def body_in() -> str:
    return show(5 in numbers())  # here


@refuses("number is computed with", "compute in a @node")
def body_add() -> str:
    return show(number() + 1)  # here


@refuses("number is computed with", "compute in a @node")
def body_add_from_the_right() -> str:
    return show(1 + number())  # here


@refuses("number is computed with", "compute in a @node")
def body_floor_divide_from_the_right() -> str:
    return show(1 // number())  # here


@refuses("number is computed with", "compute in a @node")
def body_shift() -> str:
    return show(number() << 2)  # here


@refuses("number is computed with", "compute in a @node")
def body_negate() -> str:
    return show(-number())  # here


@refuses("number is computed with", "compute in a @node")
def body_round() -> str:
    return show(round(number()))  # here


@refuses("number is computed with", "compute in a @node")
def body_range() -> str:
    return show(list(range(number())))  # here


@refuses("author is called", "methods are called in a @node")
def body_call() -> str:
    return show(cast("Any", author())())  # here


@refuses("author reads .model_dump", "Author declares no such field")
def body_method() -> str:
    return show(author().model_dump())  # here


@refuses("author reads .surname", "Author declares no such field")
def body_unknown_field() -> str:
    return show(cast("Any", author()).surname)  # here


@refuses("row reads ['size']", "Row has no such item")
def body_unknown_key() -> str:
    return show(cast("Any", row())["size"])  # here


@refuses("pair reads [2]", "tuple[int, str] has no such item")
def body_unknown_index() -> str:
    return show(cast("Any", pair())[2])  # here


@refuses("numbers is indexed by another ref", "look it up in a @node")
def body_index_by_ref() -> str:
    return show(numbers()[number()])  # here


@refuses("numbers is indexed by another ref", "look it up in a @node")
def body_slice_by_ref() -> str:
    return show(numbers()[: number()])  # here


@refuses("number is hashed", "do it in a @node")
def body_hash() -> str:
    return show({number(): 1})  # here


@refuses("number is hashed", "do it in a @node")
def body_set() -> str:
    return show({number()})  # here


@refuses("numbers is changed", "make a new value in a @node")
def body_set_item() -> str:
    found = numbers()
    found[0] = 3  # here
    return show(found)


@refuses("author is changed", "make a new value in a @node")
def body_set_field() -> str:
    found = author()
    found.age = 3  # here
    return show(found)


@refuses("number is entered", "use `with` in a @node")
def body_with() -> str:
    with cast("Any", number()):  # here
        return show(1)


@refuses("numbers is asked for its length", "in a @node")
def body_in_the_standard_library() -> str:
    return show(random.choice(numbers()))  # here


@pytest.mark.parametrize(("body", "what", "instead"), REFUSED, ids=[body.__name__ for body, _, _ in REFUSED])
def test_what_needs_the_value_now_is_refused_with_its_line_and_the_way_to_do_it(body: Body, what: str, instead: str) -> None:
    message = refused(body, WiringError)
    assert message.startswith(f"{marked(body)}`")
    assert f": {what}, but it stands for a value (" in message
    assert instead in message


async def _awaits() -> str:
    await cast("Any", number())
    return ""


def test_awaiting_a_ref_is_refused() -> None:
    def awaited() -> str:
        _awaits().send(None)
        return show(1)

    assert "number is awaited" in refused(awaited, WiringError)


def test_a_pydantic_model_is_not_built_from_refs() -> None:
    def built() -> str:
        return show(Author(name=author().name, age=3))

    def validated_any() -> str:
        class Box(BaseModel):
            item: Any  # takes the ref unseen

        return show(Box(item=number()))  # here

    assert "make the model a node, `build = node(Author)`" in refused(built, WiringError)
    assert "test_refs.py:" in refused(built, WiringError)
    message = refused(validated_any, WiringError)
    assert message.startswith(marked(validated_any))
    assert "'Box' holds a ref" in message
    assert "`build = node(Box)`" in message


def test_a_model_that_is_wrong_by_itself_is_pydantics_own_error() -> None:
    def wrong() -> str:
        return show([number(), Author(name=cast("Any", 3))])

    with pytest.raises(ValidationError, match="valid string"):
        graph(wrong)


@dataclass
class Scaled:
    value: int
    scale: InitVar[int] = 1

    def __post_init__(self, scale: int) -> None:
        del scale


class Holder:
    def __init__(self, inside: object) -> None:
        self.inside = inside


HIDING: dict[str, Callable[[Any], object]] = {
    "deque": lambda ref: deque([ref]),
    "ordered dict": lambda ref: OrderedDict[str, object](a=ref),
    "constructed model": lambda ref: Author.model_construct(name=ref),
    "dataclass with InitVar": lambda ref: Scaled(ref, 2),
    "object": lambda ref: Holder([ref]),
    "object in a dict": lambda ref: {"inside": Holder(ref)},
}


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
def test_a_ref_where_nothing_would_fill_it_in_is_refused(hide: Callable[[Any], object]) -> None:
    def hidden() -> str:
        return show(hide(number()))  # here

    message = refused(hidden, WiringError)
    assert message.startswith(marked(hidden))
    assert "only lists, tuples, dicts and dataclasses are filled in" in message


def test_a_ref_of_another_graph_is_refused() -> None:
    stolen: list[int] = []

    @graph
    def _owner(count: int) -> str:
        stolen.append(count)
        return show(count)

    def thief() -> str:
        return show(stolen[0])  # here

    def returning_thief() -> list[int]:
        return stolen

    message = refused(thief, WiringError)
    assert message.startswith(marked(thief))
    assert "belongs to graph '_owner'; pass it in as a parameter" in message
    assert "test_refs.py:" in refused(returning_thief, WiringError)


def test_a_graph_inside_a_graph_does_not_see_the_outer_refs() -> None:
    def outer(count: int) -> str:
        @graph
        def inner() -> str:
            return show(count)  # inner

        return inner()

    assert "belongs to graph 'outer'" in refused(outer, WiringError)


def test_calling_a_node_outside_of_a_graph_says_how_to_run_it() -> None:
    with pytest.raises(
        WiringError, match=r"test_refs.py:\d+ .*await run\(number, \.\.\.\).*current\(\)\.run\(number"
    ) as caught:
        number()
    assert type(caught.value) is WiringError


def test_lists_that_hold_no_ref_are_constants_and_are_not_copied() -> None:
    given = [[1], {"a": (2,)}]
    seen: list[object] = []

    @node
    def see(value: object) -> int:
        seen.append(value)
        return 1

    @graph
    def whole() -> int:
        return see(given)

    run_sync(whole)
    assert seen[0] is given


def test_generic_fields_keep_their_arguments() -> None:
    @node
    def index() -> dict[str, list[Author]]:
        return {"a": [Author(name="Eve")]}

    @node
    def name(of: str) -> str:
        return of

    @node
    def age(of: Iterable[int]) -> str:
        return str(of)

    def right() -> str:
        return name(index()["a"][0].name)

    def wrong() -> str:
        return cast("Node[..., str]", age)(index()["a"])

    assert run_sync(graph(right)).output == "Eve"
    assert refused(wrong, EdgeError).endswith("index['a'] is list[Author], but age(of=) asks for Iterable[int]")


def test_the_first_ref_that_cannot_go_on_is_listed_with_what_was_wrong_before() -> None:
    def both() -> str:
        show(number())
        cast("Callable[[object], str]", shout)(number())
        return show(len(numbers()))

    @node
    def shout(text: str) -> str:
        return text

    with pytest.raises(GraphError) as caught:
        graph(both)
    edge, refusal = caught.value.problems
    assert "number~2 is int, but shout(text=) asks for str" in edge
    assert "asked for its length" in refusal
    assert str(caught.value).startswith("2 things are wrong:\n1. test_refs.py:")
