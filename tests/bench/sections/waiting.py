"""Steps that wait, against steps that do not."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

from tests.bench.floors import Gather, with_anyio_group, with_gather
from tests.bench.ours import checkpoint, map_of, nap, same
from tests.bench.report import Table

if TYPE_CHECKING:
    from swarmlet import Node
    from tests.bench.measure import Bench
    from tests.bench.peers.harness import Run

STEPS = 10_000
PLACES = 100


async def section(bench: Bench) -> list[Table]:
    """A fan-out whose steps do nothing, give way once, or sleep 10 ms."""
    table = Table(
        f"A fan-out of {STEPS:,} whose steps wait, a step in raw anyio tasks",
        ["", "never", "`anyio.sleep(0)`", "`anyio.sleep(0.01)`"],
    )
    runs: dict[str, tuple[Run, int]] = {}
    for column, (step, seconds) in enumerate(((same, None), (checkpoint, 0.0), (nap, 0.01))):
        for name, run in _contenders(bench, step, seconds).items():
            runs[f"{column} {name}"] = run, STEPS
    ratios = await bench.compare(runs)
    for name in dict.fromkeys(one.split(" ", 1)[1] for one in runs):
        table.rows.append([name, *(ratios.get(f"{column} {name}") for column in range(3))])
    bench.figures |= {f"waiting {name}": value for name, value in ratios.items()}
    return [table]


def _contenders(bench: Bench, step: Node[[int], int], seconds: float | None) -> dict[str, Run]:
    async def work(value: int) -> int:
        if seconds is not None:
            await anyio.sleep(seconds)
        return value

    async def bounded(value: int, places: anyio.Semaphore) -> int:
        async with places:
            return await work(value)

    def hand(gather: Gather[int], bound: bool) -> Run:
        async def run() -> int:
            places = anyio.Semaphore(PLACES, fast_acquire=True)
            return sum(await gather([bounded(value, places) if bound else work(value) for value in range(STEPS)]))

        return run

    async def workers() -> None:
        left = deque(range(STEPS))

        async def worker() -> None:
            while left:
                await work(left.popleft())

        async with anyio.create_task_group() as group:
            for _ in range(PLACES):
                group.start_soon(worker)

    values = list(range(STEPS))
    contenders: dict[str, Run] = {} if bench.backend == "trio" else {"`asyncio.gather`": hand(with_gather, False)}
    return contenders | {
        "anyio task group": hand(with_anyio_group, False),
        f"anyio task group, a semaphore of {PLACES}": hand(with_anyio_group, True),
        f"{PLACES} anyio tasks that take what is left": workers,
        "**swarmlet**": bench.ours.running(map_of(step), values),
        f"**swarmlet**, `concurrency={PLACES}`": bench.ours.running(map_of(step, PLACES), values),
    }
