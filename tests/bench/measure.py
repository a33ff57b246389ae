"""`Bench`: compares ways to do the same within one run, in turns, against one raw anyio task."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.peers.harness import raw_task, seconds_of

if TYPE_CHECKING:
    from swarmlet import Swarm
    from tests.bench.ours import Ours
    from tests.bench.peers.harness import Run

MANY = 5_000


@dataclass
class Bench:
    """What sections share. `figures` are what the goals are compared with."""

    backend: str
    rounds: int
    swarm: Swarm
    ours: Ours
    figures: dict[str, float] = field(default_factory=dict[str, float])
    units: list[float] = field(default_factory=list[float])

    def rounds_for(self, steps: int) -> int:
        """How often to take a figure: less often where it takes long, and so varies less."""
        return self.rounds if steps < MANY else max(1, self.rounds // 2)

    async def unit(self) -> float:
        """CPU seconds of a raw task, now."""
        taken = await raw_task()
        self.units.append(taken)
        return taken

    async def compare(self, runs: Mapping[str, tuple[Run, int]], rounds: int | None = None) -> dict[str, float]:
        """For each run, CPU of a step in raw tasks. They take turns, so that a machine that slows down slows all of them."""
        for run, _ in runs.values():
            await run()
        units: list[float] = []
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds or self.rounds_for(max(steps for _, steps in runs.values()))):
            units.append(await self.unit())
            for name, (run, steps) in runs.items():
                taken[name].append(await seconds_of(run) / steps)
        unit = statistics.median(units)
        return {name: statistics.median(each) / unit for name, each in taken.items()}
