"""The driver: executes what a scheduler hands out.

Workers take ready steps from the scheduler's queue. A worker that is about to run a step while others wait starts one more
worker first, so there are never more tasks than steps that really wait, and a chain runs in one task from end to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, final

import anyio
from anyio.lowlevel import checkpoint

from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Faulted, Finished, Step, together
from swarmlet.graph.shape import Leaf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import TaskGroup

    from swarmlet.engine.context import RunState
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope

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
    """Run the inside of `node`, whatever its own options are. When this returns or raises, nothing of it is alive."""
    scheduler = Scheduler(node, args, kwargs, path, scope)
    if not scheduler.failures and not scheduler.done:
        await _Driver(scheduler, state).run()
    if scheduler.failures:
        raise together(path, scheduler.failures)
    if not scheduler.done:
        raise AssertionError(f"this is a bug in swarmlet: nothing is left to run in {path!r}, and it is not done")
    return scheduler.output


@final
class _Driver:
    """Drives one scheduler in one task group."""

    def __init__(self, scheduler: Scheduler, state: RunState) -> None:
        self._scheduler = scheduler
        self._runner = state.runner
        self._now = state.monotonic
        self._spare = False
        self._yielded = self._now()

    async def run(self) -> None:
        self._scheduler.moment.at = self._now()
        stopped: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                await self._work(group)
        except BaseExceptionGroup as error:
            stopped = stopper(error)
        if stopped is not None:
            raise stopped

    async def _spare_work(self, group: TaskGroup) -> None:
        self._spare = False
        await self._work(group)

    async def _work(self, group: TaskGroup) -> None:
        scheduler = self._scheduler
        while scheduler.ready and not scheduler.failures:
            step = scheduler.ready.popleft()
            if scheduler.ready and not self._spare:
                self._spare = True
                group.start_soon(self._spare_work, group)
            outcome = await self._runner.run(step)
            if isinstance(outcome, Finished):
                scheduler.step_finished(step, outcome.value)
            else:
                scheduler.step_failed(step, outcome.error)
            if scheduler.failures:
                group.cancel_scope.cancel("a step failed")
            scheduler.moment.at = self._now()
            await self._be_fair()

    async def _be_fair(self) -> None:
        if self._now() - self._yielded > _FAIR_SHARE:
            await checkpoint()
            self._yielded = self._now()


def stopper(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to raise for what a task group gave: its first error that is no cancellation.

    Failures of steps are outcomes and never get here, so it is what stops a program: `KeyboardInterrupt`, `SystemExit`.
    """
    _, rest = group.split(anyio.get_cancelled_exc_class())
    first: BaseException = (rest or group).exceptions[0]
    return stopper(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first
