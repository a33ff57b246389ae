"""Small graphs, types of all kinds, and what the fingerprints of two graphs tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple, NewType, cast

from pydantic import BaseModel, create_model
from typing_extensions import TypeAliasType, TypedDict

from swarmlet import (
    Again,
    Done,
    Node,
    agent,
    graph,
    loop,
    node,
)
from swarmlet.graph.fingerprint import Fingerprint, changes, dump, fingerprint, load

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


def typed(type_: object) -> AnyNode:
    def take(value: object) -> None: ...

    take.__annotations__ = {"value": type_, "return": None}
    return node(take)


def made(name: str = "Made", module: str = "app", **fields: Any) -> Any:
    return create_model(name, __module__=module, **fields)


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
