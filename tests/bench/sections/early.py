"""Wall time of a map over a list that a model is still writing, over that of the ideal schedule."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING

import anyio

from swarmlet import Swarm, agent, each, graph, node
from swarmlet.models.base import ChatReply
from swarmlet.models.profiles import Profile
from tests.bench.floors import with_anyio_group
from tests.bench.report import Table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarmlet import Node
    from swarmlet.models.base import ChatRequest, OnText
    from tests.bench.measure import Bench

ITEMS = 10
WRITTEN = 0.03
"""Seconds that the model takes for an item. Work on it takes as long for each item that is still to be written, and more."""


class SlowWriter:
    """A model that writes one item after the other, in pieces of four characters."""

    name = "slow-writer"
    profile = Profile(name="slow-writer")

    async def ready(self) -> None:
        return

    async def aclose(self) -> None:
        return

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        text = json.dumps({"value": list(range(ITEMS))})
        items = text.split(",")
        begin = anyio.current_time()
        for number, item in enumerate(items):
            await anyio.sleep_until(begin + (number + 1) * WRITTEN)
            written = item if number == len(items) - 1 else f"{item},"
            if on_text is not None:
                for at in range(0, len(written), 4):
                    on_text(written[at : at + 4])
        return ChatReply(text=text, input_tokens=20, output_tokens=40)


@agent(list[int], early=True)
def written_early(task: str) -> str:
    return task


@agent(list[int])
def written_whole(task: str) -> str:
    return task


@node
async def work(item: int) -> int:
    await anyio.sleep((ITEMS - item) * WRITTEN)
    return item


@graph
def early(task: str) -> list[int]:
    return each(work)(written_early(task))


@graph
def whole(task: str) -> list[int]:
    return each(work)(written_whole(task))


async def by_hand() -> None:
    """The ideal: each item starts when it is written."""

    async def item(number: int) -> int:
        await anyio.sleep((number + 1) * WRITTEN)
        await anyio.sleep((ITEMS - number) * WRITTEN)
        return number

    await with_anyio_group([item(number) for number in range(ITEMS)])


async def section(bench: Bench) -> list[Table]:
    """A list of ten whose first items take longest."""
    ideal = (ITEMS + 1) * WRITTEN
    table = Table(f"A map over a list of {ITEMS} that a model is still writing", ["", "wall / ideal"])
    async with Swarm(model=SlowWriter()) as swarm:

        async def run(of: Node[[str], list[int]]) -> None:
            assert (await swarm.run(of, "x")).output == list(range(ITEMS))

        rows = {
            "by hand": await _over(ideal, by_hand),
            "**swarmlet**, `early=True`": await _over(ideal, lambda: run(early)),
            "**swarmlet**": await _over(ideal, lambda: run(whole)),
        }
    table.rows = [[name, value] for name, value in rows.items()]
    bench.figures |= {f"a list that is being written: {name}": value for name, value in rows.items()}
    return [table]


async def _over(ideal: float, run: Callable[[], Awaitable[None]]) -> float:
    await run()
    taken: list[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        await run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) / ideal
