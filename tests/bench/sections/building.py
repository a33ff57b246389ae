"""Large graphs: what building, checking and running cost a step and an edge, and whether that grows with their size."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from swarmlet import Node
from swarmlet.graph.fingerprint import dump, fingerprint
from tests.bench.ours import chain_of, increment, layers_of, map_of, same, wired_fan
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench

SIZES = (1_000, 10_000, 100_000)
MICRO = 1e6

Made = Node[..., int]


def timed(make: Callable[[], object]) -> tuple[object, float]:
    """What it gives, and CPU seconds."""
    gc.collect()
    begin = time.process_time()
    made = make()
    return made, time.process_time() - begin


async def section(bench: Bench) -> list[Table]:
    """A graph of so many steps, or a map of so many items."""
    building = Table(
        "Building and checking, microseconds an edge",
        ["", *(f"{size:,} edges" for size in SIZES), "fingerprint, a step, of the largest (once a graph, with a journal)"],
    )
    running = Table(
        "A step of large graphs, in raw anyio tasks, building and checking included",
        ["", *(f"{size:,} steps" for size in SIZES), "last over first"],
    )
    for title, make, per_step in (
        ("a chain", lambda size: chain_of(increment, size), 1),
        ("calls in the graph and a join", wired_fan, 1),
        ("layers of 10, each step on all of the last", lambda size: layers_of(size // 100, 10), 10),
    ):
        cells: list[float] = []
        whole: list[float] = []
        last: Made | None = None
        for size in SIZES:
            last, built, ran = await once(bench, make, size)
            cells.append(built / size * MICRO)
            whole.append((built + ran) / (size / per_step) / await bench.unit())
        printed = timed(lambda: dump(fingerprint(last)))[1] if last is not None else 0  # noqa: B023  # called here
        building.rows.append([title, *cells, printed / (SIZES[-1] / per_step) * MICRO])
        running.rows.append([title, *whole, whole[-1] / whole[0]])
        bench.figures[f"growth {title}"] = whole[-1] / whole[0]
        bench.figures[f"edge {title}"] = max(cells)
    mapped = [await items(bench, size) for size in SIZES]
    running.rows.append(["a map (one step in the graph)", *mapped, mapped[-1] / mapped[0]])
    bench.figures["growth a map"] = mapped[-1] / mapped[0]
    return [building, running]


async def once(bench: Bench, make: Callable[[int], Made], size: int) -> tuple[Made, float, float]:
    """The graph, and CPU seconds of building and of running it: the smaller ones several times, and the median."""
    times = max(1, min(bench.rounds, SIZES[-1] // size // 5))
    built: list[float] = []
    ran: list[float] = []
    for _ in range(times):
        made, seconds = timed(lambda: make(size))
        built.append(seconds)
        assert isinstance(made, Node)
        args = (0,) if made.signature.parameters else ()
        gc.collect()
        begin = time.process_time()
        await bench.swarm.run(made, *args)
        ran.append(time.process_time() - begin)
    return made, sorted(built)[times // 2], sorted(ran)[times // 2]


async def items(bench: Bench, size: int) -> float:
    """A map over so many items, in raw tasks."""
    run = bench.ours.running(map_of(same), list(range(size)))
    ratios = await bench.compare({"map": (run, size)}, rounds=max(1, min(bench.rounds, SIZES[-1] // size // 5)))
    return ratios["map"]
