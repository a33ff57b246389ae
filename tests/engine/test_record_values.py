"""What a run's record keeps of the values that go through it, and that recording them changes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import pydantic
import pytest
from anyio.lowlevel import checkpoint
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema

from swarmlet import Failed, Run, StepFailed, each, graph, node
from swarmlet.engine.step import named_arguments
from swarmlet.trace.encode import encoder
from swarmlet.trace.events import Digest, Noted, StepStarted
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio


def three() -> Iterator[int]:
    yield from (1, 2, 3)


@dataclass
class Box:
    rows: Any


@dataclass
class Bare:
    rows: Any = field(init=False)


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    rows: Any = None


def notes(result: Run[Any]) -> list[str]:
    return [event.message for event in result.trace.events if isinstance(event, Noted)]


def inputs(result: Run[Any]) -> dict[str, object]:
    (started,) = (event for event in result.trace.events if isinstance(event, StepStarted))
    return {name: result.trace.value(digest) for name, digest in started.inputs.items()}


HOLDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "itself": (lambda rows: rows, lambda held: held),
    "dict": (lambda rows: {"rows": rows}, lambda held: held["rows"]),
    "tuple": (lambda rows: (map(int, rows), 1), lambda held: held[0]),
    "list": (lambda rows: [0, [rows]], lambda held: held[1][0]),
    "set": (lambda rows: {rows}, lambda held: next(iter(held))),
    "deque": (lambda rows: deque([rows]), lambda held: held[0]),
    "dataclass": (Box, lambda held: held.rows),
    "model": (lambda rows: Model(rows=rows), lambda held: held.rows),
    "extra": (lambda rows: Model.model_validate({"more": [rows]}), lambda held: held.more[0]),
}


@pytest.mark.parametrize("where", HOLDERS)
async def test_recording_a_value_leaves_the_iterators_in_it_to_the_next_step(where: str) -> None:
    put, take = HOLDERS[where]

    @node
    def make() -> Any:
        return put(three())

    @node
    def use(held: Any) -> list[int]:
        return list(take(held))

    @graph
    def flow() -> list[int]:
        return use(make())

    result = await quickly(flow)
    assert result.output == [1, 2, 3]
    assert len(notes(result)) == 2
    assert all("give a list instead of an iterator" in note for note in notes(result))


async def test_values_without_iterators_are_recorded_whole() -> None:
    circle: list[object] = [1]
    circle.append(circle)
    shared = {"a": Decimal("1.5")}
    bare = Bare()

    @node
    def use(plain: Any, circle: Any, bare: Any) -> int:
        return 1

    result = await quickly(use, [shared, shared, Box(None)], circle, bare)
    seen = inputs(result)
    assert seen["plain"] == [{"a": "1.5"}, {"a": "1.5"}, {"rows": None}]
    assert "[...]" in str(seen["circle"])


class Base(BaseModel):
    a: int


class Sub(Base):
    b: int


@dataclass
class Wide:
    a: int


@dataclass
class Narrow(Wide):
    b: int


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (Base, [Sub(a=1, b=7), Sub(a=1, b=8)]),
        pytest.param(
            list[Base],
            [[Sub(a=1, b=7)], [Sub(a=1, b=8)]],
            marks=pytest.mark.skipif(pydantic.VERSION.startswith("2.12."), reason="it writes inner models as declared"),
        ),
        (Wide, [Narrow(1, 7), Narrow(1, 8)]),
    ],
)
async def test_values_that_differ_in_what_a_subclass_adds_have_different_digests(declared: Any, values: list[Any]) -> None:
    def use(what: Any) -> int:
        return 1

    use.__annotations__["what"] = declared
    results = [await quickly(node(use), value) for value in values]
    digests: set[Digest | None] = {result.trace.step("use").started.inputs["what"] for result in results}  # type: ignore[union-attr]
    assert len(digests) == 2
    assert "'b': 7" in str(inputs(results[0]))


def test_what_a_type_keeps_out_of_its_json_stays_out() -> None:
    @dataclass
    class Secret:
        text: Annotated[str, PlainSerializer(lambda _: "hidden")]
        key: Annotated[str, Field(exclude=True)] = "sk"

    assert encoder(Secret)(Secret("open")) == b'{"text":"hidden"}'
    failed = [Failed("a", "ValueError", "no", ValueError("no"))]
    assert encoder(list[int | Failed])(failed) == b'[{"path":"a","type":"ValueError","message":"no"}]'


async def test_an_unhashable_annotation_costs_no_record() -> None:
    @node
    def use(count: Annotated[int, ["meta"]]) -> Annotated[int, {}]:
        return count + 1

    result = await quickly(use, 1)
    assert result.trace.output("use") == 2
    assert inputs(result) == {"count": 1}
    assert not notes(result)


async def test_a_type_that_pydantic_makes_no_schema_for_costs_no_record() -> None:
    class Odd:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            raise KeyError("no schema")

        def __repr__(self) -> str:
            return "odd"

    @node
    def use(odd: Odd, doubled: Annotated[int, Field(discriminator="kind")]) -> int:
        return 1

    assert inputs(await quickly(use, Odd(), 3)) == {"odd": "odd", "doubled": 3}


async def test_a_keyword_never_hides_a_positional_only_argument_of_its_name() -> None:
    @node
    def use(a: int, /, **named: int) -> int:
        return a

    assert inputs(await quickly(use, 1, a=2, b=3)) == {"a": 1, "**a": 2, "b": 3}
    assert named_arguments(use.signature, [1], {"a": 2}) == {"a": 1, "**a": 2}


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


async def test_an_error_that_cannot_say_itself_costs_no_event() -> None:
    @node
    async def fail(count: int) -> int:
        await checkpoint()
        raise Mute

    with pytest.raises(StepFailed) as caught:
        await quickly(each(fail), [1])
    assert caught.value.run is not None
    ended = caught.value.run.trace.step("fail[0]").ended
    assert ended is not None
    assert ended.error is not None
    assert (ended.state, ended.error.type, ended.error.message) == ("failed", "Mute", "")
