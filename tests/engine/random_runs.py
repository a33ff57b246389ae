"""Runs of random nodes in virtual time and in real time, and what holds of the record and of the errors of every run."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import anyio
import trio
import trio.testing
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, assume, settings

from swarmlet import NoQuorum, StepFailed
from swarmlet.engine.cashier import Cashier
from swarmlet.engine.people import Desk
from swarmlet.errors import DeadlineExceeded, RoundsExhausted, RunError
from swarmlet.swarm.running import Running
from swarmlet.trace.events import StepEnded, StepStarted
from swarmlet.trace.record import Recorder
from tests.engine.naive import Err
from tests.engine.outcomes import Oracle, TooMany
from tests.engine.random_nodes import Boom, Builder, World, under
from tests.engine.random_specs import HUGE, Spec, name_of

T = TypeVar("T")
EXAMPLES = int(os.environ.get("SWARMLET_EXAMPLES", "0"))
many = settings(
    deadline=None,
    max_examples=EXAMPLES or 200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


async def no_flush() -> None:
    """There is no journal."""


def begin(of: object, value: int) -> Running:
    recorder = Recorder(cast("Any", "run"), resumable=True)
    return Running(
        node=cast("Any", of),
        args=(value,),
        kwargs={},
        recorder=recorder,
        resources={},
        flush=no_flush,
        cashier=Cashier(),
        account=None,
        desk=Desk(recorder),
    )


def started(running: Running) -> list[str]:
    return [event.path for event in running.trace.events if isinstance(event, StepStarted)]


def ended(running: Running) -> list[str]:
    return [event.path for event in running.trace.events if isinstance(event, StepEnded)]


def check_over(world: World) -> None:
    """Nothing of the run is alive, and it has kept its bounds."""
    assert world.running == set(), world.running
    assert world.open_sources == 0, world.open_sources
    assert world.problems == [], world.problems


def check_trace(running: Running, world: World) -> None:
    """The record of a run that has ended, however it did."""
    check_over(world)
    trace, begun = running.trace, started(running)
    assert sorted(ended(running)) == sorted(begun)
    assert len(set(begun)) == len(begun), [path for path, count in Counter(begun).items() if count > 1]
    assert set(world.started) <= set(begun)
    for path in begun:
        step = trace.step(path)
        assert step.started is not None
        assert step.ended is not None
        assert step.state in ("finished", "failed", "cancelled")
        assert step.seconds is not None
    assert trace.ended is not None
    assert trace.root.walk()
    assert {step.path for step in trace.steps()} == set(begun)


def check_error(error: BaseException, running: Running) -> None:
    """What leaves a run has a path and the run."""
    assert isinstance(error, RunError), repr(error)
    assert error.run is not None
    assert error.run.trace.events == running.trace.events
    assert under(running.node.name, error.path)


def check_cause(error: BaseException | None, wanted: Err) -> None:
    """An error is the one that the interpreter foretells, with its causes in order."""
    kinds = {"DeadlineExceeded": DeadlineExceeded, "RoundsExhausted": RoundsExhausted, "NoQuorum": NoQuorum}
    assert type(error) is kinds.get(wanted.kind, StepFailed)
    assert isinstance(error, RunError)
    assert error.path == wanted.path
    cause = error.__cause__
    if wanted.kind == "Boom":
        assert isinstance(cause, Boom)
        assert cause.args == (wanted.path,)
    elif len(wanted.causes) == 1:
        check_cause(cause, wanted.causes[0])
    elif wanted.causes:
        assert isinstance(cause, ExceptionGroup)
        group = cast("ExceptionGroup[Exception]", cause)
        assert len(group.exceptions) == len(wanted.causes)
        for one, other in zip(group.exceptions, wanted.causes, strict=True):
            check_cause(one, other)


@dataclass
class Ran:
    """A run in virtual time."""

    running: Running
    world: World
    output: int | None
    error: BaseException | None
    at: float
    cancelled: bool


def possible(spec: Spec, value: int, oracle: Oracle) -> frozenset[int | None]:
    """What may come out of a spec; where that is too much, it is no example."""
    try:
        return oracle.could(spec, value, name_of(spec))
    except TooMany:
        assume(False)
        raise


def virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in virtual time: nobody really waits."""
    return cast("T", cast("Any", trio.run)(main, clock=trio.testing.MockClock(autojump_threshold=0)))


def in_virtual_time(spec: Spec, value: int, oracle: Oracle, stop: float | None = None) -> Ran:
    async def main() -> Ran:
        began = trio.current_time()

        async def wait(path: str, seconds: float) -> None:
            await trio.sleep(seconds)

        world = World(wait, bounds=oracle.bounds, items=oracle.items, now=lambda: trio.current_time() - began)
        running = begin(Builder(world).node(spec), value)
        output: int | None = None
        error: BaseException | None = None
        tasks = trio.lowlevel.current_statistics().tasks_living
        with trio.fail_after(HUGE * 100), trio.move_on_after(HUGE * 99 if stop is None else stop) as scope:
            try:
                output = cast("int", await running.execute())
            except Exception as caught:  # noqa: BLE001  # it is looked at below
                error = caught
        check_over(world)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert stop is not None or not scope.cancelled_caught, "it hangs"
        return Ran(running, world, output, error, trio.current_time() - began, scope.cancelled_caught)

    return virtually(main)


class Doors:
    """Leaves wait here until they are let through, in random order."""

    def __init__(self, seed: int) -> None:
        self.waiting: dict[str, anyio.Event] = {}
        self.random = random.Random(seed)

    async def wait(self, path: str, seconds: float) -> None:
        door = self.waiting[path] = anyio.Event()
        try:
            await door.wait()
        finally:
            self.waiting.pop(path, None)

    async def open(self) -> None:
        while True:
            for _ in range(self.random.choice([1, 1, 3, 8])):
                await checkpoint()
            for _ in range(self.random.choice([1, 1, 1, 2, 9])):
                if self.waiting:
                    self.waiting.pop(self.random.choice(sorted(self.waiting))).set()
            if not self.waiting:
                await anyio.sleep(0.0002)


async def in_any_order(spec: Spec, value: int, oracle: Oracle, seed: int, stopped: bool) -> Ran:
    doors = Doors(seed)
    world = World(doors.wait, real=True, bounds=oracle.bounds, items=oracle.items)
    running = begin(Builder(world).node(spec), value)
    output: int | None = None
    error: BaseException | None = None
    stops = random.Random(seed)
    scope = anyio.CancelScope()
    before = after = 0

    async def stop(scope: anyio.CancelScope) -> None:
        for _ in range(stops.randrange(60)):
            await checkpoint()
        scope.cancel()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(doors.open)
            before = tasks_now() + stopped
            with scope:
                if stopped:
                    group.start_soon(stop, scope)
                try:
                    output = cast("int", await running.execute())
                except Exception as caught:  # noqa: BLE001  # it is looked at by the caller
                    error = caught
            check_over(world)
            after = tasks_now()
            group.cancel_scope.cancel()
    assert after <= before
    return Ran(running, world, output, error, 0.0, scope.cancelled_caught)


def tasks_now() -> int:
    """How many tasks there are."""
    if "trio" in sys.modules:
        try:
            return trio.lowlevel.current_statistics().tasks_living
        except RuntimeError:
            pass
    return len(asyncio.all_tasks())
