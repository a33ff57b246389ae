"""What all contenders are measured with, in this process and in those of the peers: anyio and the standard library only.

A contender is a module or an object with some of the functions in `Contender`. Each builds a workload and gives an async
function that runs it once; what that returns is checked. CPU figures are ratios: the CPU time of a step over that of one
raw anyio task (started in a task group, does nothing), both medians of the same process.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio

Run = Callable[[], Awaitable[object]]

LONG = 0.3
"""The skewed diamond: one side waits so long in its first step, the other in its second. With a barrier between, twice that."""
STAGES = 3
ITEMS = 30
SLOW, FAST = 0.4, 0.05
"""The map: each item is slow in one stage of three, and not all in the same."""
UNIT = 2_000
PATIENCE = 20.0
"""Seconds after which a workload is not repeated once more."""


class Contender(Protocol):
    """What can be measured. A contender may leave out what it cannot do."""

    async def chain(self, steps: int) -> Run:
        """Steps one after the other; each adds one."""
        ...

    async def fan(self, steps: int) -> Run:
        """Independent steps that give 0, 1, 2 and so on, and a join that adds them up."""
        ...

    async def layers(self, depth: int, width: int) -> Run:
        """Layers of steps, each of which takes all results of the layer before, and gives the largest plus one."""
        ...

    async def loop(self, rounds: int) -> Run:
        """One step, again and again, until it has counted to `rounds`."""
        ...

    async def diamond(self, long: float) -> Run:
        """Two branches of two steps, and a join. One waits in its first step, the other in its second. Gives 2."""
        ...

    async def stages(self, waits: list[list[float]]) -> Run:
        """Each item passes its own steps, each of which waits as long as said; gives the number of items."""
        ...


@dataclass(frozen=True)
class Case:
    """A workload: the contender's function, its arguments, and what comes out."""

    title: str
    function: str
    args: tuple[object, ...]
    steps: int
    expected: object
    ideal: float | None = None
    """Seconds that it takes at best, where the figure is time and not CPU."""
    at_once: int = 1
    """So many runs at the same time."""


def unequal_items() -> list[list[float]]:
    """For each item, how long it waits in each stage."""
    return [[SLOW if item % STAGES == stage else FAST for stage in range(STAGES)] for item in range(ITEMS)]


CASES = (
    Case("chain 100", "chain", (100,), 100, 100),
    Case("chain 1,000", "chain", (1_000,), 1_000, 1_000),
    Case("fan-out 1,000", "fan", (1_000,), 1_001, sum(range(1_000))),
    Case("fan-out 10,000", "fan", (10_000,), 10_001, sum(range(10_000))),
    Case("100 layers of 10", "layers", (100, 10), 1_000, 100),
    Case("loop 1,000", "loop", (1_000,), 1_000, 1_000),
    Case("1,000 runs of ten", "chain", (10,), 10_000, 10, at_once=1_000),
    Case("skewed diamond", "diamond", (LONG,), 5, 2, ideal=LONG),
    Case("three stages", "stages", (unequal_items(),), ITEMS * STAGES, ITEMS, ideal=SLOW + 2 * FAST),
)
CASE = {case.title: case for case in CASES}
BIG = CASE["fan-out 10,000"]
"""The one whose memory is measured."""


async def nothing() -> None:
    """What a raw task does."""


async def raw_task() -> float:
    """CPU seconds of one anyio task that does nothing: the unit."""
    gc.collect()
    begin = time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(UNIT):
            group.start_soon(nothing)
    return (time.process_time() - begin) / UNIT


async def prepared(contender: object, case: Case) -> Run | None:
    """The run of a case, checked each time; nothing if the contender does not have it."""
    function = getattr(contender, case.function, None)
    if function is None:
        return None
    run: Run = await function(*case.args)

    async def once() -> None:
        result = await run()
        if result != case.expected:
            raise AssertionError(f"{case.title}: expected {case.expected!r}, got {result!r}")

    async def many() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(case.at_once):
                group.start_soon(once)

    return once if case.at_once == 1 else many


async def seconds_of(run: Run, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of one run by this clock: CPU, unless another is given."""
    gc.collect()
    begin = clock()
    await run()
    return clock() - begin


async def measure(contender: object, case: Case, rounds: int = 5) -> float | None:
    """A contender's figure for a case: CPU of a step in raw tasks, or wall time over the ideal."""
    run = await prepared(contender, case)
    if run is None:
        return None
    clock = time.process_time if case.ideal is None else time.perf_counter
    begin = time.perf_counter()
    taken = [await seconds_of(run, clock)]
    if time.perf_counter() - begin < PATIENCE / 3:
        taken.clear()  # it was a warm-up
    units: list[float] = []
    while len(taken) < rounds and (time.perf_counter() - begin < PATIENCE or not taken):
        units.append(await raw_task())
        taken.append(await seconds_of(run, clock))
    if case.ideal is not None:
        return statistics.median(taken) / case.ideal
    units = units or [await raw_task() for _ in range(3)]
    return statistics.median(taken) / case.steps / statistics.median(units)


def peak_memory() -> float:
    """The most memory that this process has had, in MiB."""
    with suppress(OSError):  # Linux: what `getrusage` says there begins with what the parent process had
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**10
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def memory_now() -> float:
    """The memory that this process has, in MiB; the most it has had, where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def memory(contender: object, case: Case = BIG) -> float | None:
    """MiB that one run takes, its building included, over what the process has had before."""
    before = memory_now()
    run = await prepared(contender, case)
    if run is None:
        return None
    await run()
    return peak_memory() - before
