"""What the workloads cost when they are written by hand: on plain awaits, asyncio and anyio. The floors of the tables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar, final

import anyio

if TYPE_CHECKING:
    from tests.bench.peers.harness import Run

T = TypeVar("T")
Gather = Callable[[Sequence[Coroutine[object, object, T]]], Awaitable[list[T]]]
"""Runs coroutines side by side and gives their results in order."""


async def increment(value: int) -> int:
    return value + 1


async def same(value: int) -> int:
    return value


async def largest(values: list[int]) -> int:
    return max(values, default=0) + 1


async def wait(seconds: float) -> int:
    await anyio.sleep(seconds)
    return 1


async def with_gather(jobs: Sequence[Coroutine[object, object, T]]) -> list[T]:
    return await asyncio.gather(*jobs)


async def with_asyncio_group(jobs: Sequence[Coroutine[object, object, T]]) -> list[T]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
    return [task.result() for task in tasks]


async def with_anyio_group(jobs: Sequence[Coroutine[object, object, T]]) -> list[T]:
    results: list[T | None] = [None] * len(jobs)

    async def one(index: int, job: Coroutine[object, object, T]) -> None:
        results[index] = await job

    async with anyio.create_task_group() as group:
        for index, job in enumerate(jobs):
            group.start_soon(one, index, job)
    return results  # type: ignore[return-value]  # all are there  # pyright: ignore[reportReturnType]


@final
class ByHand:
    """The workloads on a way to run coroutines side by side. `each_in_task`: also a step that nothing runs beside."""

    def __init__(self, gather: Gather[int], *, each_in_task: bool = False) -> None:
        self._gather = gather
        self._each_in_task = each_in_task

    async def _one(self, job: Coroutine[object, object, int]) -> int:
        return (await self._gather([job]))[0] if self._each_in_task else await job

    async def chain(self, steps: int) -> Run:
        async def run() -> int:
            value = 0
            for _ in range(steps):
                value = await self._one(increment(value))
            return value

        return run

    loop = chain

    async def fan(self, steps: int) -> Run:
        async def run() -> int:
            return sum(await self._gather([same(value) for value in range(steps)]))

        return run

    async def layers(self, depth: int, width: int) -> Run:
        async def run() -> int:
            row = [0] * width
            for _ in range(depth):
                row = await self._gather([largest(row) for _ in range(width)])
            return max(row)

        return run

    async def diamond(self, long: float) -> Run:
        async def branch(*waits: float) -> int:
            for seconds in waits:
                await wait(seconds)
            return 1

        async def run() -> int:
            return sum(await self._gather([branch(long, 0), branch(0, long)]))

        return run

    async def stages(self, waits: list[list[float]]) -> Run:
        async def item(seconds: list[float]) -> int:
            for one in seconds:
                await wait(one)
            return 1

        async def run() -> int:
            return sum(await self._gather([item(seconds) for seconds in waits]))

        return run


GATHER = "plain awaits, `asyncio.gather`"
ASYNCIO = {
    GATHER: ByHand(with_gather),
    "`asyncio.TaskGroup`, a task a step": ByHand(with_asyncio_group, each_in_task=True),
}
ANYIO = {
    "plain awaits, anyio task group": ByHand(with_anyio_group),
    "anyio task group, a task a step": ByHand(with_anyio_group, each_in_task=True),
}


def floors(backend: str) -> dict[str, ByHand]:
    """The floors that there are on an event loop."""
    return ANYIO if backend == "trio" else ASYNCIO | ANYIO
