"""The driver: executes what a scheduler hands out.

Workers take ready steps from the scheduler's queue. A worker that is about to run a step while others wait starts one more
worker first, so there are never more tasks than steps that really wait, and a chain runs in one task from end to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, final

import anyio
from anyio.lowlevel import checkpoint

from swarmlet.engine.frame import END, Pull, Sleep
from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Drained, Faulted, Finished, Step, together
from swarmlet.engine.stray import stray_cancellation
from swarmlet.graph.shape import Leaf
from swarmlet.trace.events import Decided, StepNotStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from anyio.abc import TaskGroup

    from swarmlet.engine.context import RunState
    from swarmlet.engine.frame import Errand, Frame
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope

_CLOSING = 5
"""Seconds that a source which is no longer read may take to close."""
_FAIR_SHARE = 0.005
"""Seconds after which steps that never wait let other tasks of the event loop have a turn."""


async def execute(
    node: AnyNode,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    path: str,
    scope: Scope,
    state: RunState,
) -> object:
    """Run `node` at `path` and give its result. Raises a `RunError`, or a group of them if several steps failed."""
    if not isinstance(node.shape, Leaf) and node.options.empty:
        return await drive(node, args, kwargs, path, scope, state)
    outcome = await state.runner.run(Step(path, node, args, kwargs, scope))
    if isinstance(outcome, Faulted):
        raise outcome.error
    return outcome.value


async def drive(
    node: AnyNode,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    path: str,
    scope: Scope,
    state: RunState,
) -> object:
    """Run the inside of `node`, whatever its own options are. When this returns or raises, nothing of it is alive.

    Raises `Drained` if the swarm is being drained and the node is not done with what runs already.
    """
    scheduler = Scheduler(node, args, kwargs, path, scope)
    driver = _Driver(scheduler, state, drains=not scope.dynamic)
    driver.record()
    if not scheduler.over:
        await driver.run()
    if scheduler.failures:
        raise together(path, scheduler.failures)
    if scheduler.done:
        return scheduler.output
    if not state.draining:
        raise AssertionError(f"this is a bug in swarmlet: nothing is left to run in {path!r}, and it is not done")
    driver.record_not_started()
    raise Drained


@final
class _Driver:
    """Drives one scheduler in one task group."""

    def __init__(self, scheduler: Scheduler, state: RunState, *, drains: bool) -> None:
        self._scheduler = scheduler
        self._state = state
        self._runner = state.runner
        self._now = state.monotonic
        self._drains = drains
        self._spare = False
        self._busy = 0
        self._sources: list[AsyncIterator[object]] = []
        self._yielded = self._now()

    async def run(self) -> None:
        self._scheduler.moment.at = self._now()
        stopped: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                self._send_errands(group)
                await self._work(group)
        except BaseExceptionGroup as error:
            stopped = stopper(error)
        finally:
            if self._sources:
                await close_all(self._sources)
        if stopped is not None:
            raise stopped

    def record(self) -> None:
        """Put the scheduler's decisions into the record."""
        recorder = self._state.recorder
        while self._scheduler.decisions:
            made = self._scheduler.decisions.popleft()
            reason = made.reason if recorder.capture else ""
            recorder.emit(Decided(at=recorder.now(), path=made.path, by=made.by, chosen=made.chosen, reason=reason))

    def record_not_started(self) -> None:
        """Put the steps into the record that were ready and will not be started."""
        recorder = self._state.recorder
        for step in self._scheduler.ready:
            recorder.emit(StepNotStarted(at=recorder.now(), path=step.path, node=step.node.origin))

    async def _spare_work(self, group: TaskGroup) -> None:
        self._spare = False
        await self._work(group)

    async def _work(self, group: TaskGroup) -> None:
        scheduler = self._scheduler
        while scheduler.ready and not scheduler.over and not (self._drains and self._state.draining):
            step = scheduler.ready.popleft()
            if scheduler.ready and not self._spare:
                self._spare = True
                group.start_soon(self._spare_work, group)
            self._busy += 1
            try:
                outcome = await self._runner.run(step)
            except Drained:
                continue  # it stays unfinished, and so does this node
            finally:
                self._busy -= 1
            if isinstance(outcome, Finished):
                scheduler.step_finished(step, outcome.value)
            else:
                scheduler.step_failed(step, outcome.error)
            self._after(group)
            await self._be_fair()

    def _after(self, group: TaskGroup) -> None:
        """Do what the scheduler wants, now that it was told something."""
        scheduler = self._scheduler
        if scheduler.decisions:
            self.record()
        if scheduler.failures:
            group.cancel_scope.cancel("a step failed")
        elif scheduler.done and self._busy:
            group.cancel_scope.cancel("the outcome is fixed")
        elif scheduler.errands:
            self._send_errands(group)
        scheduler.moment.at = self._now()

    def _send_errands(self, group: TaskGroup) -> None:
        while self._scheduler.errands:
            frame, errand = self._scheduler.errands.popleft()
            self._busy += 1
            if isinstance(errand, Pull) and errand.source not in self._sources:
                self._sources.append(errand.source)
            group.start_soon(self._run_errand, group, frame, errand)

    async def _run_errand(self, group: TaskGroup, frame: Frame, errand: Errand) -> None:
        try:
            with self._state.until_drained(heeded=self._drains) as scope:
                self._scheduler.errand_done(frame, await _carry_out(errand))
            if scope.cancelled_caught:
                return
        except Exception as error:  # noqa: BLE001  # whatever a user's source raises is the failure of what asked for it
            self._scheduler.errand_failed(frame, error)
        finally:
            self._busy -= 1
        self._after(group)
        await self._work(group)

    async def _be_fair(self) -> None:
        if self._now() - self._yielded > _FAIR_SHARE:
            await checkpoint()
            self._yielded = self._now()


async def _carry_out(errand: Errand) -> object:
    if isinstance(errand, Sleep):
        await anyio.sleep(errand.seconds)
        return None
    try:
        return await anext(errand.source, END)
    except BaseException as error:
        if (failure := stray_cancellation(error)) is None:
            raise
        raise failure from error


async def close_all(sources: Sequence[AsyncIterator[object]]) -> None:
    """Close async generators that were not gone through to the end, so that their `finally` runs now, and not some time."""
    with anyio.move_on_after(_CLOSING, shield=True):
        for source in sources:
            if (aclose := getattr(source, "aclose", None)) is not None:
                await aclose()


def stopper(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to raise for what a task group gave: its first error that is no cancellation.

    Failures of steps are outcomes and never get here, so it is what stops a program: `KeyboardInterrupt`, `SystemExit`.
    """
    _, rest = group.split(anyio.get_cancelled_exc_class())
    first: BaseException = (rest or group).exceptions[0]
    return stopper(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first
