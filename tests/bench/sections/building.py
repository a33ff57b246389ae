"""Large graphs: what building, checking and running cost, and whether that grows with their size."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmlet import Node
from swarmlet.graph.fingerprint import dump, fingerprint
from tests.bench.ours import chain_of, increment, layers_of, map_of, same, wired_fan
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench

SIZES = (1_000, 10_000, 100_000)
WIDTH = 10


@dataclass(frozen=True)
class Shape:
    """A kind of graph: how one of so many edges is made, how many edges a step has, and the arguments of its runs."""

    title: str
    make: Callable[[int], Node[..., int]]
    edges: int = 1
    args: tuple[object, ...] = ()


def _chain(size: int) -> Node[..., int]:
    return chain_of(increment, size)


def _layers(size: int) -> Node[..., int]:
    return layers_of(size // WIDTH // WIDTH, WIDTH)


SHAPES = (
    Shape("a chain", _chain, args=(0,)),
    Shape("calls in the graph and a join", wired_fan),
    Shape(f"layers of {WIDTH}, a tenth of the steps", _layers, edges=WIDTH),
)


async def section(bench: Bench) -> list[Table]:
    """A graph of so many edges, or a map of so many items."""
    heads = [f"{size:,}" for size in SIZES]
    building = Table("Building and checking an edge, in raw anyio tasks", ["edges", *heads, "a step's fingerprint"])
    running = Table("A step, building and checking included, in raw anyio tasks", ["steps", *heads, "last over first"])
    for shape in SHAPES:
        printed = 0.0
        cells: list[float] = []
        whole: list[float] = []
        for size in SIZES:
            times = await once(bench, shape, size)
            printed = times.printed if size == SIZES[1] else printed
            cells.append(times.built / size)
            whole.append((times.built + times.ran) * shape.edges / size)
        building.rows.append([shape.title, *cells, printed * shape.edges / SIZES[1]])
        running.rows.append([shape.title, *whole, whole[-1] / whole[0]])
        bench.figures[f"growth {shape.title}"] = whole[-1] / whole[0]
        bench.figures[f"edge {shape.title}"] = max(cells)
    mapped = [await items(bench, size) for size in SIZES]
    running.rows.append(["a map (one step in the graph)", *mapped, mapped[-1] / mapped[0]])
    bench.figures["growth a map"] = mapped[-1] / mapped[0]
    building.notes.append("Fingerprints are made once a graph, for journals; of the middle size.")
    return [building, running]


@dataclass
class Times:
    """CPU in raw tasks: of building and checking, of running, and of the fingerprint."""

    built: float
    ran: float
    printed: float


async def once(bench: Bench, shape: Shape, size: int) -> Times:
    """Medians over several graphs; fewer of the large ones."""
    units: list[float] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(max(1, min(bench.rounds, SIZES[-1] // size // 5))):
        units += [await bench.unit() for _ in range(2)]
        gc.collect()
        marks = [time.process_time()]
        made = shape.make(size)
        marks.append(time.process_time())
        await bench.swarm.run(made, *shape.args)
        marks.append(time.process_time())
        if size == SIZES[1]:
            dump(fingerprint(made))
        marks.append(time.process_time())
        taken.append((marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]))
        units += [await bench.unit() for _ in range(2)]
    unit = statistics.median(units)
    built, ran, printed = (statistics.median(column) / unit for column in zip(*taken, strict=True))
    return Times(built, ran, printed)


async def items(bench: Bench, size: int) -> float:
    """A map over so many items, in raw tasks."""
    run = bench.ours.running(map_of(same), list(range(size)))
    ratios = await bench.compare({"map": (run, size)})
    return ratios["map"]
