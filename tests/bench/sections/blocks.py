"""The longest time for which nothing else on the event loop has a turn, while steps run that do nothing."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from swarmlet import Swarm
from tests.bench.floors import floors
from tests.bench.ours import Ours, map_of, wired_fan
from tests.bench.ours import checkpoint as gives_way
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench
    from tests.bench.peers.harness import Run

MILLI = 1e3


async def longest(run: Run) -> tuple[float, float]:
    """Seconds between two turns of a task that always wants one: by the wall, and in CPU of this thread."""
    done = False
    wall = cpu = 0.0

    async def heartbeat() -> None:
        nonlocal wall, cpu
        at, used = time.perf_counter(), time.thread_time()
        while not done:
            await anyio.lowlevel.checkpoint()
            now, spent = time.perf_counter(), time.thread_time()
            wall, cpu = max(wall, now - at), max(cpu, spent - used)
            at, used = now, spent

    gc.collect()
    async with anyio.create_task_group() as group:
        group.start_soon(heartbeat)
        await anyio.lowlevel.checkpoint()
        await run()
        done = True
    return wall, cpu


async def section(bench: Bench) -> list[Table]:
    """Chains, maps and joins, large and very large."""
    hand = next(iter(floors(bench.backend).values()))
    with tempfile.TemporaryDirectory() as folder:
        async with Swarm(journal=Path(folder) / "journal.sqlite") as durable:
            runs: dict[str, Run] = {
                "`asyncio.gather` of 10,000" if bench.backend != "trio" else "a nursery of 10,000": await hand.fan(10_000),
                "chain 10,000": await bench.ours.chain(10_000),
                "loop 10,000": await bench.ours.loop(10_000),
                "map 10,000": await bench.ours.fan(10_000),
                "map 10,000, each gives way once": bench.ours.running(map_of(gives_way), list(range(10_000))),
                "map 10,000 with a SQLite journal": await Ours(durable).fan(10_000),
                "10,000 calls in the graph and a join": bench.ours.running(wired_fan(10_000)),
                "the same with a SQLite journal": Ours(durable).running(wired_fan(10_000)),
                "map 100,000": await bench.ours.fan(100_000),
            }
            table = Table("The longest block of the event loop, ms", ["", "wall", "CPU of the thread"])
            for name, run in runs.items():
                taken = [await longest(run) for _ in range(3 if "100,000" not in name else 1)]
                wall, cpu = (statistics.median(column) * MILLI for column in zip(*taken, strict=True))
                table.rows.append([name, wall, cpu])
                bench.figures[f"block {name}"] = cpu
    table.notes.append("The wall includes what the machine gave to others.")
    return [table]
