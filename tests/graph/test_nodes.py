"""Whatever can be called can be a node, with the signature it declares."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import pytest
from pydantic import BaseModel

from swarmlet import EdgeError, GraphError, Node, each, graph, node, run_sync, switch
from tests.graph.lines import marked, refused

T = TypeVar("T")


class Point(BaseModel):
    x: int
    y: int = 0


@dataclass
class Scale:
    by: int

    def __call__(self, count: int) -> str:
        return str(count * self.by)


class Shelf:
    """A class whose field has the name and not the type of its constructor's parameter."""

    book: str

    def __init__(self, book: int, *more: int) -> None:
        self.book = str(book + sum(more))

    def read(self, page: int) -> str:
        return f"{self.book}:{page}"

    @staticmethod
    def empty() -> int:
        return 0

    @classmethod
    def first(cls, of: list[int]) -> int:
        return of[0]


class Waiter:
    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    async def __call__(self, count: int) -> int:
        return count + self.seconds


def join(first: int, second: str, third: bytes = b"") -> str:
    return f"{first}{second}{third!r}"


def shape_of(of: Node[..., Any]) -> str:  # Any: nodes of every type
    return repr(of)


def test_functions_classes_methods_partials_and_objects_are_nodes_with_their_types() -> None:
    assert shape_of(node(join)) == "<Node join(first: int, second: str, third: bytes) -> str>"
    assert shape_of(node(Point)) == "<Node Point(x: int, y: int) -> Point>"
    assert shape_of(node(Scale)) == "<Node Scale(by: int) -> Scale>"
    assert shape_of(node(Scale(2))) == "<Node Scale(count: int) -> str>"
    assert shape_of(node(Shelf)) == "<Node Shelf(book: int, more: int) -> Shelf>"
    assert shape_of(node(Shelf(1).read)) == "<Node read(page: int) -> str>"
    assert shape_of(node(Shelf.empty)) == "<Node empty() -> int>"
    assert shape_of(node(Shelf.first)) == "<Node first(of: list[int]) -> int>"
    assert shape_of(node(functools.partial(join, 1))) == "<Node join(second: str, third: bytes) -> str>"
    assert shape_of(node(Waiter(2))) == "<Node Waiter(count: int) -> int>"


def test_each_kind_of_node_runs() -> None:
    assert run_sync(node(join), 1, "a").output == "1ab''"
    assert run_sync(node(Point), x=1).output == Point(x=1)
    assert run_sync(node(Scale(2)), 4).output == "8"
    assert run_sync(node(Shelf), 1, 2, 3).output.book == "6"
    assert run_sync(node(Shelf(1).read), 4).output == "1:4"
    assert run_sync(node(functools.partial(join, 1, third=b"c")), "x").output == "1xb'c'"
    assert run_sync(node(Waiter(2)), 3).output == 5
    assert run_sync(node(functools.partial(Waiter(2))), 3).output == 5
    assert run_sync(node(len), [1, 2]).output == 2


def test_lifting_a_class_of_awaitable_objects_makes_an_object() -> None:
    made = run_sync(node(Waiter), 3).output
    assert isinstance(made, Waiter)
    assert made.seconds == 3


def test_what_a_partial_or_an_object_gives_is_checked() -> None:
    scale = node(Scale(3))

    def wrong() -> int:
        return cast("int", scale(2))  # here

    message = refused(wrong, EdgeError)
    assert "Scale is str, but the graph's declared result asks for int" in message


def test_types_local_to_a_function_resolve_though_annotations_are_strings() -> None:
    class Local(BaseModel):
        value: int

    def make(value: int) -> Local:
        return Local(value=value)

    def read(local: Local) -> int:
        return local.value

    def is_big(local: Local) -> bool:
        return local.value > 10

    @node(name="named")
    def named(local: Local) -> Local:
        return local

    made, route = node(make), switch(is_big, {True: read, False: read})
    mapped = each(read)
    assert shape_of(named) == "<Node named(local: Local) -> Local>"
    assert shape_of(route) == "<Node switch(local: Local) -> int>"
    assert shape_of(mapped) == "<Node read(local: Sequence[Local] | AsyncIterable[Local]) -> list[int]>"

    @graph
    def whole(value: int) -> int:
        return route(named(made(value)))

    assert run_sync(whole, 4).output == 4


def test_local_types_of_enclosing_functions_and_classes_resolve() -> None:
    class Outer(BaseModel):
        value: int

    def build() -> Node[[Outer], Outer]:
        @node
        def same(outer: Outer) -> Outer:
            return outer

        return same

    class Namespace:
        class Inner(BaseModel):
            value: int

        @staticmethod
        def read(outer: Outer, inner: Inner) -> int:
            return outer.value + inner.value

        lifted = node(read)

    assert shape_of(build()) == "<Node same(outer: Outer) -> Outer>"
    assert shape_of(Namespace.lifted) == "<Node read(outer: Outer, inner: Namespace.Inner) -> int>"


def test_names_of_a_caller_that_is_no_enclosing_function_are_not_taken() -> None:
    def calls() -> Node[[Any], Any]:
        class Caller: ...

        del Caller
        return _makes_a_node_of_an_unknown_type()

    with pytest.raises(GraphError, match="name 'Caller' is not defined") as caught:
        calls()
    assert marked(_makes_a_node_of_an_unknown_type).removesuffix(": ") in str(caught.value)


def _makes_a_node_of_an_unknown_type() -> Node[[Any], Any]:
    def takes(caller: Caller) -> int:  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        return 1

    return node(cast("Callable[[Any], Any]", takes))  # here


def test_generic_classes_keep_their_arguments() -> None:
    class Box(BaseModel, Generic[T]):
        item: T

    @node
    def box() -> Box[int]:
        return Box(item=3)

    @node
    def read(count: int) -> int:
        return count

    @node
    def spell(text: str) -> str:
        return text

    def right() -> int:
        return read(box().item)

    def wrong() -> str:
        return spell(cast("str", box().item))

    assert run_sync(graph(right)).output == 3
    assert refused(wrong, EdgeError).endswith("box.item is int, but spell(text=) asks for str")


def test_undeclared_types_fit_everywhere() -> None:
    def lambda_() -> Callable[[Any], Any]:
        return lambda value: value

    free = node(lambda_())

    @graph
    def whole() -> str:
        return cast("str", free(free(3)))

    assert run_sync(whole).output == cast("str", 3)


def test_generators_are_refused_wherever_they_hide() -> None:
    def plain() -> Iterator[int]:
        yield 1

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    class Called:
        def __call__(self) -> Iterator[int]:
            yield 1

    for made in (plain, asynchronous, Called(), functools.partial(plain)):
        with pytest.raises(GraphError, match=r"test_nodes.py:\d+ .*is a generator; a node returns one value: return a list"):
            node(cast("Callable[[], Any]", made))


def test_what_cannot_be_a_node_is_refused() -> None:
    async def asynchronous() -> int:
        return 1

    with pytest.raises(GraphError, match="takes a function or a class, not 3"):
        node(cast("Callable[[], int]", 3))
    with pytest.raises(GraphError, match="'join' is a node already"):
        node(node(join))
    with pytest.raises(GraphError, match="is async: thread=True is for sync functions"):
        node(thread=True)(asynchronous)
    with pytest.raises(GraphError, match="cannot be read"):
        node(cast("Callable[[], int]", dict))


def test_a_node_tells_where_it_is_defined_and_what_it_does() -> None:
    documented = node(join).with_options(name="j")
    assert documented.origin == "tests.graph.test_nodes:join"
    assert node(Shelf).__doc__ == Shelf.__doc__
    assert documented.name == "j"


def test_a_lambda_in_a_combinator_is_named_for_its_role() -> None:
    def doubles() -> Callable[[int], int]:
        return lambda count: count * 2

    double = each(doubles())
    result = run_sync(double, [1, 2])
    assert result.output == [2, 4]
    assert [step.path for step in result.trace.steps()] == ["body[0]", "body[1]"]


def test_a_node_never_changes() -> None:
    lifted = node(len)
    with pytest.raises(AttributeError, match=r"len\.with_options"):
        lifted.name = "other"
    assert lifted.name == "len"
