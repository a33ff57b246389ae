"""Forks of runs in which items come from sources, which a record cannot hold."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

import pytest

from swarmlet import Swarm, each, graph, node

pytestmark = pytest.mark.anyio


class Threefold:
    def __init__(self, number: int) -> None:
        self.number = number

    async def __aiter__(self) -> AsyncIterator[int]:
        for _ in range(3):
            yield self.number


@node
def threefold(number: int) -> AsyncIterable[int]:
    return Threefold(number)


@node
async def total(numbers: AsyncIterable[int]) -> int:
    return sum([number async for number in numbers])


@node
def inc(number: int) -> int:
    return number + 1


@graph
def summed(number: int) -> int:
    return total(threefold(number))


@graph
def mapped(number: int) -> list[int]:
    return each(inc)(threefold(number))


async def test_what_was_made_of_a_source_is_made_anew_where_the_source_may_be_another(tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "journal.sqlite") as swarm:
        first = await swarm.run(summed, 1)
        assert first.output == 3
        assert (await swarm.fork(first.id, summed, inputs={"number": 100})).output == 300
        second = await swarm.run(mapped, 1)
        assert (await swarm.fork(second.id, mapped, inputs={"number": 100})).output == [101] * 3
