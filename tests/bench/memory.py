"""Memory, each figure in a process of its own: `python -m tests.bench.memory WHAT COUNT` prints MiB over the imports.

That is the most the process has had, less what it had when all was imported: building, running, and the trace.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import final

import anyio

from swarmlet import Limits, Node, Profile, Swarm, agent, each, graph, node
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from tests.bench.floors import floors
from tests.bench.ours import Ours, chain_of, map_of, same
from tests.bench.peers.harness import BIG, memory, memory_now, peak_memory


@final
class Crowd:
    """Holds everyone until all are there, so that all of them wait at once."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._all = anyio.Event()

    async def join(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._all.set()
        await self._all.wait()


@final
class InProcess:
    """A model whose replies come when all have asked."""

    name = "in-process"
    profile = Profile(name="in-process")

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    async def ready(self) -> None:
        return

    async def aclose(self) -> None:
        return

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        await self._crowd.join()
        return ChatReply(text="fine", input_tokens=20, output_tokens=1)


@agent(str, max_tokens=10)
def ask_model(number: int) -> str:
    """You answer with one word."""
    return f"Question {number}"


@graph
def ask_all(numbers: list[int]) -> list[str]:
    return each(ask_model)(numbers)


async def steps(count: int) -> float:
    """Steps that do not wait."""
    return await _over(map_of(same), list(range(count)))


async def waiting(count: int) -> float:
    """Steps that all wait at once."""
    crowd = Crowd(count)

    @node
    async def joins(value: int) -> int:
        await crowd.join()
        return value

    return await _over(map_of(joins), list(range(count)))


async def calls(count: int) -> float:
    """Agents' calls that all wait at once, of a model in this process."""
    before = memory_now()
    limits = Limits(requests_per_minute=10**9, tokens_per_minute=10**12, concurrency=count)
    async with Swarm(model=InProcess(Crowd(count)), limits=limits) as swarm:
        done = await swarm.run(ask_all, list(range(count)))
        assert len(done.output) == count
    return peak_memory() - before


async def runs(count: int) -> float:
    """Runs of ten steps that all wait at once, before their last step."""
    crowd = Crowd(count)

    @node
    async def joins(value: int) -> int:
        await crowd.join()
        return value

    @graph
    def ten(value: int) -> int:
        return joins(chain_of(same, 9)(value))

    async def one(number: int) -> None:
        await swarm.run(ten, number)

    before = memory_now()
    async with Swarm() as swarm, anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return peak_memory() - before


async def _over(made: Node[..., int], *args: object) -> float:
    before = memory_now()
    async with Swarm() as swarm:
        done = await swarm.run(made, *args)
        assert done.trace.events
    return peak_memory() - before


async def ours(count: int) -> float:
    """The workload that peers are measured with."""
    async with Swarm() as swarm:
        return await memory(Ours(swarm)) or 0


WHAT: dict[str, Callable[[int], Awaitable[float]]] = {
    "steps": steps,
    "waiting": waiting,
    "calls": calls,
    "runs": runs,
    "**swarmlet**": ours,
}


async def measured(what: str, count: int, backend: str) -> float:
    if what in WHAT:
        return await WHAT[what](count)
    return await memory(floors(backend)[what]) or 0


def peak_of(what: str, count: int = BIG.steps, backend: str = "asyncio") -> float:
    """MiB over the imports, measured in a new process."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "tests.bench.memory", what, str(count), "--backend", backend]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout)


def main() -> None:
    """Measure one thing and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", help=f"{', '.join(WHAT)}, or the name of a floor")
    parser.add_argument("count", type=int)
    parser.add_argument("--backend", default="asyncio", choices=["asyncio", "trio"])
    given = parser.parse_args()
    print(anyio.run(measured, given.what, given.count, given.backend, backend=given.backend))


if __name__ == "__main__":
    main()
