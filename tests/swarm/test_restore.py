"""What comes back out of the record is what went in, or it is made again: never another value, never of another class."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, field_serializer

from swarmlet import Again, Done, Failed, Swarm, graph, node
from swarmlet.engine.keep import keep_result
from swarmlet.engine.restore import NOTHING, alike, restored, same_input
from swarmlet.errors import NotResumable
from swarmlet.trace.encode import encoder
from swarmlet.trace.events import Noted, RunId
from swarmlet.trace.past import Past
from swarmlet.trace.record import Recorder
from tests.swarm.prefixes import write_prefix

T = TypeVar("T")


class Base(BaseModel):
    x: int = 0


class Good(Base):
    """Looks like `Base`."""


class Bad(Base):
    """Looks like `Base`, too."""


class One(BaseModel):
    v: int


class Two(BaseModel):
    v: int


class Either(BaseModel):
    item: One | Two


class Holder(BaseModel):
    item: Base


class Tree(BaseModel):
    name: str
    below: list[Tree] = []


class Box(BaseModel, Generic[T]):
    content: T


class Secretive(BaseModel):
    password: SecretStr


class Excluding(BaseModel):
    a: int
    b: int = Field(default=0, exclude=True)


class Private(BaseModel):
    a: int
    _p: int = PrivateAttr(default=0)

    def with_p(self) -> Private:
        self._p = 5
        return self


class Rounding(BaseModel):
    number: float

    @field_serializer("number")
    def rounded(self, number: float) -> float:
        return round(number, 1)


@dataclass
class Point:
    a: int
    b: list[str]


@dataclass
class Other:
    a: int
    b: list[str]


class Colour(Enum):
    RED = "r"


class Level(int, Enum):
    ONE = 1


class Named(NamedTuple):
    a: int
    b: str


class Typed(TypedDict):
    a: int


class Text(str):
    __slots__ = ()


class Opaque:
    def __repr__(self) -> str:
        return "Opaque()"


Number = NewType("Number", int)

SAME: list[tuple[Any, object]] = [  # Any: types of every kind
    (int, 1),
    (float, 1),
    (int | float, 1.0),
    (float | int, 1),
    (int | bool, True),
    (str, "x"),
    (bytes, b"abc"),
    (type(None), None),
    (int | None, None),
    (object, None),
    (object, "x"),
    (Any, {"a": [1, 2.5, None, True]}),
    (One | Two, Two(v=1)),
    (Base, Bad(x=1)),
    (Base, Good(x=1)),
    (Tree, Tree(name="a", below=[Tree(name="b", below=[Tree(name="c")])])),
    (Box[int], Box[int](content=1)),
    (list[Point], [Point(1, ["x"])]),
    (Point | Other, Other(1, ["x"])),
    (Colour, Colour.RED),
    (str | Colour, Colour.RED),
    (Level, Level.ONE),
    (int, Level.ONE),
    (Number, Number(3)),
    (Named, Named(1, "a")),
    (Typed, {"a": 1}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2)),
    (set[str], {"a", "b", "c"}),
    (frozenset[int], frozenset((3, 1))),
    (list[set[str]], [{"a", "b"}]),
    (dict[int, str], {1: "a"}),
    (Mapping[str, int], {"a": 1}),
    (datetime | str, datetime(2020, 1, 1, tzinfo=UTC)),
    (timedelta, timedelta(seconds=1.5)),
    (Decimal, Decimal("1.10")),
    (UUID, UUID(int=3)),
    (Annotated[int, Field(ge=0)], 3),
    (list[Failed | int], [Failed("a", "ValueError", "no"), 3]),
    (Again[int] | Done[One], Done(One(v=1))),
]

MADE_AGAIN: list[tuple[Any, object]] = [
    (list[Base], [Good(x=1), Bad(x=2)]),
    (list[One | Two], [Two(v=1)]),
    (Either, Either(item=Two(v=1))),
    (Holder, Holder(item=Bad(x=3))),
    (Box[Any], Box[Any](content=One(v=1))),
    (object, One(v=1)),
    (Any, [One(v=1)]),
    (object, {"a": (1, 2)}),
    (Any, Opaque()),
    (Secretive, Secretive(password=SecretStr("hunter2"))),
    (SecretStr, SecretStr("hunter2")),
    (Excluding, Excluding(a=1, b=7)),
    (Private, Private(a=1).with_p()),
    (Rounding, Rounding(number=1.25)),
    (list[Point | Other], [Other(1, ["x"])]),
    (list[str | Colour], [Colour.RED, "r"]),
    (list[int], [Level.ONE]),
    (str, Text("a")),
    (list[str], [Text("a")]),
    (dict[str, Sequence[str]], {"a": ("b",)}),
    (Sequence[int], deque([1])),
    (list[str | datetime], [datetime(2020, 1, 1, tzinfo=UTC)]),
    (list[str | PurePosixPath], [PurePosixPath("a")]),
    (dict[Any, Any], {1: "a"}),
    (dict, {1: "a"}),
    (dict[int | str, str], {1: "a", "2": "b"}),
    (float, float("nan")),
    (float, float("inf")),
    (list[float], [float("nan"), 1.0]),
    (str, "\ud800"),
    (list[str], ["\ud800"]),
    (bytes, b"\xff"),
    (object, ValueError("x")),
    (Iterable[int], range(3)),
]


def back(declared: Any, value: object) -> object:
    """A value after it was recorded as the output of a node, and read back."""

    def give() -> Any:  # Any: declared below
        raise NotImplementedError

    give.__annotations__["return"] = declared
    of: Any = node(give)
    recorder = Recorder(RunId("run"), resumable=True)
    digest, note, _ = keep_result(recorder, value, of)
    content = recorder.content(digest) if digest is not None else None
    return NOTHING if content is None else restored(content, declared, note, of.encode_output)


@pytest.mark.parametrize(("declared", "value"), SAME, ids=range(len(SAME)))
def test_a_value_that_json_can_say_comes_back_as_it_was(declared: Any, value: object) -> None:
    assert alike(back(declared, value), value)


@pytest.mark.parametrize(("declared", "value"), MADE_AGAIN, ids=range(len(MADE_AGAIN)))
def test_a_value_of_which_something_would_be_lost_does_not_come_back(declared: Any, value: object) -> None:
    assert back(declared, value) is NOTHING


def test_sets_are_the_same_input_in_whatever_order_another_process_has_written_them() -> None:
    assert same_input({"a", "b"}, b'["a","b"]', b'["b","a"]')
    assert same_input({"x": [{"a", "b"}]}, b'{"x":[["a","b"]]}', b'{"x":[["b","a"]]}')
    assert not same_input(["a", "b"], b'["a","b"]', b'["b","a"]')
    assert not same_input({"x": {"a", "b"}, "y": [1, 2]}, b'{"x":["a","b"],"y":[1,2]}', b'{"x":["b","a"],"y":[2,1]}')


SETS = """
import sys, anyio
from pathlib import Path
from swarmlet import Swarm, graph, node

@node
def words(count: int) -> set[str]:
    print("words")
    return {f"word {number}" for number in range(count)}

@node
def longest(words: set[str]) -> str:
    print("longest")
    return max(words)

@node
def end(word: str) -> str:
    if not Path(sys.argv[2]).exists():
        Path(sys.argv[2]).touch()
        raise ValueError(word)
    return word

@graph
def flow(count: int) -> str:
    return end(longest(words(count)))

async def main() -> None:
    async with Swarm(journal=sys.argv[1]) as swarm:
        print((await swarm.run_as("sets", flow, 9)).output)

anyio.run(main)
"""


def test_sets_are_not_made_again_by_another_process(tmp_path: Path) -> None:
    told: list[list[str]] = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SETS, str(tmp_path / "a.sqlite"), str(tmp_path / "seen")]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, timeout=60, check=False
        )
        told.append(done.stdout.split("\n")[:-1])
    assert told == [["words", "longest"], ["word 8"]]


@pytest.mark.anyio
async def test_a_step_whose_output_was_lost_is_executed_again_and_that_is_noted(tmp_path: Path) -> None:
    made: list[object] = []

    @node
    def secret() -> Secretive:
        made.append(1)
        return Secretive(password=SecretStr("hunter2"))

    @node
    def use(secret: Secretive) -> str:
        return secret.password.get_secret_value()

    @graph
    def flow() -> str:
        return use(secret())

    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        run = await swarm.run(flow)
    await write_prefix(tmp_path / "b.sqlite", run.trace, 3)
    async with Swarm(journal=tmp_path / "b.sqlite") as swarm:
        again = await swarm.resume(run.id, flow)
    assert again.output == "hunter2"
    assert len(made) == 2
    assert any(isinstance(event, Noted) and "cannot be read back" in event.message for event in again.trace.events)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("declared", "value"),
    [(object, One(v=1)), (One | Two, Two(v=1)), (Base, Bad(x=1)), (list[Base], [Bad(x=1)]), (SecretStr, SecretStr("a"))],
    ids=str,
)
async def test_an_argument_comes_back_as_it_was_or_the_run_cannot_be_resumed(
    declared: Any, value: object, tmp_path: Path
) -> None:
    seen: list[object] = []

    def take(value: Any) -> int:  # Any: declared below
        seen.append(value)
        return 1

    take.__annotations__["value"] = declared
    of: Any = node(take)
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        run = await swarm.run(of, value)
    await write_prefix(tmp_path / "b.sqlite", run.trace, 1)
    async with Swarm(journal=tmp_path / "b.sqlite") as swarm:
        try:
            await swarm.resume(run.id, of)
        except NotResumable:
            return
    assert alike(seen[1], value)


def test_nothing_that_a_record_names_is_imported_or_called() -> None:
    encode = encoder(object)
    for name in (
        "os:system",
        "subprocess:Popen",
        "antigravity:x",
        "builtins:eval",
        "builtins:type",
        "?",
        ":",
        "..",
        "a" * 10_000,
    ):
        assert restored(b'"x"', object, name, encode) is NOTHING
    assert "antigravity" not in sys.modules
    assert Past([]).steps == {}
