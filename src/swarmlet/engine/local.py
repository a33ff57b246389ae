"""The `StepRunner` of this process: applies a node's options, tries as often as its policy says, records what happened."""

from __future__ import annotations

import math
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast, final

import anyio

from swarmlet.engine.calling import awaited, call_async, call_in_thread
from swarmlet.engine.context import Current, enter
from swarmlet.engine.driver import drive
from swarmlet.engine.gates import Lease, gate
from swarmlet.engine.keep import keep_result, keep_values
from swarmlet.engine.step import (
    Drained,
    Faulted,
    Finished,
    Outcome,
    Step,
    Unfinished,
    all_failed,
    as_failure,
    flat,
    unfinished_in,
)
from swarmlet.engine.stray import stray_cancellation
from swarmlet.errors import BudgetExceeded, DeadlineExceeded, StepFailed
from swarmlet.graph.effects import effects_in
from swarmlet.graph.shape import Leaf
from swarmlet.policy.account import Account
from swarmlet.policy.budget import Budget
from swarmlet.policy.retry import retried
from swarmlet.trace.events import Decided, Noted, StepEnded, StepNotStarted, StepRetried, StepStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from contextvars import Context

    from swarmlet.engine.run_state import RunState
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Options
    from swarmlet.policy.retry import Retry
    from swarmlet.trace.events import State

LEFT_IN_THREAD = "cancelled while its function ran in a thread: threads cannot be stopped, so it runs on"
DEEPEST = 100
"""How deep nodes may be nested that run in a scope of their own: a race in a race, a map that skips in a map that skips. Each
level takes about ten calls of Python's stack, which holds a thousand."""
LOOP_HELD = 0.05
"""Seconds for which a sync node may hold the event loop before it is reported."""


def time_left() -> float:
    """Seconds until the nearest deadline around this task; infinite without one."""
    return anyio.current_effective_deadline() - anyio.current_time()


@final
class LocalRunner:
    """Executes steps here and now."""

    def __init__(self) -> None:
        self.state: RunState

    async def run(self, step: Step) -> Outcome:
        """Execute `step`, with its start and its end in the record whatever happens."""
        if not step.scope.gates or not isinstance(step.node.shape, Leaf):
            return await self._recorded(step, None)
        lease = Lease(step.scope.gates)
        await lease.take()
        try:
            if step.scope.ended or (self.state.draining and not step.scope.dynamic):
                recorder = self.state.recorder
                recorder.emit(StepNotStarted(at=recorder.now(), path=step.path, node=step.node.origin))
                raise Drained
            return await self._recorded(step, lease)
        finally:
            lease.give()

    async def _recorded(self, step: Step, lease: Lease | None) -> Outcome:
        recorder, node = self.state.recorder, step.node
        ready = step.ready.at if step.ready else None
        waited = 0.0 if ready is None else max(0.0, self.state.monotonic() - ready)
        inputs, problems = keep_values(recorder, step.named_arguments(), node.encode_inputs)
        recorder.emit(StepStarted(at=recorder.now(), path=step.path, node=node.origin, inputs=inputs, waited=waited))
        self._note(step.path, *problems)
        try:
            value = await self._or_fallback(step, lease)
        except Exception as error:  # noqa: BLE001  # whatever a user's code raises is this step's outcome
            failure = as_failure(step.path, error)
            recorder.emit(StepEnded(at=recorder.now(), path=step.path, state="failed", error=recorder.fault(error)))
            return Faulted(failure)
        except BaseException as stop:
            state: State = "cancelled"
            if isinstance(stop, Unfinished):
                state = "drained" if isinstance(stop, Drained) else "suspended"
            recorder.emit(StepEnded(at=recorder.now(), path=step.path, state=state))
            raise
        output, note, problems = keep_result(recorder, value, node)
        self._note(step.path, *problems)
        recorder.emit(StepEnded(at=recorder.now(), path=step.path, state="finished", output=output, type=note))
        if step.scope.harvest is not None:
            step.scope.harvest.take(step.path, value)
        return Finished(value)

    async def _or_fallback(self, step: Step, lease: Lease | None) -> object:
        """The node's result, or else that of its fallback, which runs under the options around the node, not under its own."""
        if step.node.options.fallback is None:
            return await self._within_time(step, lease)
        recorder, fallback = self.state.recorder, cast("AnyNode", step.node.options.fallback)
        path, is_leaf = f"{step.path}/~{fallback.name}", isinstance(step.node.shape, Leaf)
        recall = self.state.recall
        chosen = recall is not None and recall.past.decided(step.path, "fallback", path)
        failure: Exception = StepFailed(step.path, "it had failed when its fallback was chosen")
        if not chosen:
            try:
                return await self._within_time(step, lease)
            except Exception as error:  # noqa: BLE001  # whatever it is: that is what a fallback is for
                failure = as_failure(step.path, error)
        if not chosen and not self._may_stand_in(fallback, step.path):
            raise failure
        if self.state.draining and not step.scope.dynamic and not is_leaf:
            recorder.emit(StepNotStarted(at=recorder.now(), path=path, node=fallback.origin))
            raise Drained
        reason = str(failure) if recorder.capture else ""
        if not chosen:
            recorder.emit(Decided(at=recorder.now(), path=step.path, by="fallback", chosen=path, reason=reason))
        scope = step.scope.within_step() if is_leaf else step.scope
        if lease:
            lease.give()  # for good: the step itself has nothing left to do
        try:
            return await self.state.execute(fallback, step.args, step.kwargs, path, scope, self.state)
        except Exception as error:  # noqa: BLE001  # as above
            both = all_failed(step.path, "it failed, and so did its fallback", [failure, *flat(error)])
            raise both from both.__cause__

    def _may_stand_in(self, fallback: AnyNode, path: str) -> bool:
        """Whether a fallback repeats nothing that has acted on the world already."""
        acted = self.state.acted.get(path)
        if not acted:
            return True
        again = acted.intersection(effect.tool for effect in effects_in(fallback))
        if again:
            self._note(path, f"its fallback is not run, as it could repeat what has acted on the world: {_listed(again)}")
        else:
            self._note(path, f"it has acted on the world before it failed, and its fallback runs after that: {_listed(acted)}")
        return not again

    async def _within_time(self, step: Step, lease: Lease | None) -> object:
        options = step.node.options
        if not options.limits_time:
            return await self._with_retries(step, lease)
        seconds, limit = self._time_for(options)
        if seconds == math.inf:
            return await self._with_retries(step, lease)
        if seconds <= 0:
            raise DeadlineExceeded(step.path, seconds, limit)
        with anyio.move_on_after(seconds) as scope:
            return await self._with_retries(step, lease)
        if scope.cancelled_caught and limit == "budget":
            raise BudgetExceeded(step.path, "seconds", seconds, seconds, 0, step.path)
        if scope.cancelled_caught:
            raise DeadlineExceeded(step.path, seconds, limit)
        raise AssertionError("this is a bug in swarmlet: a scope ended without result and without cancellation")

    def _time_for(self, options: Options) -> tuple[float, str]:
        """The seconds that a node with these options has, and which of them says so."""
        limits = {"timeout": options.timeout}
        if options.deadline is not None:
            limits["deadline"] = options.deadline.timestamp() - self.state.recorder.now()
        if options.reserve_seconds is not None:
            limits["reserve"] = time_left() - options.reserve_seconds
        if options.budget is not None:
            limits["budget"] = options.budget.seconds
        return min((seconds, name) for name, seconds in limits.items() if seconds is not None)

    async def _with_retries(self, step: Step, lease: Lease | None) -> object:
        options, shape = step.node.options, step.node.shape
        scope = (step.scope if options.fallback is None else step.scope.handled()).enter(options)
        if isinstance(options.reserve, Budget):
            scope = scope.keeping(options.reserve)
        if options.budget is not None:
            spent = self.state.recall.spent(step.path) if self.state.recall is not None else None
            scope = scope.spending(Account(step.path, options.budget, scope.account, spent=spent))
        if options.concurrency is not None:
            scope = scope.through(gate(options.concurrency))
        if not isinstance(shape, Leaf):
            scope = scope.deeper()
            if scope.depth > DEEPEST:
                raise StepFailed(step.path, f"nodes with scopes of their own are nested more than {DEEPEST} deep")
            return await drive(step.node, step.args, step.kwargs, step.path, scope, self.state)
        current = Current(self.state, step.path, scope, lease)
        if scope.retry is None or shape.retries_itself:
            return await self._call(shape, step, current)
        return await self._again_and_again(shape, step, current, scope.retry)

    async def _again_and_again(self, leaf: Leaf, step: Step, current: Current, policy: Retry) -> object:
        recorder, recall = self.state.recorder, self.state.recall
        earlier = recall.attempts(step.path) if recall is not None else 0
        if earlier:  # of the attempts that the policy allows, an earlier process has had some
            policy = replace(policy, attempts=max(policy.attempts - earlier, 1))

        def attempt(number: int) -> Coroutine[object, object, object]:
            fresh = Current(self.state, step.path, current.scope, current.lease)
            fresh.attempt = number + earlier
            return self._call(leaf, step, fresh)

        def note(number: int, error: BaseException, wait: float) -> None:
            why = recorder.fault(error)
            recorder.emit(StepRetried(at=recorder.now(), path=step.path, attempt=number + earlier, error=why, wait=wait))
            if recall is not None:
                recall.past.forget_below(step.path)

        def may_repeat() -> bool:
            acted = self.state.acted.get(step.path)
            if acted:
                self._note(step.path, f"it is not tried again, as it has acted on the world: {_listed(acted)}")
            return not acted

        return await retried(
            attempt,
            policy,
            sleep=anyio.sleep,
            remaining=time_left,
            on_retry=note,
            may_repeat=may_repeat,
            clock=anyio.current_time,
        )

    async def _call(self, leaf: Leaf, step: Step, current: Current) -> object:
        """Call the function in a context of its own, in which `current()` gives this step."""
        context = copy_context()
        context.run(enter, current)
        try:
            return await self._in_context(leaf, step, context)
        except BaseException as error:
            if (left := unfinished_in(error)) is not None:
                raise left from None
            if (failure := stray_cancellation(error)) is None:
                raise
            raise failure from error
        finally:
            current.over = True

    async def _in_context(self, leaf: Leaf, step: Step, context: Context) -> object:
        call = partial(leaf.call, *step.args, **step.kwargs)
        if leaf.is_async:
            return await call_async(call, context)
        if leaf.thread:
            return await call_in_thread(call, context, partial(self._note, step.path, LEFT_IN_THREAD))
        return await awaited(self._inline(call, step, context), context)

    def _inline(self, call: Callable[[], object], step: Step, context: Context) -> object:
        before = self.state.monotonic()
        try:
            return context.run(call)
        finally:
            held = self.state.monotonic() - before
            if held > LOOP_HELD:
                self._report_held(step, held)

    def _report_held(self, step: Step, held: float) -> None:
        if step.node.origin in self.state.reported:
            return
        self.state.reported.add(step.node.origin)
        message = (
            f"{step.node.name!r} held the event loop for {held * 1000:.0f} ms, and all other steps with it; "
            "decorate it with @node(thread=True), or make it async"
        )
        self._note(step.path, message)

    def _note(self, path: str, *messages: str) -> None:
        recorder = self.state.recorder
        for message in messages:
            recorder.emit(Noted(at=recorder.now(), path=path, message=message))


def _listed(tools: Iterable[str]) -> str:
    return ", ".join(sorted(tools))
