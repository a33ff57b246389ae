"""The driver: executes what a scheduler hands out.

Workers take ready steps from the scheduler's queue. A worker whose step has to wait, while there is more to start, has one
more worker started first, so there are never more tasks than steps that really wait, and a chain runs in one task.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, cast, final

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from swarmlet.engine.early import begin_early, drop, forget
from swarmlet.engine.errands import Drop, Early
from swarmlet.engine.frame import Left, Pull, Sleep
from swarmlet.engine.reader import Reader
from swarmlet.engine.run_state import FAIR_SHARE
from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Drained, Faulted, Finished, Step, Unfinished, paths_of, ran_out, together
from swarmlet.graph.shape import Leaf
from swarmlet.trace.events import Decided, Noted, StepNotStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from anyio.abc import TaskGroup

    from swarmlet.engine.frame import Frame
    from swarmlet.engine.recall import Recall
    from swarmlet.engine.run_state import RunState
    from swarmlet.engine.step import Outcome
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope


async def sheltered(work: Callable[[], Awaitable[object]]) -> object:
    """Await `work` in a task of its own, so that the caller's task does nothing but wait for it.

    asyncio tells a task once that it is cancelled. Told to the one step that the caller's task happens to run, a cancel would
    be lost if that step swallows it or fails over it. So it cancels a scope, which reaches everything inside, for good.
    """
    result: list[object] = []
    failure: list[BaseException] = []

    async def run() -> None:
        try:
            result.append(await work())
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001  # raised below, in the caller's task
            failure.append(error)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
    finally:
        if failure:  # also where the work was cancelled and has failed over that
            raise failure[0]
    return result[0]


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
    step = Step(path, node, args, kwargs, scope)
    if state.recall is not None and (known := state.recall.outcome(step)):
        _, outcome = known
        state.recall.take(step, outcome)
    else:
        outcome = state.runner.now(step) or await state.runner.run(step)
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

    Raises `Drained` if the swarm is being drained and the node is not done with what runs already, and `Waiting` if it is
    not done without a person's answer.
    """
    scheduler = Scheduler(node, args, kwargs, path, scope, at=state.recorder.now(), whole=state.recall is not None)
    driver = _Driver(scheduler, state, scope)
    driver.record()
    if not scheduler.over:
        try:
            await driver.run()
        except BaseException:
            state.unseen.update(dict.fromkeys(paths_of(scheduler.failures)))
            if state.draining:  # it took too long
                driver.record_not_started()
            raise
    if scheduler.failures:
        if driver.stopped:
            driver.record_not_started()
        raise together(path, scheduler.failures)
    if scheduler.done:
        return scheduler.output
    if driver.waits is not None and not driver.stopped:
        raise driver.waits
    if not driver.stopped:
        raise AssertionError(f"this is a bug in swarmlet: nothing is left to run in {path!r}, and it is not done")
    driver.record_not_started()
    raise Drained


@final
class _Driver:
    """Drives one scheduler in one task group."""

    def __init__(self, scheduler: Scheduler, state: RunState, scope: Scope) -> None:
        self._scheduler = scheduler
        self._state = state
        self._runner = state.runner
        self._now = state.recorder.now
        self._drains = not scope.dynamic
        self._harvests = scope.harvests
        self._recall = state.recall
        self.waits: Unfinished | None = None
        """Set if a step here is left unfinished."""
        self._spare = False
        self._busy = 0
        self._readers: dict[int, Reader] = {}
        self._early: list[tuple[Frame, Early, anyio.CancelScope]] = []
        self._yielded = self._now()

    async def run(self) -> None:
        stopped: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                try:
                    self._after(group)
                    await self._work(group)
                except anyio.get_cancelled_exc_class() as cancelled:
                    # anyio's task group swallows a native `Task.cancel` that meets a cancelled scope inside
                    stopped = None if group.cancel_scope.cancel_called else cancelled
                    raise
        except BaseExceptionGroup as error:
            stopped = stopper(error)
        finally:
            self._scheduler.hear = None  # else it and the scheduler hold one another
        if stopped is not None:
            raise stopped

    @property
    def stopped(self) -> bool:
        """Whether no more steps are to be started, though nothing has failed here."""
        if self._state.draining and self._drains:
            return True
        return bool(self._harvests) and any(harvest.over for harvest in self._harvests)

    def record(self) -> None:
        """Put the scheduler's decisions into the record."""
        recorder = self._state.recorder
        while self._scheduler.decisions:
            made = self._scheduler.decisions.popleft()
            if self._recall is not None and self._recall.past.decided(made.path, made.by, made.chosen):
                continue  # it stands in the record already
            reason = made.reason if recorder.capture else ""
            recorder.emit(Decided(at=recorder.now(), path=made.path, by=made.by, chosen=made.chosen, reason=reason))

    def record_not_started(self) -> None:
        """Put the steps into the record that would have come next and will not be started."""
        recorder = self._state.recorder
        for path, node in self._scheduler.not_started():
            recorder.emit(StepNotStarted(at=recorder.now(), path=path, node=node.origin))

    async def _spare_work(self, group: TaskGroup) -> None:
        await checkpoint_if_cancelled()  # else one step after another would still be begun
        self._spare = False
        await self._work(group)

    async def _work(self, group: TaskGroup) -> None:
        scheduler, runner, ready = self._scheduler, self._runner, self._scheduler.ready
        while (ready or self._refilled(group)) and not (scheduler.done or scheduler.failures or self.stopped):
            step = ready.popleft()
            try:
                if (outcome := runner.now(step)) is None:
                    self._need_workers(group)
                    self._busy += 1
                    try:
                        outcome = await runner.run(step)
                    finally:
                        self._busy -= 1
            except Unfinished as why:
                self.waits = why
                continue  # it stays unfinished, and so does this node
            if isinstance(outcome, Finished):
                scheduler.step_finished(step, outcome.value, runner.at)
            else:
                scheduler.step_failed(step, outcome.error, runner.at)
            self._after(group)
            if runner.at - self._yielded > FAIR_SHARE:
                await checkpoint()
                self._yielded = self._now()

    def _refilled(self, group: TaskGroup) -> bool:
        """Have the next helping. Whether something is ready then."""
        scheduler = self._scheduler
        if scheduler.has_more and not self.stopped:
            scheduler.refill()
            self._after(group)
        return bool(scheduler.ready)

    def _after(self, group: TaskGroup) -> None:
        """Do what the scheduler wants, now that it was told something."""
        scheduler = self._scheduler
        if self._recall is not None:
            self._remember(self._recall)
        if scheduler.decisions:
            self.record()
        if scheduler.failures or scheduler.done or scheduler.errands:
            self._act(group)

    def _act(self, group: TaskGroup) -> None:
        scheduler = self._scheduler
        ended = next((one for one in self._harvests if ran_out(scheduler.failures, one.scope)), None)
        if scheduler.failures and ended is not None:
            ended.end()  # what runs is paid for, so it may finish
        elif scheduler.failures:
            group.cancel_scope.cancel("a step failed")
        elif scheduler.done and self._busy:
            group.cancel_scope.cancel("the outcome is fixed")
        elif scheduler.errands:
            self._send_errands(group)

    def _remember(self, recall: Recall) -> None:
        """Settle the ready steps whose outcome is in the record, and those that become ready by that: in its order."""
        ready = self._scheduler.ready
        known: list[tuple[int, int, Step, Outcome]] = []
        while True:
            fresh: list[Step] = []
            while ready and not ready[-1].looked_up:
                fresh.append(ready.pop())
            for step in reversed(fresh):
                step.looked_up = True
                if (found := recall.outcome(step)) is None:
                    ready.append(step)
                else:
                    heappush(known, (found[0], len(known), step, found[1]))
            if not known or self._scheduler.over:
                return
            _, _, step, outcome = heappop(known)
            recall.take(step, outcome)
            self._tell(step, outcome)

    def _tell(self, step: Step, outcome: Outcome) -> None:
        if isinstance(outcome, Finished):
            self._scheduler.step_finished(step, outcome.value, self._now())
        else:
            self._scheduler.step_failed(step, outcome.error, self._now())

    def _send_errands(self, group: TaskGroup) -> None:
        while self._scheduler.errands:
            frame, errand = self._scheduler.errands.popleft()
            if isinstance(errand, Sleep):
                self._busy += 1
                group.start_soon(self._run_errand, group, frame, partial(self._sleep, frame, errand.seconds))
            elif isinstance(errand, Pull):
                if reader := self._readers.get(id(frame)):
                    reader.wanted.set()
                else:
                    self._start_reading(group, frame, errand.source)
            elif isinstance(errand, Early):
                self._start_early(group, frame, errand)
            elif isinstance(errand, Drop):
                drop(errand, self._state.recorder)
            else:
                self._scheduler.hear = partial(self._hear, group)

    def _hear(self, group: TaskGroup, frame: Frame, news: object) -> None:
        self._scheduler.errand_done(frame, news, self._now())
        self._after(group)
        self._need_workers(group)

    def _start_early(self, group: TaskGroup, frame: Frame, early: Early) -> None:
        if self.stopped:
            self._scheduler.ready.append(early.step)  # it is told among those that were not started
            return
        scope = anyio.CancelScope()
        early.stop = partial(scope.cancel, "it is not wanted any more")
        self._busy += 1
        self._early.append((frame, early, scope))
        group.start_soon(self._run_early, group)

    async def _run_early(self, group: TaskGroup) -> None:
        frame, early, scope = self._early.pop(0)  # trio starts tasks in any order
        outcome: Outcome | None = None
        left = Left(early.step.key)
        try:
            with scope:
                outcome = await begin_early(early, self._state)
        except Unfinished as why:
            if not scope.cancel_called:
                self.waits, early.stop = why, partial(self._hear, group, frame, left)
        finally:
            self._busy -= 1
        if scope.cancel_called:
            forget(early.step)  # what it has given in spite of that
            self._hear(group, frame, left)
        elif outcome is not None:
            if isinstance(outcome, Finished):
                self._scheduler.step_finished(early.step, outcome.value, self._now())
            else:
                self._scheduler.step_failed(early.step, outcome.error, self._now())
            self._after(group)
            self._need_workers(group)

    def _start_reading(self, group: TaskGroup, frame: Frame, source: AsyncIterator[object]) -> None:
        reader = self._readers[id(frame)] = Reader(source, frame)
        reader.wanted.set()
        self._busy += 1
        group.start_soon(self._run_errand, group, frame, partial(self._read, group, reader))

    async def _sleep(self, frame: Frame, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._scheduler.errand_done(frame, None, self._now())

    async def _read(self, group: TaskGroup, reader: Reader) -> None:
        path, recorder = reader.frame.path, self._state.recorder
        self._state.claim(reader.source, path)
        hear = partial(self._hear, group, reader.frame)
        await reader.read(hear, lambda message: recorder.emit(Noted(at=recorder.now(), path=path, message=message)))

    async def _run_errand(self, group: TaskGroup, frame: Frame, errand: Callable[[], Awaitable[None]]) -> None:
        """Run an errand to its end; it is stopped when nothing new may be started."""
        try:
            with self._state.until_drained(heeded=self._drains, harvests=self._harvests):
                await errand()
        except Exception as error:  # noqa: BLE001  # whatever a user's source raises is the failure of what asked for it
            self._scheduler.errand_failed(frame, error)
        finally:
            self._busy -= 1
        self._after(group)
        self._need_workers(group)

    def _need_workers(self, group: TaskGroup) -> None:
        if not self._spare and self._scheduler.has_more:
            self._spare = True
            group.start_soon(self._spare_work, group)


def stopper(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to raise for what a task group gave: what stops a program (`KeyboardInterrupt`, `SystemExit`) before anything else.

    Failures of steps are outcomes and never get here. Cancellations are left to those who cancelled.
    """
    _, rest = group.split(anyio.get_cancelled_exc_class())
    stops, _ = (rest or group).split(lambda error: not isinstance(error, Exception | BaseExceptionGroup))
    first: BaseException = (stops or rest or group).exceptions[0]
    return stopper(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first
