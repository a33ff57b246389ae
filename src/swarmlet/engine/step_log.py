"""The record of each step: its beginning, its end, and what is to be noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from swarmlet.engine.keep import keep_result, keep_values
from swarmlet.engine.step import Drained, Faulted, Finished, Unfinished, as_failure
from swarmlet.trace.events import Noted, StepEnded, StepStarted

if TYPE_CHECKING:
    from swarmlet.engine.run_state import RunState
    from swarmlet.engine.step import Step
    from swarmlet.trace.events import State

LOOP_HELD = 0.05
"""Seconds for which a sync node may hold the event loop before it is reported."""


@final
class StepLog:
    """Writes the steps of one run into its record."""

    __slots__ = ("_recorder", "_reported", "_state")

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._recorder = state.recorder
        self._reported: set[str] = set()

    def begin(self, step: Step) -> None:
        """The step starts."""
        recorder, node, ready = self._recorder, step.node, step.ready
        waited = 0.0
        if ready is not None and ready.at is not None:
            waited = max(0.0, self._state.monotonic() - ready.at)
        inputs, problems = keep_values(recorder, step.named_arguments(), node.encode_inputs)
        recorder.emit(StepStarted(at=recorder.now(), path=step.path, node=node.origin, inputs=inputs, waited=waited))
        if problems:
            self.note(step.path, *problems)

    def finish(self, step: Step, value: object) -> Finished:
        """The step has returned `value`."""
        recorder = self._recorder
        output, note, problems = keep_result(recorder, value, step.node)
        if problems:
            self.note(step.path, *problems)
        recorder.emit(StepEnded(at=recorder.now(), path=step.path, state="finished", output=output, type=note))
        if step.scope.harvest is not None:
            step.scope.harvest.take(step.path, value)
        return Finished(value)

    def stop(self, step: Step, error: BaseException) -> Faulted:
        """The step has raised `error`: its outcome if that is a failure. Raises it if it is none."""
        recorder = self._recorder
        if isinstance(error, Exception):
            recorder.emit(StepEnded(at=recorder.now(), path=step.path, state="failed", error=recorder.fault(error)))
            return Faulted(as_failure(step.path, error))
        state: State = "cancelled"
        if isinstance(error, Unfinished):
            state = "drained" if isinstance(error, Drained) else "suspended"
        recorder.emit(StepEnded(at=recorder.now(), path=step.path, state=state))
        raise error

    def held(self, step: Step, seconds: float) -> None:
        """The step's function has held the event loop for so long. It is told once for each node, if that was too long."""
        node = step.node
        if seconds <= LOOP_HELD or node.origin in self._reported:
            return
        self._reported.add(node.origin)
        message = (
            f"{node.name!r} held the event loop for {seconds * 1000:.0f} ms, and all other steps with it; "
            "decorate it with @node(thread=True), or make it async"
        )
        self.note(step.path, message)

    def note(self, path: str, *messages: str) -> None:
        """Something that the user should know about a step."""
        recorder = self._recorder
        for message in messages:
            recorder.emit(Noted(at=recorder.now(), path=path, message=message))
