"""What the trace costs, and where the time of a step goes otherwise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

from swarmlet import Node, Swarm
from swarmlet.engine.context import Current, enter
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
UNTRACED = "and a context for each step: a run without a record"
LEAST = "a run, `capture=False`: times and paths are recorded"
DURABLE = "a run with a SQLite journal"


def called(step: Step) -> object:
    """The result of a step, by calling its function and nothing else."""
    return cast("Leaf", step.node.shape).call(*step.args, **step.kwargs)


@final
class Bare:
    """A runner that only calls the function: no record, no options, no context."""

    at = 0.0

    def now(self, step: Step) -> Outcome | None:
        return Finished(called(step))

    async def run(self, step: Step) -> Outcome:
        return Finished(called(step))


@final
class Untraced:
    """As this process's runner calls a sync function, but without any record of it."""

    at = 0.0

    def __init__(self) -> None:
        self.state: RunState

    def now(self, step: Step) -> Outcome | None:
        context = copy_context()
        context.run(enter, Current(self.state, step.path, step.scope))
        return Finished(context.run(called, step))

    async def run(self, step: Step) -> Outcome:
        raise NotImplementedError


def scheduler_alone(made: AnyNode, *args: object) -> Run:
    """The pure scheduler, told at once what each step gave."""

    async def run() -> None:
        scheduler = Scheduler(made, args, {}, made.name, Scope())
        while scheduler.has_more:
            scheduler.refill()
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


def untraced(made: AnyNode, *args: object) -> Run:
    """Scheduler and driver, and a context for each step."""

    async def run() -> None:
        runner = Untraced()
        state = runner.state = RunState(Recorder(RunId("untraced")), runner, execute, {})
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
                UNTRACED: untraced,
                LEAST: Ours(blind).running,
                "a run: inputs and outputs too, in memory": bench.ours.running,
                "`capture=False`, and a SQLite journal": Ours(durable_blind).running,
                DURABLE: Ours(durable).running,
            }
            runs = {
                f"{shape} {way}": (make(made, argument), STEPS)
                for shape, (made, argument) in shapes.items()
                for way, make in ways.items()
            }
            ratios = await bench.compare(runs)
    unit = sorted(bench.units)[len(bench.units) // 2] * 1e6
    title = f"What is around a step's function, in raw anyio tasks (one is {unit:.0f} us here)"
    table = Table(title, ["", *shapes])
    table.rows = [[way, *(ratios[f"{shape} {way}"] for shape in shapes)] for way in ways]
    for name, way in (("trace durable", DURABLE), ("trace least", LEAST)):
        bench.figures[name] = ratios[f"chain 1,000 {way}"] - ratios[f"chain 1,000 {UNTRACED}"]
    return [table]
