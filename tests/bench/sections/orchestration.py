"""CPU of a step, on graphs of several shapes whose steps do nothing; wall time where steps wait."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import anyio

from tests.bench.floors import GATHER, floors, increment
from tests.bench.memory import peak_of
from tests.bench.ours import chain_of, increment_async, wired_fan
from tests.bench.peers.harness import BIG, CASES, Case, prepared, seconds_of
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench
    from tests.bench.peers.harness import Run

US = "**swarmlet**"


async def section(bench: Bench) -> list[Table]:
    """The table that peers are added to, and ways to write the same graph."""
    contenders: dict[str, object] = {**floors(bench.backend), US: bench.ours}
    columns = [await column(bench, contenders, case) for case in CASES]
    bench.figures |= {f"ours {case.title}": values[US] for case, values in zip(CASES, columns, strict=True)}
    if GATHER in contenders:
        bench.figures["gather fan-out 10,000"] = columns[CASES.index(BIG)][GATHER]
    columns.append({name: peak_of(name, backend=bench.backend) for name in contenders})
    heads = [case.title + (", wall / ideal" if case.ideal else "") for case in CASES]
    table = Table("A step, in raw anyio tasks", ["", *heads, f"MiB for {BIG.title}"])
    table.rows = [[name, *(values.get(name) for values in columns)] for name in contenders]
    return [table, await ways(bench)]


async def column(bench: Bench, contenders: dict[str, object], case: Case) -> dict[str, float]:
    """A case for each contender."""
    runs: dict[str, tuple[Run, int]] = {}
    for name, contender in contenders.items():
        run = await prepared(contender, case)
        if run is not None:
            runs[name] = run, case.steps
    if case.ideal is None:
        return await bench.compare(runs)
    return {name: await over_ideal(run, case.ideal) for name, (run, _) in runs.items()}


async def over_ideal(run: Run, ideal: float) -> float:
    """Wall time over the ideal."""
    await run()
    return statistics.median([await seconds_of(run, time.perf_counter) for _ in range(3)]) / ideal


async def timed_by_hand() -> None:
    """What a timeout for each step costs without swarmlet."""
    value = 0
    for _ in range(1_000):
        with anyio.move_on_after(60):
            value = await increment(value)


async def ways(bench: Bench) -> Table:
    """What a step costs by how it is written."""
    made = {
        "chain 1,000: sync functions": (await bench.ours.chain(1_000), 1_000),
        "chain 1,000: async functions": (bench.ours.running(chain_of(increment_async, 1_000), 0), 1_000),
        "chain 1,000: async functions, a timeout each": (
            bench.ours.running(chain_of(increment_async.with_options(timeout=60), 1_000), 0),
            1_000,
        ),
        "by hand: 1,000 awaits, `anyio.move_on_after` round each": (timed_by_hand, 1_000),
        "fan-out 10,000: `each`": (await bench.ours.fan(10_000), 10_001),
        "fan-out 10,000: 10,000 calls in the graph": (bench.ours.running(wired_fan(10_000)), 10_001),
    }
    ratios = await bench.compare(made)
    bench.figures["ours chain, a timeout each"] = ratios["chain 1,000: async functions, a timeout each"]
    return Table("Ways to write it", ["", "raw tasks"], [[name, value] for name, value in ratios.items()])
