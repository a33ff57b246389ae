"""The `StepRunner` of this process: applies a node's options, tries as often as its policy says, records what happened."""

from __future__ import annotations

import math
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from inspect import iscoroutine
from typing import TYPE_CHECKING, cast, final

import anyio

from swarmlet.engine.calling import call_in_thread
from swarmlet.engine.context import Current, enter, entered
from swarmlet.engine.driver import drive
from swarmlet.engine.gates import Lease, gate
from swarmlet.engine.isolate import in_context
from swarmlet.engine.step import (
    Drained,
    Outcome,
    Step,
    all_failed,
    as_failure,
    flat,
    only_of,
    unfinished_in,
)
from swarmlet.engine.step_log import LOOP_HELD, StepLog
from swarmlet.engine.stray import stray_cancellation
from swarmlet.errors import BudgetExceeded, DeadlineExceeded, StepFailed
from swarmlet.graph.effects import effects_in
from swarmlet.graph.shape import Leaf
from swarmlet.policy.account import Account
from swarmlet.policy.budget import Budget
from swarmlet.policy.retry import retried
from swarmlet.trace.events import Decided, StepNotStarted, StepRetried

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from contextvars import Context
    from types import TracebackType

    from swarmlet.engine.run_state import RunState
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Options
    from swarmlet.policy.retry import Retry

LEFT_IN_THREAD = "cancelled while its function ran in a thread: threads cannot be stopped, so it runs on"
DEEPEST = 100
"""How deep nodes may be nested that run in a scope of their own: a race in a race, a map that skips in a map that skips. Each
level takes about ten calls of Python's stack, which holds a thousand."""


def time_left() -> float:
    """Seconds until the nearest deadline around this task; infinite without one."""
    return anyio.current_effective_deadline() - anyio.current_time()


@final
class _Rest:
    """What is left to do of a function that has begun and waits: its coroutine, and what that wishes of the event loop."""

    __slots__ = ("begun", "context", "current", "wish")

    def __init__(self, begun: Coroutine[object, object, object], wish: object, context: Context, current: Current) -> None:
        self.begun: Coroutine[object, object, object] = begun
        self.wish: object = wish
        self.context: Context = context
        self.current: Current = current


@final
class LocalRunner:
    """Executes steps here and now."""

    def __init__(self) -> None:
        self.state: RunState
        self.at: float = 0.0
        self._log: StepLog
        self._now: Callable[[], float]

    def attach(self, state: RunState) -> None:
        """Work for this run."""
        self.state, self._log, self._now = state, StepLog(state), state.recorder.now

    def now(self, step: Step) -> Outcome | None:
        """The outcome of a function on the event loop that returns without waiting, under nothing that bounds or repeats it.

        An async function that does wait has begun then; its step has the `rest` for `run`.
        """
        leaf, scope, log = step.node.shape, step.scope, self._log
        if not isinstance(leaf, Leaf) or leaf.thread or scope.gates or not step.node.options.empty:
            return None
        if scope.retry is not None and not leaf.retries_itself and (leaf.is_async or scope.retry.on != ()):
            return None
        before = log.begin(step)
        current = Current(self.state, step.path, scope)
        context = copy_context()
        try:
            value = context.run(entered, current, leaf.call, step.args, step.kwargs)
            if iscoroutine(value):  # also of a sync wrapper round an async function
                try:
                    step.rest = _Rest(value, context.run(value.send, None), context, current)
                except StopIteration as stop:
                    value = stop.value
                else:
                    return None
        except BaseException as error:  # noqa: BLE001  # whatever a user's code raises is this step's outcome
            current.over = True
            self.at = self._now()
            log.held(step, self.at - before)
            return log.stop(step, _meant(error))
        current.over = True
        self.at = at = self._now()
        if at - before > LOOP_HELD:
            log.held(step, at - before)
        return log.finish(step, value, at)

    def run(self, step: Step) -> Awaitable[Outcome]:
        """Execute `step`, with its start and its end in the record whatever happens."""
        if isinstance(step.rest, _Rest):
            return self._finish(step, step.rest)
        leaf, scope, seconds = step.node.shape, step.scope, step.node.options.only_timeout
        if isinstance(leaf, Leaf):
            if scope.gates:
                return self._in_turn(step)
            if seconds is not None and not leaf.thread and (scope.retry is None or leaf.retries_itself):
                return self._timed(step, leaf, seconds)
        return self._recorded(step, None)

    async def _timed(self, step: Step, leaf: Leaf, seconds: float) -> Outcome:
        """Execute a function under a timeout and no other option."""
        log = self._log
        before = log.begin(step)
        current = Current(self.state, step.path, step.scope)
        context = copy_context()
        try:
            with anyio.move_on_after(seconds):
                value = context.run(entered, current, leaf.call, step.args, step.kwargs)
                log.held(step, self._now() - before)
                if iscoroutine(value):
                    value = await in_context(context, value)
                return self._done(step, current, value)
        except BaseException as error:  # noqa: BLE001  # whatever a user's code raises is this step's outcome
            failure = _meant(error)
        else:
            failure = DeadlineExceeded(step.path, seconds, "timeout")
        current.over = True
        self.at = self._now()
        return log.stop(step, failure)

    def _done(self, step: Step, current: Current, value: object) -> Outcome:
        current.over = True
        self.at = self._now()
        return self._log.finish(step, value, self.at)

    async def _finish(self, step: Step, rest: _Rest) -> Outcome:
        """Let a function go on that `now` has begun."""
        try:
            value = await in_context(rest.context, rest.begun, rest.wish)
        except BaseException as error:  # noqa: BLE001  # whatever a user's code raises is this step's outcome
            rest.current.over = True
            self.at = self._now()
            return self._log.stop(step, _meant(error))
        return self._done(step, rest.current, value)

    async def _in_turn(self, step: Step) -> Outcome:
        """Execute a step behind the bounds on concurrency around it."""
        lease = Lease(step.scope.gates)
        before = self._now()
        await lease.take()
        step.held += self._now() - before
        try:
            if step.scope.ended or (self.state.draining and not step.scope.dynamic):
                recorder = self.state.recorder
                recorder.emit(StepNotStarted(at=recorder.now(), path=step.path, node=step.node.origin))
                raise Drained
            return await self._recorded(step, lease)
        finally:
            lease.give()

    async def _recorded(self, step: Step, lease: Lease | None) -> Outcome:
        log = self._log
        log.begin(step)
        try:
            value = await self._value(step, lease)
        except BaseException as error:  # noqa: BLE001  # whatever a user's code raises is this step's outcome
            self.at = self._now()
            return log.stop(step, error)
        self.at = self._now()
        return log.finish(step, value, self.at)

    def _value(self, step: Step, lease: Lease | None) -> Awaitable[object]:
        """What the step gives: a function without options of its own is just called."""
        shape, scope = step.node.shape, step.scope
        if isinstance(shape, Leaf) and (scope.retry is None or shape.retries_itself):
            options = step.node.options
            if options.empty:
                return self._call(shape, step, Current(self.state, step.path, scope, lease))
        return self._or_fallback(step, lease)

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
            on = step.node.options.fallback_on
            if on is not None and not only_of(failure, on):
                raise failure
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
        if options.queue is not None and self.state.dispatcher is not None:
            from swarmlet.engine.dispatch import dispatched

            return await dispatched(step, scope, self.state, self.state.dispatcher)
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
        with _left_by(current):
            if leaf.thread:
                context.run(enter, current)
                call = partial(leaf.call, *step.args, **step.kwargs)
                return await call_in_thread(call, context, partial(self._note, step.path, LEFT_IN_THREAD))
            before = self._now()
            try:
                value = context.run(entered, current, leaf.call, step.args, step.kwargs)
            finally:
                self._log.held(step, self._now() - before)
            return await in_context(context, value) if iscoroutine(value) else value

    def _note(self, path: str, message: str) -> None:
        self._log.note(path, message)


class _left_by:  # noqa: N801  # reads as a phrase; a class, as it is entered for every step
    """Around a user's function: what it raises is said as what it means, and `current` is over."""

    __slots__ = ("_current",)

    def __init__(self, current: Current) -> None:
        self._current = current

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._current.over = True
        if error is not None and (meant := _meant(error)) is not error:
            raise meant from meant.__cause__


def _meant(error: BaseException) -> BaseException:
    """What a user's function that raised `error` comes to: groups of what is left are taken apart, strays are failures."""
    if (left := unfinished_in(error)) is not None:
        return left
    failure = stray_cancellation(error)
    if failure is not None:
        failure.__cause__ = error
        return failure
    return error


def _listed(tools: Iterable[str]) -> str:
    return ", ".join(sorted(tools))
