"""Nodes of a module, as another process would import them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel

from swarmlet import Budget, Retry, current, each, graph, node


class Task(BaseModel):
    text: str
    due: datetime | None = None


class Big(Task):
    size: int = 0


@dataclass
class Price:
    usd: Decimal


@node
async def read(task: Task, *extra: str, kind: Literal["a", "b"] = "a", **more: int) -> Price:
    return Price(Decimal(len(task.text) + len(extra) + sum(more.values())))


@node
def double(number: float) -> float:
    return number * 2


@node
def anything(value: object) -> object:
    return value


@graph
def doubled(numbers: list[float]) -> list[float]:
    return each(double)(numbers)


named = each(double)
careful = double.with_options(retry=Retry(on=OSError))
bounded = read.with_options(budget=Budget(tokens=500), timeout=9)


def plain(number: int) -> int:
    return number


lifted = node(plain)
_identity: Callable[[int], int] = lambda number: number  # noqa: E731  # a function without a name is the point
nameless = node(name="nameless")(_identity)


@node
def stream(numbers: Iterator[int]) -> int:
    return sum(numbers)


@node
def call(function: Callable[[], int]) -> int:
    return function()


@node
async def either(numbers: list[int] | AsyncIterable[int]) -> int:
    return sum(numbers) if isinstance(numbers, list) else 0


class Connection:
    """Something that no JSON holds."""


@node
def query(connection: Connection) -> Connection:
    return connection


@dataclass
class Brand:
    name: str


@node
async def branded(text: str) -> str:
    own = current().find(Brand)
    return f"{text} of {own.name if own else 'nobody'}"


printed = branded.with_options(resources={Brand: Brand("Lumo")}, queue="print")
posted = branded.with_options(queue="post")


class Flows:
    @staticmethod
    def inner(number: int) -> int:
        return number


NOT_A_NODE = 3
