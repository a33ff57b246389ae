"""The workloads as swarmlet graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

from swarmlet import Again, Done, Node, Swarm, each, graph, loop, node

if TYPE_CHECKING:
    from tests.bench.peers.harness import Run

Values = Node[[list[int]], int]


@node
def increment(value: int) -> int:
    return value + 1


@node
async def increment_async(value: int) -> int:
    return value + 1


@node
def same(value: int) -> int:
    return value


@node
async def checkpoint(value: int) -> int:
    await anyio.sleep(0)  # noqa: ASYNC115  # what people write
    return value


@node
async def nap(value: int) -> int:
    await anyio.sleep(0.01)
    return value


@node
async def wait(seconds: float) -> int:
    await anyio.sleep(seconds)
    return 1


@node
async def wait_after(seconds: float, before: int) -> int:
    await anyio.sleep(seconds)
    return before


@node
def total(values: list[int]) -> int:
    return sum(values)


@node
def largest(values: list[int]) -> int:
    return max(values, default=0) + 1


def chain_of(step: Node[[int], int], steps: int) -> Node[[int], int]:
    """A graph of steps one after the other."""

    @graph
    def chained(value: int) -> int:
        for _ in range(steps):
            value = step(value)
        return value

    return chained


def count_to(rounds: int) -> Node[[int], int]:
    """A loop of one step."""

    @node
    def count(value: int) -> Again[int] | Done[int]:
        return Again(value + 1) if value + 1 < rounds else Done(value + 1)

    return loop(count, rounds=rounds)


def map_of(step: Node[[int], int], concurrency: int | None = None) -> Values:
    """A map, and a join of its results."""

    @graph
    def mapped(values: list[int]) -> int:
        return total(each(step, concurrency=concurrency)(values))

    return mapped


def wired_fan(steps: int) -> Node[[], int]:
    """A fan-out that is wired call by call, with a join."""

    @graph
    def wired() -> int:
        return total([same(value) for value in range(steps)])

    return wired


def layers_of(depth: int, width: int) -> Node[[], int]:
    """Layers, each step of which takes all results of the layer before."""

    @graph
    def layered() -> int:
        row: list[int] = []
        for _ in range(depth):
            row = [largest(row) for _ in range(width)]
        return top(row)

    return layered


@node
def top(values: list[int]) -> int:
    return max(values)


@graph
def skewed(long: float) -> int:
    left = wait_after(0.0, wait(long))
    right = wait_after(long, wait(0.0))
    return total([left, right])


@graph
def in_three_stages(seconds: list[float]) -> int:
    return wait_after(seconds[2], wait_after(seconds[1], wait(seconds[0])))


@graph
def stage_by_item(waits: list[list[float]]) -> int:
    return total(each(in_three_stages)(waits))


@final
class Ours:
    """swarmlet, in one swarm that is open."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm

    def running(self, made: Node[..., int], *args: object) -> Run:
        """An async function that runs `made` once."""

        async def run() -> int:
            return (await self._swarm.run(made, *args)).output

        return run

    async def chain(self, steps: int) -> Run:
        return self.running(chain_of(increment, steps), 0)

    async def fan(self, steps: int) -> Run:
        return self.running(map_of(same), list(range(steps)))

    async def layers(self, depth: int, width: int) -> Run:
        return self.running(layers_of(depth, width))

    async def loop(self, rounds: int) -> Run:
        return self.running(count_to(rounds), 0)

    async def diamond(self, long: float) -> Run:
        return self.running(skewed, long)

    async def stages(self, waits: list[list[float]]) -> Run:
        return self.running(stage_by_item, waits)
