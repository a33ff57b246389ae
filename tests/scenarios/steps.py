"""Small nodes that many scenarios are wired of."""

from __future__ import annotations

from typing import Literal

from anyio.lowlevel import checkpoint

from swarmlet import node


@node
async def add(value: int, by: int = 1) -> int:
    await checkpoint()
    return value + by


@node
async def double(value: int) -> int:
    await checkpoint()
    return value * 2


@node
async def times(value: int, by: int) -> int:
    await checkpoint()
    return value * by


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


@node
async def numbers(upto: int) -> list[int]:
    await checkpoint()
    return list(range(1, upto + 1))


def parity(value: int) -> Literal["even", "odd"]:
    return "odd" if value % 2 else "even"
