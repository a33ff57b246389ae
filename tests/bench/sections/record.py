"""What the trace costs, and where the time of a step goes otherwise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

from swarmlet import Node, Swarm
from swarmlet.engine.driver import drive, execute
from swarmlet.engine.run_state import RunState
from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Finished, Outcome, Step
from swarmlet.graph.shape import AnyNode, Leaf
from swarmlet.policy.options import Scope
from swarmlet.trace.events import RunId
from swarmlet.trace.record import Recorder
from tests.bench.ours import Ours, chain_of, increment, map_of, same
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench
    from tests.bench.peers.harness import Run

STEPS = 1_000


def called(step: Step) -> object:
    """The result of a step, by calling its function and nothing else."""
    return cast("Leaf", step.node.shape).call(*step.args, **step.kwargs)


@final
class Bare:
    """A runner that only calls the function: no record, no options, no context."""

    async def run(self, step: Step) -> Outcome:
        return Finished(called(step))


def scheduler_alone(made: AnyNode, *args: object) -> Run:
    """The pure scheduler, told at once what each step gave."""

    async def run() -> None:
        scheduler = Scheduler(made, args, {}, made.name, Scope())
        while scheduler.ready:
            step = scheduler.ready.popleft()
            scheduler.step_finished(step, called(step))
        assert scheduler.done

    return run


def bare_driver(made: AnyNode, *args: object) -> Run:
    """Scheduler and driver, with a runner that only calls the function."""

    async def run() -> None:
        state = RunState(Recorder(RunId("bare")), Bare(), execute, {})
        await drive(made, args, {}, made.name, Scope(), state)

    return run


async def section(bench: Bench) -> list[Table]:
    """The same graph with more and more of the engine around it."""
    shapes: dict[str, tuple[Node[..., int], object]] = {
        "chain 1,000": (chain_of(increment, STEPS), 0),
        "map 1,000": (map_of(same), list(range(STEPS))),
    }
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Swarm(capture=False) as blind,
            Swarm(journal=Path(folder) / "journal.sqlite") as durable,
            Swarm(journal=Path(folder) / "blind.sqlite", capture=False) as durable_blind,
        ):
            ways: dict[str, Callable[..., Run]] = {
                "the scheduler alone": scheduler_alone,
                "and the driver": bare_driver,
                "a run, `capture=False`: times and paths are recorded": Ours(blind).running,
                "a run: inputs and outputs too, in memory": bench.ours.running,
                "`capture=False`, and a SQLite journal": Ours(durable_blind).running,
                "a run with a SQLite journal": Ours(durable).running,
            }
            table = Table(
                "What is around a step's function, in raw anyio tasks", ["", *shapes, *(f"{one}, us" for one in shapes)]
            )
            runs = {
                f"{shape} {way}": (make(made, argument), STEPS)
                for shape, (made, argument) in shapes.items()
                for way, make in ways.items()
            }
            ratios = await bench.compare(runs)
    unit = sorted(bench.units)[len(bench.units) // 2] * 1e6
    for way in ways:
        cells = [ratios[f"{shape} {way}"] for shape in shapes]
        table.rows.append([way, *cells, *(cell * unit for cell in cells)])
    bench.figures |= {f"around {name}": value for name, value in ratios.items()}
    bench.figures["unit us"] = unit
    return [table]
